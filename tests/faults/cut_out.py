"""A part of a template that stands alone: one resource with what it refers to."""

from collections.abc import Iterator, Mapping
from typing import Any

from ops.permissions.resolution import Resolution

Template = Mapping[str, Any]


def cut_out(resolution: Resolution, stack: str, target: str) -> dict[str, Any]:
    """Return a template with ``target`` and all that it refers to, directly or not.

    What comes from other stacks becomes the text that it will have. Dependencies that only order
    the deployment are left out.
    """
    resources = resolution.templates[stack]["Resources"]
    found: dict[str, Any] = {}
    waiting = [target]
    while waiting:
        logical_id = waiting.pop()
        if logical_id in found or logical_id not in resources:
            continue
        resource = {**resources[logical_id]}
        resource.pop("DependsOn", None)
        found[logical_id] = _alone(resource, resolution, stack)
        waiting += _named(resource)
    return {"Resources": {key: found[key] for key in sorted(found)}}


def _alone(value: Any, resolution: Resolution, stack: str) -> Any:
    if isinstance(value, Mapping):
        if "Fn::GetStackOutput" in value:
            return resolution.text(value, stack)
        return {key: _alone(item, resolution, stack) for key, item in value.items()}
    if isinstance(value, list):
        return [_alone(item, resolution, stack) for item in value]
    return value


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "Ref" in value:
            yield value["Ref"]
        elif "Fn::GetAtt" in value:
            yield value["Fn::GetAtt"][0]
        else:
            for item in value.values():
                yield from _named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)
