"""What the values in a template refer to, also across stacks."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.snapshot import Template

# ${Name} or ${Name.Attribute}, but not the escaped ${!Literal}.
_SUBSTITUTION = re.compile(r"\$\{([^!}][^}]*)\}")


@dataclass(frozen=True, order=True)
class Reference:
    """A value that CloudFormation takes from a resource, parameter or mapping of ``stack``.

    ``attribute`` is "" for ``Ref``.
    """

    stack: str
    logical_id: str
    attribute: str = ""

    def __str__(self) -> str:
        return f"{self.stack}/{'.'.join(filter(None, (self.logical_id, self.attribute)))}"


def qualified(value: Any, stack: str, templates: Mapping[str, Template]) -> Any:
    """Return ``value``, which ``stack`` holds, with a :class:`Reference` for each function.

    A value that another stack passes on (``Fn::GetStackOutput``, ``Fn::ImportValue``) becomes what
    that stack's output says, so that values are equal when they mean the same. Functions that refer
    to nothing in ``templates`` stay as they are, and a ``Fn::Sub`` becomes a list of its parts.
    """
    if isinstance(value, list):
        return [qualified(item, stack, templates) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        ((function, argument),) = value.items()
        resolve = _FUNCTIONS.get(function)
        resolved = resolve(argument, stack, templates) if resolve else None
        if resolved is not None:
            return resolved
    return {key: qualified(item, stack, templates) for key, item in value.items()}


def references(qualified_value: Any) -> Iterator[Reference]:
    """Yield every reference in a value that :func:`qualified` returned."""
    if isinstance(qualified_value, Reference):
        yield qualified_value
    elif isinstance(qualified_value, Mapping):
        for item in qualified_value.values():
            yield from references(item)
    elif isinstance(qualified_value, list):
        for item in qualified_value:
            yield from references(item)


def _ref(argument: Any, stack: str, _: Mapping[str, Template]) -> Any:
    # Pseudo parameters (AWS::Region) are the same before and after.
    if not isinstance(argument, str) or "::" in argument:
        return None
    return Reference(stack, argument)


def _get_att(argument: Any, stack: str, _: Mapping[str, Template]) -> Any:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if not (isinstance(parts, list) and parts and all(isinstance(part, str) for part in parts)):
        return None
    return Reference(stack, parts[0], ".".join(parts[1:]))


def _find_in_map(argument: Any, stack: str, templates: Mapping[str, Template]) -> Any:
    if not (isinstance(argument, list) and argument and isinstance(argument[0], str)):
        return None
    keys = [qualified(key, stack, templates) for key in argument[1:]]
    return {"Fn::FindInMap": [Reference(stack, argument[0]), *keys]}


def _sub(argument: Any, stack: str, templates: Mapping[str, Template]) -> Any:
    match argument:
        case [str() as text, Mapping() as variables]:
            pass
        case str() as text:
            variables = {}
        case _:
            return None
    given = qualified(variables, stack, templates)
    # re.split leaves the names at the odd places.
    parts = _SUBSTITUTION.split(text)
    names = [given[n] if n in given else _substituted(n, stack) for n in parts[1::2]]
    return {"Fn::Sub": [parts[::2], names]}


def _substituted(name: str, stack: str) -> Any:
    if "::" in name:
        return name
    logical_id, _, attribute = name.partition(".")
    return Reference(stack, logical_id, attribute)


def _get_stack_output(argument: Any, _: str, templates: Mapping[str, Template]) -> Any:
    if not isinstance(argument, Mapping):
        return None
    producer, output = argument.get("StackName"), argument.get("OutputName")
    if not isinstance(producer, str):
        return None
    outputs = templates.get(producer, {}).get("Outputs", {})
    if output not in outputs:
        return None
    return qualified(outputs[output].get("Value"), producer, templates)


def _import_value(argument: Any, _: str, templates: Mapping[str, Template]) -> Any:
    for producer, template in templates.items():
        for output in template.get("Outputs", {}).values():
            if output.get("Export", {}).get("Name") == argument:
                return qualified(output.get("Value"), producer, templates)
    return None


_FUNCTIONS = {
    "Ref": _ref,
    "Fn::GetAtt": _get_att,
    "Fn::FindInMap": _find_in_map,
    "Fn::Sub": _sub,
    "Fn::GetStackOutput": _get_stack_output,
    "Fn::ImportValue": _import_value,
}
