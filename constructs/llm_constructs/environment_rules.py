"""What every template of an environment keeps to: its tags, and its residency."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
)

from llm_constructs.residency_rules import (
    ResidencyPromise,
    leaving,
    leaving_copies,
    leaving_stack,
)
from llm_constructs.tag_rules import missing_tags
from llm_constructs.template_violation import Violation

BUCKET = "AWS::S3::Bucket"


@dataclass(frozen=True, kw_only=True)
class EnvironmentPromise:
    """What holds for every stack whose name begins with ``prefix``, such as ``llm-prod-``."""

    prefix: str
    residency: ResidencyPromise
    required_tags: frozenset[str]


@dataclass(frozen=True)
class Breach:
    """One resource, or output, of one stack, and what it does against the promise."""

    rule: str
    stack: str
    logical_id: str
    violation: Violation


@dataclass(frozen=True)
class _Stack:
    name: str
    region: str
    template: Mapping[str, Any]
    path: Path

    def resources(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for logical_id, resource in self.template.get("Resources", {}).items():
            yield logical_id, resource["Type"], resource.get("Properties", {})

    def buckets(self) -> Iterator[tuple[str, str]]:
        for logical_id, kind, properties in self.resources():
            if kind == BUCKET:
                yield logical_id, self.region
                if isinstance(properties.get("BucketName"), str):
                    yield properties["BucketName"], self.region


def breaches(directory: Path, promises: Sequence[EnvironmentPromise]) -> Iterator[Breach]:
    """Return what the stacks of the cloud assembly in ``directory`` do against ``promises``.

    A stack that no promise covers is a breach as well: nobody would have looked at it.
    """
    stacks = tuple(_stacks(directory))
    by_promise: dict[str, list[_Stack]] = {promise.prefix: [] for promise in promises}
    for stack in stacks:
        prefixes = [prefix for prefix in by_promise if stack.name.startswith(prefix)]
        if prefixes:
            by_promise[max(prefixes, key=len)].append(stack)
        else:
            yield Breach(
                "KnownEnvironment",
                stack.name,
                "",
                Violation(
                    "Stack",
                    "The stack belongs to no environment, so nobody promised where it may stand.",
                    "Make it a Layer.",
                ),
            )
    for promise in promises:
        yield from _breaches_of(by_promise[promise.prefix], promise)


def _breaches_of(stacks: Sequence[_Stack], promise: EnvironmentPromise) -> Iterator[Breach]:
    buckets = {name: region for stack in stacks for name, region in stack.buckets()}
    for stack in stacks:
        for violation in leaving_stack(stack.region, promise.residency):
            yield Breach("Residency", stack.name, "", violation)
        for logical_id, kind, properties in stack.resources():
            for rule, violation in _of_resource(kind, properties, buckets, promise):
                yield Breach(rule, stack.name, logical_id, violation)
        for name, output in stack.template.get("Outputs", {}).items():
            for violation in leaving("Output", output, promise.residency):
                yield Breach("Residency", stack.name, name, violation)


def _of_resource(
    kind: str,
    properties: Mapping[str, Any],
    buckets: Mapping[str, str],
    promise: EnvironmentPromise,
) -> Iterator[tuple[str, Violation]]:
    for violation in missing_tags(kind, properties, promise.required_tags):
        yield "RequiredTags", violation
    for violation in leaving(kind, properties, promise.residency):
        yield "Residency", violation
    if kind == BUCKET:
        for violation in leaving_copies(properties, buckets, promise.residency):
            yield "Residency", violation


def _stacks(directory: Path) -> Iterator[_Stack]:
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    for name, artifact in manifest["artifacts"].items():
        if artifact["type"] != "aws:cloudformation:stack":
            continue
        path = directory / artifact["properties"]["templateFile"]
        yield _Stack(
            name=artifact["properties"].get("stackName", name),
            region=artifact["environment"].rpartition("/")[2],
            template=json.loads(path.read_text(encoding="utf-8")),
            path=path,
        )


@jsii.implements(IPolicyValidationPlugin)
class EnvironmentRules:
    """Refuses an app whose stacks do not keep what their environments promise."""

    def __init__(self, promises: Sequence[EnvironmentPromise]) -> None:
        self._promises = tuple(promises)

    @property
    def name(self) -> str:
        """The name under which the report lists it."""
        return "Environments"

    @property
    def version(self) -> str | None:
        """Not versioned apart from the project."""
        return None

    @property
    def rule_ids(self) -> list[str] | None:
        """The names of the rules."""
        return ["KnownEnvironment", "RequiredTags", "Residency"]

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Read the whole cloud assembly once."""
        directory = Path(context.template_paths[0]).parent
        violations = [
            PolicyViolation(
                rule_name=breach.rule,
                description=f"{breach.violation.location}: {breach.violation.reason}",
                fix=breach.violation.remedy,
                severity="error",
                violating_resources=[
                    PolicyViolatingResource(
                        resource_logical_id=breach.logical_id,
                        template_path=str(directory / f"{breach.stack}.template.json"),
                        locations=[f"Properties.{breach.violation.location}"],
                    )
                ],
            )
            for breach in breaches(directory, self._promises)
        ]
        return PolicyValidationPluginReport(success=not violations, violations=violations)
