"""Where SageMaker HyperPod exists, and with which instance types.

Regions come from the registry of CloudFormation (``AWS::SageMaker::Cluster``) and types from
SageMaker's prices, both as cfn-lint carries them; a test compares. They are narrower than EC2's:
trn2.48xlarge nodes are sold in one region.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from llm_constructs.specs.instance_type import InstanceType, SageMakerUse
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import REGIONS, Jurisdiction


def _in(regions: str) -> frozenset[str]:
    return frozenset(regions.split())


HYPERPOD_REGIONS: Final = _in(
    "ap-northeast-1 ap-northeast-2 ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2 "
    "ap-southeast-3 ap-southeast-4 ca-central-1 eu-central-1 eu-north-1 eu-south-2 eu-west-1 "
    "eu-west-2 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2"
)
"""Regions whose CloudFormation makes HyperPod clusters. GovCloud has none."""


class GovernanceKind(StrEnum):
    """What HyperPod's task governance is made of, as SageMaker calls it."""

    SCHEDULING_POLICY = "ClusterSchedulerConfig"
    QUOTA = "ComputeQuota"


def _not_in(regions: str) -> frozenset[str]:
    return HYPERPOD_REGIONS - _in(regions)


_TRAINIUM1 = _not_in(
    "ap-northeast-2 ap-south-2 ap-southeast-3 ca-central-1 eu-south-2 eu-west-2"
) - {"us-west-1"}

_OFFERED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "g5": _not_in("ap-south-2 ap-southeast-4 eu-south-2 us-west-1"),
        "g6": _not_in("ap-southeast-1 ap-southeast-3 ap-southeast-4 eu-west-1 us-west-1"),
        "g6e": _in(
            "ap-northeast-1 ap-northeast-2 ap-south-2 eu-central-1 eu-north-1 eu-south-2 "
            "us-east-1 us-east-2 us-west-2"
        ),
        "p4d": _not_in("ap-south-2 ap-southeast-3 ap-southeast-4 eu-south-2 us-west-1"),
        "p4de": _in(
            "ap-northeast-1 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1 eu-north-1 "
            "eu-west-1 sa-east-1 us-east-1 us-east-2 us-west-2"
        ),
        "p5": _not_in("ap-south-2 ap-southeast-4 eu-south-2"),
        "p5.4xlarge": _in(
            "ap-northeast-1 ap-south-1 ap-southeast-2 ap-southeast-3 eu-west-2 sa-east-1 "
            "us-east-1 us-east-2 us-west-2"
        ),
        "p5en": _in(
            "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-3 eu-north-1 eu-south-2 "
            "us-east-1 us-east-2 us-west-1 us-west-2"
        ),
        "p6-b200": _in("ap-south-1 ap-south-2 us-east-1 us-east-2 us-west-2"),
        "p6-b300": _in("ap-south-2 ap-southeast-3 us-east-1 us-west-2"),
        "trn1": _TRAINIUM1,
        "trn1n": _TRAINIUM1,
        "trn2": _in("us-east-2"),
        "m7i": HYPERPOD_REGIONS,
        "m7g": HYPERPOD_REGIONS,
        "c6i": _not_in("ap-southeast-3 ap-southeast-4 eu-south-2"),
        "c6i.4xlarge": _not_in("ap-southeast-3 ap-southeast-4 eu-south-2 us-west-1"),
        "c6i.12xlarge": _not_in("ap-southeast-3 ap-southeast-4 eu-south-2 us-east-2"),
    }
)


WITHOUT_GOVERNANCE_RESOURCE: Final[Mapping[GovernanceKind, frozenset[str]]] = MappingProxyType(
    {
        GovernanceKind.SCHEDULING_POLICY: _in(
            "ap-northeast-2 ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 "
            "ap-southeast-4 ca-central-1 eu-west-1 eu-west-2 sa-east-1 us-east-2 "
            "us-west-2"
        ),
        GovernanceKind.QUOTA: _in(
            "ap-northeast-1 ap-northeast-2 ap-south-2 ap-southeast-3 ap-southeast-4 eu-north-1 "
            "eu-south-2 us-west-1"
        ),
    }
)
"""Regions of HyperPod in whose CloudFormation the kind is no resource. It may be one by now in
some of them, where a function still makes it."""


def has_governance_resource(kind: GovernanceKind, region: str) -> bool:
    """Return whether CloudFormation has a resource for ``kind`` in a region of HyperPod."""
    return region in HYPERPOD_REGIONS - WITHOUT_GOVERNANCE_RESOURCE[kind]


def offered_regions(row: InstanceType) -> frozenset[str]:
    """Return where SageMaker has a price for nodes of a type; none is known for some."""
    return _OFFERED.get(row.name, _OFFERED.get(row.family, frozenset()))


def check_service(problems: Problems, region: str, *, unlisted: bool) -> None:
    """Note a problem unless HyperPod exists in ``region``; ``unlisted`` admits any but GovCloud."""
    problems.require(
        REGIONS.get(region) is not Jurisdiction.US_GOV,
        "region",
        region,
        "GovCloud's CloudFormation has no AWS::SageMaker::Cluster.",
        "Remove [training], and train on the EKS cluster's own nodes ([[eks.groups]]).",
    )
    problems.require(
        unlisted or region in HYPERPOD_REGIONS or REGIONS.get(region) is Jurisdiction.US_GOV,
        "region",
        region,
        "CloudFormation's registry has no HyperPod clusters there.",
        f"Choose one of {', '.join(sorted(HYPERPOD_REGIONS))}; or set training.unlisted_region = "
        "true if AWS has opened it since.",
    )


def check_offered(
    problems: Problems, field: str, row: InstanceType, region: str, *, unlisted: bool
) -> None:
    """Note a problem unless HyperPod sells the type in ``region``, or ``unlisted``."""
    if unlisted or SageMakerUse.HYPERPOD not in row.sagemaker_uses:
        return
    known = offered_regions(row)
    where = f"Known are {', '.join(sorted(known))}." if known else "No region's prices have it."
    problems.require(
        region in known,
        field,
        row.name,
        f"SageMaker has no price for HyperPod nodes of it in {region}.",
        f"{where} If AWS sells you the capacity in {region}, set unlisted_region = true.",
    )
