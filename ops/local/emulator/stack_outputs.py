"""``Fn::GetStackOutput``: weak references between stacks, which ministack does not know."""

from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudformation
from ministack.services.cloudformation import changesets, engine, handlers, stacks

FUNCTION = "Fn::GetStackOutput"

_resolve = engine._resolve_refs


def install() -> None:
    """Resolve the function wherever ministack resolves the others."""
    for module in (engine, changesets, handlers, stacks):
        module._resolve_refs = _resolve_with_outputs


def _resolve_with_outputs(value: Any, *context: Any) -> Any:
    if isinstance(value, dict) and set(value) == {FUNCTION}:
        return output_of(_resolve_with_outputs(value[FUNCTION], *context))
    return _resolve(value, *context)


def output_of(reference: Mapping[str, str]) -> str:
    """Return what a stack of this account gives out, from the reference's region.

    Raises:
        ValueError: there is no such stack or output; CloudFormation tells the message.
    """
    name, output = reference["StackName"], reference["OutputName"]
    region = reference.get("Region") or get_region()
    stack = cloudformation._stacks.get_scoped(get_account_id(), region, name)
    if stack is None:
        message = f"{FUNCTION}: {region} has no stack {name}."
        raise ValueError(message)
    for found in stack.get("Outputs", []):
        if found["OutputKey"] == output:
            return str(found["OutputValue"])
    message = f"{FUNCTION}: The stack {name} has no output {output}."
    raise ValueError(message)
