"""Changes that would lose data or its protection, found by comparing templates."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ops.references import Reference, qualified
from ops.replacement import Address, Replacement, extract, replacements, resources, same
from ops.snapshot import Template
from ops.stateful import STATEFUL_TYPES, default_policy, is_weaker

_LONGEST_VALUE = 80
"""Characters of a value in a sentence; longer ones are cut."""


class Effect(StrEnum):
    """What a deployment would do to a resource."""

    DELETE = "delete"
    REPLACE = "replace"
    MAY_REPLACE = "may replace"
    LOSE_PROTECTION = "lose protection"
    STACK_REMOVED = "stack removed"


@dataclass(frozen=True)
class Finding:
    """One change that needs a person's consent. ``str()`` gives it as sentences.

    ``logical_id`` and ``resource_type`` are "" for a whole stack. ``property_path`` is what
    changes, from ``old`` to ``new`` (``None`` for none), ``reason`` says what is at stake and why,
    ``remedy`` what to do instead. ``cause`` is the change elsewhere that gives the property another
    value although it reads the same ("" where there is none).
    """

    stack: str
    logical_id: str
    resource_type: str
    property_path: str
    old: Any
    new: Any
    effect: Effect
    reason: str
    remedy: str
    cause: str = ""

    @property
    def address(self) -> str:
        """What ``--allow`` takes: the stack id, and the logical id after a slash."""
        return "/".join(filter(None, (self.stack, self.logical_id)))

    def __str__(self) -> str:
        subject = f"{self.address} ({self.resource_type})" if self.resource_type else self.stack
        return f"{subject}: {self.reason} {self.remedy}"


def compare(
    baseline: Mapping[str, Template],
    new: Mapping[str, Template],
    *,
    regions: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Return what a deployment of ``new`` over ``baseline`` would do to stateful resources.

    Both map stack ids to templates. ``regions`` gives the region of each stack, whose schemas
    decide what is create-only (us-east-1 where it says nothing). The findings are ordered by
    address and property; there is none where nothing stateful (:data:`ops.stateful.STATEFUL_TYPES`)
    is deleted, replaced, or less protected.
    """
    findings = [
        *_removed_stacks(baseline, new),
        *_deletions(baseline, new),
        *_replacements(baseline, new, regions or {}),
        *_lost_protections(baseline, new),
    ]
    return sorted(findings, key=lambda found: (found.address, found.property_path, found.effect))


def _removed_stacks(
    baseline: Mapping[str, Template], new: Mapping[str, Template]
) -> Iterator[Finding]:
    for stack in sorted(baseline.keys() - new.keys()):
        lost = [
            f"{logical_id} ({resource['Type']})"
            for logical_id, resource in sorted(baseline[stack].get("Resources", {}).items())
            if resource["Type"] in STATEFUL_TYPES
        ]
        if lost:
            yield Finding(
                stack,
                logical_id="",
                resource_type="",
                property_path="",
                old=lost,
                new=None,
                effect=Effect.STACK_REMOVED,
                reason=f"The stack is gone from the app, with {_listed(lost)}.",
                remedy=(
                    "Restore it, or destroy the deployed stack on purpose once its data is safe."
                ),
            )


def _deletions(baseline: Mapping[str, Template], new: Mapping[str, Template]) -> Iterator[Finding]:
    old_resources, new_resources = resources(baseline), resources(new)
    for address in sorted(old_resources.keys() - new_resources.keys()):
        stack, logical_id = address
        resource = old_resources[address]
        if stack not in new or resource["Type"] not in STATEFUL_TYPES:
            continue
        twins = _twins(address, baseline, new)
        yield Finding(
            stack,
            logical_id,
            resource["Type"],
            property_path="",
            old=resource["Type"],
            new=None,
            effect=Effect.DELETE,
            reason=(
                "It is gone from its stack. "
                f"{_fate(resource['Type'], 'DeletionPolicy', _policy('DeletionPolicy', resource))}"
            ),
            remedy=_rename_hint(logical_id, twins)
            or "Restore it, or move its data and its readers elsewhere first.",
        )


def _replacements(
    baseline: Mapping[str, Template], new: Mapping[str, Template], regions: Mapping[str, str]
) -> Iterator[Finding]:
    old_resources, new_resources = resources(baseline), resources(new)
    for address, reasons in replacements(baseline, new, regions).items():
        resource = old_resources[address]
        changed_types = {reason.new for reason in reasons if reason.path == "Type"}
        if {resource["Type"], *changed_types}.isdisjoint(STATEFUL_TYPES):
            continue
        for reason in reasons:
            yield _replaced(address, resource, new_resources[address], reason)


def _replaced(
    address: Address, resource: Mapping[str, Any], new: Mapping[str, Any], why: Replacement
) -> Finding:
    verb = "would be replaced" if why.certain else "may be replaced"
    if why.cause:
        rule = "can only be set at creation" if why.certain else "may be set only at creation"
        detail = f"because {why.cause}, and {why.path} = {shown(why.new)} {rule}"
    elif why.path == "Type":
        detail = f"because its type changes from {why.old} to {why.new}"
    else:
        rule = "can only be set at creation" if why.certain else "cannot always be updated"
        detail = (
            f"because {why.path}, which {rule}, changes from {shown(why.old)} to {shown(why.new)}"
        )
    attribute = "UpdateReplacePolicy"
    before, after = _policy(attribute, resource), _policy(attribute, new)
    # Whichever side's policy decides, nobody is told that data stays when it may not.
    policy = after if is_weaker(after, before) else before
    undo = "Undo that change" if why.cause else "Restore the value"
    return Finding(
        *address,
        resource["Type"],
        why.path,
        why.old,
        why.new,
        Effect.REPLACE if why.certain else Effect.MAY_REPLACE,
        reason=f"It {verb}, {detail}. {_fate(resource['Type'], attribute, policy)}",
        remedy=f"{undo}, or make a second resource beside it and move the data first.",
        cause=why.cause,
    )


