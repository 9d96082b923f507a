"""cdk-nag in every synthesis, and acknowledgements that stand beside their cause.

cdk-nag 3 packs are validation plugins, and the CDK suppresses a finding whose exact id was
acknowledged on the construct or a parent of it. Ids of wildcard findings contain logical ids and,
across stacks, JSON (``AwsSolutions-IAM5[Resource::<Lake8A0C.Arn>/*]``), which nobody should write
by hand. :func:`acknowledge` therefore takes patterns, and :class:`Acknowledgements` turns those
that match into exact ones, so that the CDK's own report lists them with their reasons.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import jsii
from aws_cdk import (
    DefaultTokenResolver,
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
    StringConcat,
    Tokenization,
    Validations,
)
from constructs import IConstruct, Node

if TYPE_CHECKING:
    from cdk_nag import NagPack

ANY_TEXT = "..."
"""What stands for any text in a rule; no id of cdk-nag holds it, while `*` is frequent."""

MINIMUM_REASON = 30
"""Characters. A reason shorter than this would not convince an auditor."""


@dataclass(frozen=True)
class _Acknowledgement:
    node: Node
    path: str
    rule: str
    reason: str

    def covers(self, rule: str) -> bool:
        if ANY_TEXT not in self.rule:
            return rule == self.rule
        pattern = ".*".join(re.escape(part) for part in self.rule.split(ANY_TEXT))
        return re.fullmatch(pattern, rule) is not None


_acknowledgements: WeakKeyDictionary[IConstruct, list[_Acknowledgement]] = WeakKeyDictionary()


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
class Acknowledgements:
    """Applies :func:`acknowledge`'s patterns to what ``packs`` find, and refuses idle ones.

    Register it after the packs, such as ``AwsSolutionsChecks()``: the CDK asks plugins in order,
    and looks for acknowledgements when all have answered.
    """

    def __init__(self, packs: Sequence["NagPack"]) -> None:
        self._packs = {pack.read_pack_name: pack for pack in packs}
        self._key = Validations.ACKNOWLEDGED_RULES_METADATA_KEY

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
        """Accept what is acknowledged, and report each acknowledgement that met nothing."""
        entries = list(enumerate(_acknowledgements.get(context.app_construct, [])))
        by_path: defaultdict[str, list[tuple[int, _Acknowledgement]]] = defaultdict(list)
        for number, entry in entries:
            by_path[entry.path].append((number, entry))
        used: set[int] = set()
        for name, pack in self._packs.items():
            # By construct, for each is told in one message to Node.
            accepted: defaultdict[str, dict[str, _Acknowledgement]] = defaultdict(dict)
            for rule, path in _findings(pack, context.app_construct):
                covering = {
                    number: entry
                    for scope in _with_parents(path)
                    for number, entry in by_path.get(scope, ())
                    if entry.covers(rule)
                }
                used |= covering.keys()
                if covering:
                    first = covering[min(covering)]
                    accepted[first.path][rule] = first
            for same in accepted.values():
                self._accept(name, same)
        return _report([entry for number, entry in entries if number not in used])

    def _accept(self, pack: str, entries: Mapping[str, _Acknowledgement]) -> None:
        # What `Validations.acknowledge` does, but without a stack trace, which would make the
        # report differ from run to run.
        first = next(iter(entries.values()))
        first.node.add_metadata(
            self._key,
            {f"{pack}::{rule}": entry.reason for rule, entry in entries.items()},
            stack_trace=False,
        )


def _with_parents(path: str) -> Iterator[str]:
    """Yield the paths of a construct and of all that it lies in, down to the app's, which is ""."""
    parts = path.split("/")
    for length in range(len(parts), -1, -1):
        yield "/".join(parts[:length])


def _report(unused: Sequence[_Acknowledgement]) -> PolicyValidationPluginReport:
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


def _findings(pack: "NagPack", root: IConstruct) -> Iterator[tuple[str, str]]:
    """Yield rule and construct of what ``pack`` has just found.

    A pack keeps it in a member that TypeScript calls private, and resolving the pack returns all
    its members in one message. Its report would be read field by field, in thousands of them.
    """
    resolver = DefaultTokenResolver(StringConcat())
    members = Tokenization.resolve(pack, resolver=resolver, scope=root)
    for violation in members["violations"]:
        for resource in violation["violatingResources"]:
            yield violation["ruleName"], resource["constructPath"]
