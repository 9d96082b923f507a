"""Training plans: whether they are what the file says, and lie where its nodes and data are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from config import Environment
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.training_plan import TrainingPlan
from ops.aws_account import Account, Call, RefusedError
from ops.preflight import clock
from ops.preflight.check import Finding, Severity
from ops.preflight.reservations import GROUP, TIME_TOLERANCE
from ops.preflight.zones import DESCRIBE_ZONES, zone_ids

DESCRIBE_PLAN: Final = Call("sagemaker", "DescribeTrainingPlan")

_LIVING: Final = frozenset({"Pending", "Scheduled", "Active"})
_LIST: Final = "Take the values of `aws sagemaker describe-training-plan`."


@dataclass(frozen=True)
class _Use:
    """A plan, and the groups that run on it."""

    plan: TrainingPlan
    groups: tuple[InstanceGroup, ...]
    zone: str | None
    """Where their subnet is."""

    @property
    def subject(self) -> str:
        return ", ".join(f"training.groups.{group.name}" for group in self.groups)

    @property
    def nodes(self) -> int:
        return sum(group.count for group in self.groups)


@dataclass(frozen=True)
class TrainingPlansCheck:
    """Each training plan of a HyperPod group exists as the file describes it."""

    title: str = "training plans against zone, window and size"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_PLAN, DESCRIBE_ZONES)

    def concerns(self, environment: Environment) -> bool:
        """It matters where a HyperPod group runs on a plan."""
        return any(True for _ in _uses(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Compare state, purpose, type, count, zone and window of each plan."""
        for use in _uses(environment):
            try:
                plan = account.call(DESCRIBE_PLAN, TrainingPlanName=use.plan.arn)
            except RefusedError as refused:
                if refused.code != "ResourceNotFound":
                    raise
                yield Finding(
                    use.subject,
                    f"The account has no training plan {use.plan.arn.rpartition('/')[2]} in "
                    f"{account.region}.",
                    "Buy one with `python -m ops capacity buy`, or correct its ARN.",
                )
                continue
            yield from _state_findings(use, plan)
            yield from _capacity_findings(use, plan, account)
            yield from _window_findings(use, plan)


def _uses(environment: Environment) -> Iterator[_Use]:
    by_arn: defaultdict[str, list[tuple[TrainingPlan, InstanceGroup]]] = defaultdict(list)
    for group in environment.training.groups if environment.training else ():
        if group.training_plan is not None:
            by_arn[group.training_plan.arn].append((group.training_plan, group))
    own = environment.network.chosen_vpc.accelerator_zone
    for users in by_arn.values():
        groups = tuple(group for _, group in users)
        yield _Use(users[0][0], groups, groups[0].zone or own)


def _state_findings(use: _Use, plan: Mapping[str, Any]) -> Iterator[Finding]:
    if plan["Status"] not in _LIVING:
        yield Finding(
            use.subject,
            f"The plan is {plan['Status'].lower()}.",
            "Buy another, and give its ARN.",
        )
    if "hyperpod-cluster" not in plan.get("TargetResources", ["hyperpod-cluster"]):
        yield Finding(
            use.subject,
            f"The plan is for {', '.join(plan['TargetResources'])} and not for HyperPod.",
            "Buy a plan whose target is hyperpod-cluster.",
        )
    total = plan.get("TotalInstanceCount")
    if total is not None and total != use.nodes:
        few = total < use.nodes
        yield Finding(
            use.subject,
            f"The plan has {total} instances, and the groups ask for {use.nodes}.",
            "Lower count." if few else "Raise count: what is not used is paid as well.",
            Severity.PROBLEM if few else Severity.WARNING,
        )


def _capacity_findings(use: _Use, plan: Mapping[str, Any], account: Account) -> Iterator[Finding]:
    summaries = plan.get("ReservedCapacitySummaries", ())
    expected = f"ml.{use.groups[0].instance_type}"
    for actual in sorted({summary["InstanceType"] for summary in summaries} - {expected}):
        yield Finding(use.subject, f"The plan holds {actual}, and not {expected}.", _LIST)
    if use.zone is None or not summaries:
        return
    # By id: a plan may have been bought by another account of the organisation.
    own = zone_ids(account, (use.zone,)).get(use.zone)
    for summary in summaries:
        zone_id, zone = summary.get("AvailabilityZoneId"), summary.get("AvailabilityZone")
        elsewhere = zone_id != own if zone_id and own else zone not in (None, use.zone)
        if elsewhere:
            yield Finding(
                use.subject,
                f"The plan's capacity lies in {zone or 'another zone'} ({zone_id or 'id unknown'}),"
                f" and its subnet and the file system in {use.zone} ({own or 'id unknown'}).",
                "Buy a plan in that zone. Moving the subnet means a new file system.",
            )


def _window_findings(use: _Use, plan: Mapping[str, Any]) -> Iterator[Finding]:
    for name, written in (("start", use.plan.start), ("end", use.plan.end)):
        actual: datetime | None = plan.get(f"{name.capitalize()}Time")
        if actual and written and abs(actual - written) >= TIME_TOLERANCE:
            yield Finding(
                f"{use.subject}: training_plan.{name}",
                f"The file says {written.astimezone(UTC):%Y-%m-%d %H:%M} UTC, and the plan's "
                f"{name} is {actual.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
                _LIST,
            )
    end: datetime | None = plan.get("EndTime")
    if end is not None and end <= clock.now():
        yield Finding(
            use.subject,
            f"The plan ended at {end.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
            "Remove its groups, or give them another plan.",
        )