def _lost_protections(
    baseline: Mapping[str, Template], new: Mapping[str, Template]
) -> Iterator[Finding]:
    old_resources, new_resources = resources(baseline), resources(new)
    for address in sorted(old_resources.keys() & new_resources.keys()):
        old, after = old_resources[address], new_resources[address]
        if old["Type"] == after["Type"] and old["Type"] in STATEFUL_TYPES:
            yield from _weakened_policies(address, old, after)
            yield from _protections_off(address, old, after)


def _weakened_policies(
    address: Address, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Finding]:
    for attribute in ("DeletionPolicy", "UpdateReplacePolicy"):
        before, after = _policy(attribute, old), _policy(attribute, new)
        if is_weaker(after, before):
            yield Finding(
                *address,
                old["Type"],
                attribute,
                before,
                after,
                Effect.LOSE_PROTECTION,
                reason=(
                    f"Its {attribute} weakens from {before} to {after}, after which a later change "
                    f"can lose {STATEFUL_TYPES[old['Type']].loses}."
                ),
                remedy=f"Set {attribute} back to {before}.",
            )


def _protections_off(
    address: Address, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Finding]:
    for protection in STATEFUL_TYPES[old["Type"]].protections:
        before = extract(old.get("Properties", {}), protection.path)
        after = extract(new.get("Properties", {}), protection.path)
        if _is_on(before, protection.on) and not _is_on(after, protection.on):
            yield Finding(
                *address,
                old["Type"],
                protection.path,
                before,
                after,
                Effect.LOSE_PROTECTION,
                reason=(
                    f"{protection.path} goes from {shown(before)} to {shown(after)}, which ends "
                    f"its protection against {protection.guards_against}."
                ),
                remedy=f"Set {protection.path} back to {shown(before)}.",
            )


def _is_on(value: Any, on: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_on(item, on) for item in value)
    # CloudFormation takes the strings "true" and "false" for booleans.
    return str(value).lower() == str(on).lower()


def _policy(attribute: str, resource: Mapping[str, Any]) -> str:
    return str(resource.get(attribute, default_policy(attribute, resource["Type"])))


def _fate(resource_type: str, attribute: str, policy: str) -> str:
    """Say what happens to the old resource and its content."""
    known = STATEFUL_TYPES.get(resource_type)
    stake = f"At stake: {known.loses}." if known else ""
    kept = {
        "Retain": f"{attribute} Retain leaves the old one in the account, but unmanaged.",
        "Snapshot": f"{attribute} Snapshot leaves a snapshot of it.",
    }.get(policy.removesuffix("ExceptOnCreate"), "The old one is deleted.")
    return f"{kept} {stake}".rstrip()


def _twins(
    address: Address, baseline: Mapping[str, Template], new: Mapping[str, Template]
) -> list[str]:
    """Return the added resources that equal the one at ``address``, but for their name."""
    old_resources, new_resources = resources(baseline), resources(new)
    added = new_resources.keys() - old_resources.keys()
    removed = old_resources.keys() - new_resources.keys()
    wanted = old_resources[address]
    likeness = _likeness(wanted, address[0], baseline, removed)
    return [
        "/".join(candidate)
        for candidate in sorted(added)
        if new_resources[candidate]["Type"] == wanted["Type"]
        and same(_likeness(new_resources[candidate], candidate[0], new, added), likeness)
    ]


def _likeness(
    resource: Mapping[str, Any],
    stack: str,
    templates: Mapping[str, Template],
    renamed: set[Address],
) -> Any:
    """Return the properties without what a new name changes.

    Those are tags, where the CDK writes the construct's path, and references to other resources
    that may be renamed with this one.
    """
    properties = {
        key: value for key, value in resource.get("Properties", {}).items() if key != "Tags"
    }
    return _without_names(qualified(properties, stack, templates), renamed)


def _without_names(value: Any, renamed: set[Address]) -> Any:
    if isinstance(value, Reference):
        moved = (value.stack, value.logical_id) in renamed
        return {"renamed": value.attribute} if moved else value
    if isinstance(value, Mapping):
        return {key: _without_names(item, renamed) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_names(item, renamed) for item in value]
    return value


def _rename_hint(logical_id: str, twins: list[str]) -> str:
    if not twins:
        return ""
    return (
        f"It looks renamed: {_listed(twins)} has the same type and properties. Pin the logical id "
        f'with `override_logical_id("{logical_id}")`, or move it with `cdk refactor` or '
        "`cdk import` before the deployment."
    )


def shown(value: Any) -> str:
    """Return ``value`` as JSON, cut to a readable length, or "nothing" where it is absent."""
    if value is None:
        return "nothing"
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
