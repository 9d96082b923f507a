"""Which resources CloudFormation would replace on the way from one set of templates to another."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ops.references import Reference, qualified, references
from ops.resource_schema import ResourceSchema, resource_schema
from ops.snapshot import Template

Address = tuple[str, str]
"""A stack id and a logical id."""

DEFAULT_REGION = "us-east-1"
"""Whose schemas decide for a stack without a region: the region that has every type first."""


@dataclass(frozen=True)
class Replacement:
    """One reason why a resource is replaced.

    ``path`` is the property that differs ("Type" for the type), ``old`` and ``new`` its values
    (``None`` for none), ``certain`` whether it always replaces, and ``cause`` says what changes the
    value where it reads the same before and after ("" elsewhere).
    """

    path: str
    old: Any
    new: Any
    certain: bool
    cause: str = ""


def resources(templates: Mapping[str, Template]) -> dict[Address, dict[str, Any]]:
    """Return every resource of ``templates`` by its address."""
    return {
        (stack, logical_id): resource
        for stack, template in templates.items()
        for logical_id, resource in template.get("Resources", {}).items()
    }


def extract(value: Any, path: str) -> Any:
    """Return what ``path`` (``Name/*/Name``) selects in ``value``, or ``None`` where it is absent.

    Lists are walked with or without a ``*``, and give lists. A function in the way (``Fn::If``) is
    returned whole, because what it gives is not known before the deployment.
    """
    segments = path.split("/") if path else []
    return _extract(value, segments)


def _extract(value: Any, segments: list[str]) -> Any:
    if not segments or value is None:
        return value
    head, *rest = segments
    if isinstance(value, list):
        return [_extract(item, rest if head == "*" else segments) for item in value]
    if not isinstance(value, Mapping) or _is_function(value):
        return value
    if head == "*":
        return {key: _extract(item, rest) for key, item in value.items()}
    return _extract(value.get(head), rest)


def _is_function(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def same(one: Any, other: Any) -> bool:
    """Say whether two values are the same JSON: lists in their order, objects in any."""
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=asdict)


def replacements(
    baseline: Mapping[str, Template],
    new: Mapping[str, Template],
    regions: Mapping[str, str],
) -> dict[Address, tuple[Replacement, ...]]:
    """Return why each resource that is in both sets of templates would be replaced, if it would.

    A resource is replaced when its type or a create-only property changes. One that takes a
    create-only property from a replaced resource is replaced as well, and so on along the
    references, also across stacks. ``regions`` gives the region of each stack.
    """
    comparison = _Comparison(baseline, new, regions)
    comparison.compare_values()
    comparison.follow_references()
    return comparison.result()


@dataclass(frozen=True)
class _CreateOnlyValue:
    """A create-only property of a resource that both sides have, before and after."""

    address: Address
    path: str
    certain: bool
    old: Any
    new: Any


class _Comparison:
    def __init__(
        self,
        baseline: Mapping[str, Template],
        new: Mapping[str, Template],
        regions: Mapping[str, str],
    ) -> None:
        self._baseline = baseline
        self._new = new
        self._regions = regions
        self._old_resources = resources(baseline)
        self._new_resources = resources(new)
        self._found: dict[Address, dict[str, Replacement]] = {}

    def result(self) -> dict[Address, tuple[Replacement, ...]]:
        return {address: tuple(_outermost(found)) for address, found in sorted(self._found.items())}

    def compare_values(self) -> None:
        for address, old, new in self._kept():
            if old["Type"] != new["Type"]:
                self._note(address, Replacement("Type", old["Type"], new["Type"], certain=True))
        for value in self._create_only_values():
            if not same(value.old, value.new):
                raw_old, raw_new = self._raw(value)
                self._note(value.address, Replacement(value.path, raw_old, raw_new, value.certain))

    def follow_references(self) -> None:
        values = [
            (value, found)
            for value in self._create_only_values()
            if same(value.old, value.new) and (found := sorted(set(references(value.new))))
        ]
        # Each round follows the references one step further, until nothing more is replaced.
        while any(self._follow(value, found) for value, found in values):
            pass

    def _follow(self, value: _CreateOnlyValue, found: list[Reference]) -> bool:
        raw_old, raw_new = self._raw(value)
        return any(
            self._note(
                value.address,
                Replacement(value.path, raw_old, raw_new, value.certain and certain, cause),
            )
            for reference in found
            for certain, cause in self._changes_of(reference)
        )

    def _kept(self) -> Iterator[tuple[Address, dict[str, Any], dict[str, Any]]]:
        for address in sorted(self._old_resources.keys() & self._new_resources.keys()):
            yield address, self._old_resources[address], self._new_resources[address]

    def _create_only_values(self) -> Iterator[_CreateOnlyValue]:
        for address, old, new in self._kept():
            schema = self._schema(address)
            if old["Type"] != new["Type"] or schema is None:
                continue
            before = qualified(old.get("Properties", {}), address[0], self._baseline)
            after = qualified(new.get("Properties", {}), address[0], self._new)
            paths = [(path, True) for path in schema.create_only]
            paths += [(path, False) for path in schema.conditional_create_only]
            for path, certain in paths:
                yield _CreateOnlyValue(
                    address, path, certain, extract(before, path), extract(after, path)
                )

    def _schema(self, address: Address) -> ResourceSchema | None:
        region = self._regions.get(address[0], DEFAULT_REGION)
        return resource_schema(self._new_resources[address]["Type"], region)

    def _raw(self, value: _CreateOnlyValue) -> tuple[Any, Any]:
        old = self._old_resources[value.address].get("Properties", {})
        new = self._new_resources[value.address].get("Properties", {})
        return extract(old, value.path), extract(new, value.path)

    def _note(self, address: Address, replacement: Replacement) -> bool:
        """Keep ``replacement`` and say so, unless one as certain is known for its path."""
        known = self._found.setdefault(address, {}).get(replacement.path)
        if known is not None and (known.certain or not replacement.certain):
            return False
        self._found[address][replacement.path] = replacement
        return True

    def _changes_of(self, reference: Reference) -> Iterator[tuple[bool, str]]:
        """Yield whether and why the value of ``reference`` changes; certainly, and in words."""
        address = (reference.stack, reference.logical_id)
        name = f"{reference.stack}'s {reference.logical_id}"
        if address not in self._new_resources:
            if self._is_redefined(address):
                yield True, f"{name} has another value"
        elif reference.attribute and not self._is_generated(address, reference.attribute):
            if self._property_changes(reference):
                yield True, f"{name}.{reference.attribute} changes"
        elif found := self._found.get(address):
            certain = any(replacement.certain for replacement in found.values())
            yield certain, f"{name} {'is' if certain else 'may be'} replaced"

    def _is_redefined(self, address: Address) -> bool:
        stack, name = address
        return any(
            not same(
                self._baseline.get(stack, {}).get(section, {}).get(name),
                self._new.get(stack, {}).get(section, {}).get(name),
            )
            for section in ("Parameters", "Mappings")
        )

    def _is_generated(self, address: Address, attribute: str) -> bool:
        """Say whether the service makes up ``attribute``, rather than repeat what it was given."""
        schema = self._schema(address)
        path = attribute.replace(".", "/")
        properties = self._new_resources[address].get("Properties", {})
        return (
            schema is None
            or any(f"{path}/".startswith(f"{known}/") for known in schema.read_only)
            or path.split("/")[0] not in properties
        )

    def _property_changes(self, reference: Reference) -> bool:
        address = (reference.stack, reference.logical_id)
        path = reference.attribute.replace(".", "/")
        old = self._old_resources.get(address, {}).get("Properties", {})
        new = self._new_resources[address].get("Properties", {})
        return not same(
            extract(qualified(old, reference.stack, self._baseline), path),
            extract(qualified(new, reference.stack, self._new), path),
        )


def _outermost(found: Mapping[str, Replacement]) -> Iterator[Replacement]:
    """Leave out a property inside another one that is already named."""
    for path, replacement in sorted(found.items()):
        parents = (path.rsplit("/", depth)[0] for depth in range(1, path.count("/") + 1))
        if not any(parent in found and found[parent].certain for parent in parents):
            yield replacement
