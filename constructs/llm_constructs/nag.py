"""cdk-nag in every synthesis, and acknowledgements that stand beside their cause.

cdk-nag 3 packs are validation plugins, and the CDK suppresses a finding whose exact id was
acknowledged on the construct or a parent of it. Ids of wildcard findings contain logical ids and,
across stacks, JSON (``AwsSolutions-IAM5[Resource::<Lake8A0C.Arn>/*]``), which nobody should write
by hand. :func:`acknowledge` therefore takes patterns, and :class:`NagPlugin` turns those that
match into exact acknowledgements, so that the CDK's own report lists them with their reasons.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
    Validations,
)
from constructs import IConstruct, Node

if TYPE_CHECKING:
    from cdk_nag import NagPack

ANY_TEXT = "..."
"""What stands for any text in a rule; no id of cdk-nag holds it, while `*` is frequent."""

MINIMUM_REASON = 30
"""Characters. A reason shorter than this would not convince an auditor."""


@dataclass
class _Acknowledgement:
    node: Node
    path: str
    rule: str
    reason: str
    used: bool = field(default=False)

    def covers(self, rule: str, path: str) -> bool:
        inside = path == self.path or path.startswith(f"{self.path}/") or not self.path
        return inside and re.fullmatch(_regex(self.rule), rule) is not None


_acknowledgements: WeakKeyDictionary[IConstruct, list[_Acknowledgement]] = WeakKeyDictionary()


def _regex(rule: str) -> str:
    return ".*".join(re.escape(part) for part in rule.split(ANY_TEXT))


def acknowledge(scope: IConstruct, *rules: str, reason: str) -> None:
    """Accept findings of ``rules`` on ``scope`` and below it.

    A rule is an id as the report prints it without the pack's prefix, for example
    ``AwsSolutions-S1`` or ``AwsSolutions-IAM5[Resource::*]``. ``...`` stands for any text, where
    the id holds a logical id: ``AwsSolutions-IAM5[Resource::.../datasets/*]``. Everything else is
    literal, so ``AwsSolutions-IAM5`` alone accepts none of the rule's bracketed findings.
    An acknowledgement that meets no finding fails the synthesis.

    Raises :class:`ValueError` for a reason that says nothing.
    """
    if len(reason) < MINIMUM_REASON:
        raise ValueError(
            f"acknowledge({', '.join(rules)}) = {reason!r}: The reason is too short to convince "
            "an auditor. Say why the finding does not apply here."
        )
    # Each of the three is a message to Node, and there are hundreds of calls.
    node = scope.node
    path = node.path
    entries = _acknowledgements.setdefault(node.root, [])
    entries.extend(_Acknowledgement(node, path, rule, reason) for rule in rules)


@jsii.implements(IPolicyValidationPlugin)
class NagPlugin:
    """One cdk-nag pack, with :func:`acknowledge`'s patterns applied to what it finds.

    ``pack`` is a cdk-nag pack such as ``AwsSolutionsChecks()``.
    """

    def __init__(self, pack: "NagPack") -> None:
        self._pack = pack
        self._name: str = pack.read_pack_name
        self._metadata_key = Validations.ACKNOWLEDGED_RULES_METADATA_KEY

    @property
    def name(self) -> str:
        """The pack's name, which is also the prefix of its rules in the report."""
        return self._name

    @property
    def version(self) -> str | None:
        """Not told: the pack's version is that of cdk-nag."""
        return None

    @property
    def rule_ids(self) -> list[str] | None:
        """Not told: cdk-nag does not list them."""
        return None

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Run the pack over the whole app."""
        root = context.app_construct
        report: PolicyValidationPluginReport = self._pack.validate_scope(root)
        # By construct, for each is told in one message to Node.
        accepted: defaultdict[str, dict[str, _Acknowledgement]] = defaultdict(dict)
        for rule, path in _findings(report.violations):
            covering = [e for e in _acknowledgements.get(root, ()) if e.covers(rule, path)]
            for entry in covering:
                entry.used = True
            if covering:
                accepted[covering[0].path][rule] = covering[0]
        for entries in accepted.values():
            self._accept(entries)
        return report

    def _accept(self, entries: Mapping[str, _Acknowledgement]) -> None:
        # What `Validations.acknowledge` does, but without a stack trace, which would make the
        # report differ from run to run.
        first = next(iter(entries.values()))
        first.node.add_metadata(
            self._metadata_key,
            {f"{self._name}::{rule}": entry.reason for rule, entry in entries.items()},
            stack_trace=False,
        )


@jsii.implements(IPolicyValidationPlugin)
class AcknowledgementAudit:
    """Refuses acknowledgements that no finding needed. Register it after the packs."""

    @property
    def name(self) -> str:
        """The name under which the report lists it."""
        return "Acknowledgements"

    @property
    def version(self) -> str | None:
        """Not versioned apart from the project."""
        return None

    @property
    def rule_ids(self) -> list[str] | None:
        """The single rule."""
        return ["UnusedAcknowledgement"]

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Report each acknowledgement that met nothing."""
        unused = [e for e in _acknowledgements.get(context.app_construct, ()) if not e.used]
        return PolicyValidationPluginReport(
            success=not unused,
            violations=[
                PolicyViolation(
                    rule_name="UnusedAcknowledgement",
                    description=f"{entry.rule} is acknowledged here, but nothing finds it.",
                    fix="Remove the acknowledgement, or correct its rule id.",
                    severity="error",
                    violating_resources=[
                        PolicyViolatingResource(construct_path=entry.path, locations=[])
                    ],
                )
                for entry in unused
            ],
        )


def _findings(violations: Iterable[PolicyViolation]) -> Iterator[tuple[str, str]]:
    for violation in violations:
        for resource in violation.violating_resources:
            yield violation.rule_name, resource.construct_path or ""
