"""What changes in each stack, whether or not it matters."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.replacement import same
from ops.snapshot import Template


@dataclass(frozen=True)
class StackChange:
    """The resources that differ in one stack, as pairs of logical id and resource type."""

    stack: str
    added: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str], ...]


def stack_changes(
    baseline: Mapping[str, Template], new: Mapping[str, Template]
) -> list[StackChange]:
    """Return the stacks whose resources differ, in order of their ids."""
    changes = (
        _stack_change(stack, baseline.get(stack, {}), new.get(stack, {}))
        for stack in sorted(baseline.keys() | new.keys())
    )
    return [change for change in changes if change.added or change.removed or change.changed]


def counted_types(members: Iterable[tuple[str, str]]) -> str:
    """Return the resource types of ``members`` with their numbers: ``S3::Bucket (2), KMS::Key``."""
    counts = Counter(resource_type.removeprefix("AWS::") for _, resource_type in members)
    return ", ".join(
        f"{name} ({number})" if number > 1 else name for name, number in sorted(counts.items())
    )


def _stack_change(stack: str, baseline: Template, new: Template) -> StackChange:
    before: Mapping[str, Any] = baseline.get("Resources", {})
    after: Mapping[str, Any] = new.get("Resources", {})
    kept = before.keys() & after.keys()
    return StackChange(
        stack,
        added=_members(after, after.keys() - before.keys()),
        removed=_members(before, before.keys() - after.keys()),
        changed=_members(after, {name for name in kept if not same(before[name], after[name])}),
    )


def _members(resources: Mapping[str, Any], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, resources[name]["Type"]) for name in sorted(names))
