"""The statements of every policy in the templates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ops.permissions.resolution import Resolution

Conditions = Mapping[str, Mapping[str, tuple[str, ...]]]


class PolicyKind(StrEnum):
    """What a policy belongs to, which decides what its `*` means."""

    IDENTITY = "identity"
    RESOURCE = "resource"
    ENDPOINT = "endpoint"
    TRUST = "trust"


@dataclass(frozen=True)
class Statement:
    """One statement, with its values as they are once deployed."""

    stack: str
    logical_id: str
    resource_type: str
    construct_path: str
    kind: PolicyKind
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    excludes_resources: bool
    """Whether ``resources`` are those that the statement is *not* about."""
    conditions: Conditions
    principals: tuple[str, ...]
    """Whom a policy of a resource or role is about, as far as they are of IAM."""
    account: str
    partition: str

    @property
    def environment(self) -> str:
        """The environment of the stack."""
        return environment_of(self.stack)

    @property
    def layer(self) -> str:
        """The stack without its environment."""
        return self.stack.split("-", 2)[2]

    @property
    def where(self) -> str:
        """The place in the templates, for messages."""
        return f"{self.stack}/{self.logical_id}"


def environment_of(stack: str) -> str:
    """Return the environment of a stack, which is the second part of its name."""
    return stack.split("-")[1]


def statements(resolution: Resolution) -> Iterator[Statement]:
    """Yield the statements of every policy, whatever resource holds it.

    Raises :class:`~ops.permissions.resolution.ResolutionError` for values of which only the
    deployment knows the text.
    """
    for stack, template in resolution.templates.items():
        for logical_id, resource in template.get("Resources", {}).items():
            for name, raw in _raw(resource.get("Properties", {})):
                yield _statement(raw, resolution, stack, logical_id, resource, name)


def _raw(value: Any, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each statement with the name of the property that holds its policy."""
    if isinstance(value, Mapping):
        if value.get("Effect") in {"Allow", "Deny"} and ("Action" in value or "NotAction" in value):
            yield name, value
            return
        for key, item in value.items():
            yield from _raw(item, name if key == "Statement" else key)
    elif isinstance(value, list):
        for item in value:
            yield from _raw(item, name)


def _statement(
    raw: Mapping[str, Any],
    resolution: Resolution,
    stack: str,
    logical_id: str,
    resource: Mapping[str, Any],
    name: str,
) -> Statement:
    excludes = "NotResource" in raw
    resources = _listed(raw.get("NotResource" if excludes else "Resource", "*"))
    return Statement(
        stack=stack,
        logical_id=logical_id,
        resource_type=resource["Type"],
        construct_path=resource.get("Metadata", {}).get("aws:cdk:path", logical_id),
        kind=_kind(resource["Type"], name),
        allows=raw["Effect"] == "Allow",
        # NotAction grants whatever AWS will ever invent, which is what `*` says.
        actions=tuple(_listed(raw.get("Action", "*"))),
        resources=tuple(resolution.text(value, stack) for value in resources),
        excludes_resources=excludes,
        conditions={
            operator: {
                key: tuple(resolution.text(value, stack) for value in _listed(values))
                for key, values in keys.items()
            }
            for operator, keys in raw.get("Condition", {}).items()
        },
        principals=tuple(resolution.text(value, stack) for value in _principals(raw)),
        account=resolution.stacks[stack].account,
        partition=resolution.stacks[stack].partition,
    )


def _principals(raw: Mapping[str, Any]) -> list[Any]:
    principal = raw.get("Principal", [])
    # Services and federations are no principals of IAM.
    return _listed(principal.get("AWS", []) if isinstance(principal, Mapping) else principal)


def _kind(resource_type: str, name: str) -> PolicyKind:
    if name == "AssumeRolePolicyDocument":
        return PolicyKind.TRUST
    if resource_type.startswith("AWS::IAM::") or name == "InlinePolicy":
        return PolicyKind.IDENTITY
    if resource_type == "AWS::EC2::VPCEndpoint":
        return PolicyKind.ENDPOINT
    return PolicyKind.RESOURCE


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
