"""SageMaker training plans: capacity bought beforehand for the nodes of a HyperPod cluster."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from llm_constructs.specs.node_location import check_zone, zone_region
from llm_constructs.specs.problem import Problems

RECLAIM_NOTICE: Final = timedelta(minutes=30)
"""HyperPod takes the nodes of a plan away so long before its end.

https://docs.aws.amazon.com/sagemaker/latest/dg/reserve-capacity-with-training-plans.html
"""

EXPIRY_NOTICE: Final = timedelta(days=3)
"""How long before the end of a plan people are told: buying and moving takes days, not hours."""

_ARN = re.compile(
    r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]+):(\d{12}):training-plan/[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}"
)


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A training plan that has been bought. Its type is that of the group that runs on it.

    Raises :class:`SpecificationError` for an ARN of something else and impossible times.
    """

    arn: str
    """The plan's ARN, as in `arn:aws:sagemaker:us-east-2:111111111111:training-plan/name`."""
    zone: str | None = None
    """The zone of its capacity, which `aws sagemaker describe-training-plan` tells. Given, it is
    compared with the subnet here instead of by a deployment that fails."""
    nodes: int | None = None
    """Instances in the plan. Given, groups that ask for more are refused."""
    start: datetime | None = None
    """When it begins, with its offset from UTC."""
    end: datetime | None = None
    """When it ends. Given, people are told three days before."""

    def __post_init__(self) -> None:
        problems = Problems("training plan")
        match = _ARN.fullmatch(self.arn)
        if match is None:
            problems.add("arn", self.arn, *_wrong_arn(self.arn))
        if self.zone is not None:
            check_zone(problems, "zone", self.zone)
            self._check_zone_region(problems, match.group(1) if match else None, self.zone)
        problems.require(
            self.nodes is None or self.nodes >= 1,
            "nodes",
            self.nodes,
            "A plan has at least one instance.",
            "Give the TotalInstanceCount of the plan, or leave it out.",
        )
        self._check_times(problems)
        problems.raise_if_any()

    def _check_zone_region(self, problems: Problems, region: str | None, zone: str) -> None:
        problems.require(
            region is None or zone_region(zone) in (None, region),
            "zone",
            zone,
            f"The plan lies in {region}, and this zone does not.",
            "Copy zone and ARN from the same plan.",
        )

    def _check_times(self, problems: Problems) -> None:
        for field, time in (("start", self.start), ("end", self.end)):
            problems.require(
                time is None or time.tzinfo is not None,
                field,
                str(time),
                "A time without its offset from UTC is another one in each zone.",
                "Write it as 2027-01-11T11:30:00Z.",
            )
        comparable = self.start and self.end and self.start.tzinfo and self.end.tzinfo
        if comparable and self.start and self.end:
            problems.require(
                self.end - self.start > RECLAIM_NOTICE,
                "end",
                str(self.end),
                f"It does not lie after {self.start}, or so soon that HyperPod takes the nodes at "
                "once.",
                "Copy both times from the plan.",
            )

    @property
    def region(self) -> str:
        """The region in its ARN."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account in its ARN."""
        return self.arn.split(":")[4]

    @property
    def notice_at(self) -> datetime | None:
        """When people are told of the end."""
        return self.end - EXPIRY_NOTICE if self.end else None


def _wrong_arn(arn: str) -> tuple[str, str]:
    if arn.startswith(("cr-", "cb-")) or ":capacity-reservation/" in arn:
        return (
            "It is EC2 capacity, and HyperPod launches its nodes outside of your EC2.",
            "Buy a training plan for HyperPod, or use the reservation in [[eks.groups]].",
        )
    if ":reserved-capacity/" in arn:
        return (
            "It is a reserved capacity, of which a plan has one or more.",
            "Give the ARN of the plan that holds it: `aws sagemaker list-training-plans`.",
        )
    return (
        "It is not the ARN of a training plan.",
        "Write it as arn:aws:sagemaker:us-east-2:111111111111:training-plan/name.",
    )
