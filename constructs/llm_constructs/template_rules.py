"""Rules for what neither CloudFormation's schemas nor the rule packs notice.

The constructs refuse these mistakes themselves. The rules catch them in resources that were made or
overridden by other means. They read the finished templates as plain dictionaries, which takes
milliseconds where an aspect over the construct tree takes hundreds (docs/performance.md).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
)

from llm_constructs.dashboard_rules import legal_dashboard
from llm_constructs.name_rules import (
    known_instance_types,
    known_kubernetes,
    legal_schedule,
    legal_variables,
)
from llm_constructs.protection_rules import PROTECTION_RULES, missing_tags
from llm_constructs.specs.lustre import DeploymentType, LustreVersion, LustreVolume
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.template_violation import Properties, Rule, Violation


def legal_lustre_file_system(properties: Properties) -> Iterator[Violation]:
    """Refuse sizes and settings of FSx for Lustre that the schema lets through."""
    if properties.get("FileSystemType") != "LUSTRE":
        return
    settings = properties.get("LustreConfiguration", {})
    values = (properties.get("StorageCapacity"), settings.get("PerUnitStorageThroughput"))
    if any(isinstance(value, Mapping) for value in values):
        return
    try:
        LustreVolume(
            # The specification reports values that are none of its choices.
            deployment_type=cast("DeploymentType", settings.get("DeploymentType", "SCRATCH_1")),
            capacity_gib=int(properties.get("StorageCapacity", 0)),
            throughput_mbps_per_tib=settings.get("PerUnitStorageThroughput"),
            metadata_iops=settings.get("MetadataConfiguration", {}).get("Iops"),
            efa=settings.get("EfaEnabled", False),
            lustre_version=cast("LustreVersion", properties.get("FileSystemTypeVersion", "2.15")),
            backup_retention_days=settings.get("AutomaticBackupRetentionDays", 0),
            repositories=(),
        )
    except SpecificationError as error:
        for problem in error.problems:
            name = problem.field.split(".", 1)[0]
            yield Violation(_LUSTRE_LOCATIONS.get(name, name), problem.reason, problem.remedy)


_LUSTRE_LOCATIONS = {
    "backup_retention_days": "LustreConfiguration.AutomaticBackupRetentionDays",
    "capacity_gib": "StorageCapacity",
    "deployment_type": "LustreConfiguration.DeploymentType",
    "efa": "LustreConfiguration.EfaEnabled",
    "lustre_version": "FileSystemTypeVersion",
    "metadata_iops": "LustreConfiguration.MetadataConfiguration.Iops",
    "throughput_mbps_per_tib": "LustreConfiguration.PerUnitStorageThroughput",
}


def absolute_repository_path(properties: Properties) -> Iterator[Violation]:
    """Refuse data repository associations whose path on the file system is relative."""
    path = properties.get("FileSystemPath")
    if isinstance(path, str) and not path.startswith("/"):
        yield Violation(
            "FileSystemPath",
            f"{path!r} is relative, and FSx takes absolute paths only.",
            f"Write /{path}.",
        )


def ordered_bounds(location: str, smallest: str, largest: str) -> Rule:
    """Return a rule that refuses a lower bound above its upper bound.

    ``location`` is the dotted path of the object that holds the two properties ("" for the top).
    """

    def rule(properties: Properties) -> Iterator[Violation]:
        holder: Any = properties
        for part in filter(None, location.split(".")):
            holder = holder.get(part, {})
        low, high = holder.get(smallest), holder.get(largest)
        if isinstance(low, Mapping) or isinstance(high, Mapping) or None in (low, high):
            return
        if float(low) > float(high):
            yield Violation(
                ".".join(filter(None, (location, smallest))),
                f"{smallest} is {low}, which is more than {largest}, {high}.",
                f"Lower {smallest} or raise {largest}.",
            )

    return rule


def current_launch_template(properties: Properties) -> Iterator[Violation]:
    """Refuse compute environments of Batch that never get a change of their launch template."""
    template = properties.get("ComputeResources", {}).get("LaunchTemplate")
    if template is not None and template.get("Version", "$Default") == "$Default":
        yield Violation(
            "ComputeResources.LaunchTemplate.Version",
            "Without it Batch takes the default version, which is the first for ever: no change of "
            "the template reaches an instance.",
            "Name the LatestVersionNumber of the template.",
        )


_LEGALITY_RULES: Mapping[str, tuple[Rule, ...]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        ordered_bounds("", "MinCapacity", "MaxCapacity"),
    ),
    "AWS::AutoScaling::AutoScalingGroup": (ordered_bounds("", "MinSize", "MaxSize"),),
    "AWS::Batch::ComputeEnvironment": (current_launch_template,),
    "AWS::CloudWatch::Dashboard": (legal_dashboard,),
    "AWS::EKS::Cluster": (known_kubernetes,),
    "AWS::EKS::Nodegroup": (
        known_instance_types,
        ordered_bounds("ScalingConfig", "MinSize", "MaxSize"),
        ordered_bounds("ScalingConfig", "DesiredSize", "MaxSize"),
        ordered_bounds("ScalingConfig", "MinSize", "DesiredSize"),
    ),
    "AWS::FSx::DataRepositoryAssociation": (absolute_repository_path,),
    "AWS::Events::Rule": (legal_schedule,),
    "AWS::FSx::FileSystem": (legal_lustre_file_system,),
    "AWS::Lambda::Function": (legal_variables,),
    "AWS::Scheduler::Schedule": (legal_schedule,),
}

RULES: Mapping[str, Sequence[Rule]] = {
    kind: (*_LEGALITY_RULES.get(kind, ()), *PROTECTION_RULES.get(kind, ()))
    for kind in sorted({*_LEGALITY_RULES, *PROTECTION_RULES})
}
"""The rules by the type of resource that they look at."""


@jsii.implements(IPolicyValidationPlugin)
class TemplateRules:
    """Applies :data:`RULES` to every template of the app."""

    @property
    def name(self) -> str:
        """The name under which the report lists it."""
        return "LlmPlatform"

    @property
    def version(self) -> str | None:
        """Not versioned apart from the project."""
        return None

    @property
    def rule_ids(self) -> list[str] | None:
        """The names of the rules."""
        return sorted({_rule_name(kind) for kind in RULES})

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Read each template once and report what its resources have wrong."""
        violations = [
            _reported(path, logical_id, kind, violation)
            for path in context.template_paths
            for logical_id, kind, violation in violations_of(_resources(Path(path)))
        ]
        return PolicyValidationPluginReport(success=not violations, violations=violations)


def violations_of(resources: Mapping[str, Any]) -> Iterator[tuple[str, str, Violation]]:
    """Yield all that the resources of one template have wrong: logical id, type and what it is."""
    for logical_id, resource in resources.items():
        kind = resource["Type"]
        for rule in RULES.get(kind, ()):
            for violation in rule(resource.get("Properties", {})):
                yield logical_id, kind, violation
    for logical_id, violation in missing_tags(resources):
        yield logical_id, resources[logical_id]["Type"], violation


def _resources(template: Path) -> Mapping[str, Any]:
    content = json.loads(template.read_text(encoding="utf-8"))
    found: Mapping[str, Any] = content.get("Resources", {})
    return found


def _rule_name(kind: str) -> str:
    return f"Legal{kind.rsplit('::', 1)[-1]}"


def _reported(path: str, logical_id: str, kind: str, violation: Violation) -> PolicyViolation:
    return PolicyViolation(
        rule_name=_rule_name(kind),
        description=f"{violation.location}: {violation.reason}",
        fix=violation.remedy,
        severity="error",
        violating_resources=[
            PolicyViolatingResource(
                resource_logical_id=logical_id,
                template_path=path,
                locations=[f"Properties.{violation.location}"],
            )
        ],
    )
