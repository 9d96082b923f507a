"""The catalogue of instance types: accelerators, and the CPU types for system and data work.

A type is in here only if every figure could be confirmed. Sizes, processors, memory, local disks,
accelerators, EFA and pods of a family are from
https://karpenter.sh/docs/reference/instance-types/, which is generated from the EC2 API, and its
network cards from
https://github.com/aws/amazon-vpc-resource-controller-k8s/blob/master/pkg/aws/vpc/limits.go,
unless the family names a source of its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from llm_constructs.specs.instance_type import (
    Accelerator,
    Architecture,
    CapacityOption,
    DeviceKind,
    EfaLayout,
    InstanceType,
    SageMakerUse,
)
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import REGIONS

_DEMAND = frozenset({CapacityOption.ON_DEMAND, CapacityOption.CAPACITY_RESERVATION})
_SPOT = _DEMAND | {CapacityOption.SPOT}
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html
_BLOCK = frozenset({CapacityOption.CAPACITY_BLOCK})
# https://docs.aws.amazon.com/sagemaker/latest/dg/reserve-capacity-with-training-plans.html
_PLAN = frozenset({CapacityOption.TRAINING_PLAN})

_TRAINED = frozenset({SageMakerUse.HYPERPOD, SageMakerUse.TRAINING, SageMakerUse.ENDPOINT})
_EVERYWHERE = frozenset(SageMakerUse)
_WITHOUT_HYPERPOD = _EVERYWHERE - {SageMakerUse.HYPERPOD}
_HYPERPOD_AND_ENDPOINT = frozenset({SageMakerUse.HYPERPOD, SageMakerUse.ENDPOINT})


def _nvidia(name: str, memory_gib: int, driver_floor: int) -> Accelerator:
    return Accelerator(DeviceKind.NVIDIA, name, memory_gib, driver_floor)


def _neuron(name: str, memory_gib: int, cores: int, logical_cores: int) -> Accelerator:
    return Accelerator(
        DeviceKind.NEURON, name, memory_gib, cores=cores, logical_cores=logical_cores
    )


A10G: Final = _nvidia("A10G", 22, 455)
L4: Final = _nvidia("L4", 22, 520)
L40S: Final = _nvidia("L40S", 44, 520)
A100_40: Final = _nvidia("A100", 40, 450)
A100_80: Final = _nvidia("A100", 80, 450)
H100: Final = _nvidia("H100", 80, 520)
H200: Final = _nvidia("H200", 141, 520)
B200: Final = _nvidia("B200", 179, 570)
B300: Final = _nvidia("B300", 268, 575)
GB200: Final = _nvidia("GB200", 185, 570)
INFERENTIA2: Final = _neuron("Inferentia2", 32, 2, 2)
TRAINIUM: Final = _neuron("Trainium", 32, 2, 2)
TRAINIUM2: Final = _neuron("Trainium2", 96, 8, 4)


@dataclass(frozen=True, kw_only=True)
class _Family:
    """Types that share everything but their size.

    A row of ``sizes`` is the size, vCPUs, GiB, pods, devices, GB of local NVMe and EFA interfaces.
    ``extra_cards`` counts the network cards without EFA.
    """

    name: str
    sizes: tuple[tuple[str, int, int, int, int, int, int], ...]
    regions: frozenset[str]
    accelerator: Accelerator | None = None
    architecture: Architecture = Architecture.AMD64
    capacity_options: frozenset[CapacityOption] = _SPOT
    sagemaker_uses: frozenset[SageMakerUse] = frozenset()
    ultraserver_sizes: tuple[int, ...] = ()
    extra_cards: int = 0

    def __iter__(self) -> Iterator[InstanceType]:
        for size, vcpus, gib, pods, devices, nvme, efa in self.sizes:
            yield InstanceType(
                name=f"{self.name}.{size}",
                vcpus=vcpus,
                memory_gib=gib,
                max_pods=pods,
                architecture=self.architecture,
                accelerator=self.accelerator,
                accelerator_count=devices,
                local_nvme_gb=nvme,
                efa=EfaLayout(efa, efa + self.extra_cards) if efa else None,
                ultraserver_sizes=self.ultraserver_sizes,
                capacity_options=self.capacity_options,
                sagemaker_uses=self.sagemaker_uses,
                regions=self.regions,
            )


def _in(regions: str) -> frozenset[str]:
    return frozenset(regions.split())


def _not_in(regions: str) -> frozenset[str]:
    return frozenset(REGIONS) - _in(regions)


_G = (
    _Family(
        name="g5",
        accelerator=A10G,
        sagemaker_uses=_EVERYWHERE,
        regions=_in(
            "ap-east-1 ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ap-southeast-3 "
            "ca-central-1 eu-central-1 eu-north-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 "
            "il-central-1 me-central-1 sa-east-1 us-east-1 us-east-2 us-west-2"
        ),
        sizes=(
            ("xlarge", 4, 16, 58, 1, 250, 0),
            ("2xlarge", 8, 32, 58, 1, 450, 0),
            ("4xlarge", 16, 64, 234, 1, 600, 0),
            ("8xlarge", 32, 128, 234, 1, 900, 1),
            ("12xlarge", 48, 192, 737, 4, 3_800, 1),
            ("16xlarge", 64, 256, 234, 1, 1_900, 1),
            ("24xlarge", 96, 384, 737, 4, 3_800, 1),
            ("48xlarge", 192, 768, 345, 8, 7_600, 1),
        ),
    ),
    _Family(
        name="g6",
        accelerator=L4,
        sagemaker_uses=_EVERYWHERE,
        regions=_in(
            "ap-northeast-1 ap-northeast-2 ap-south-1 ap-south-2 ap-southeast-2 ap-southeast-5 "
            "ca-central-1 eu-central-1 eu-central-2 eu-north-1 eu-south-2 eu-west-2 eu-west-3 "
            "me-central-1 sa-east-1 us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-west-2"
        ),
        sizes=(
            ("xlarge", 4, 16, 58, 1, 250, 0),
            ("2xlarge", 8, 32, 58, 1, 450, 0),
            ("4xlarge", 16, 64, 234, 1, 600, 0),
            ("8xlarge", 32, 128, 234, 1, 900, 1),
            ("12xlarge", 48, 192, 234, 4, 3_760, 1),
            ("16xlarge", 64, 256, 737, 1, 1_880, 1),
            ("24xlarge", 96, 384, 737, 4, 3_760, 1),
            ("48xlarge", 192, 768, 737, 8, 7_520, 1),
        ),
    ),
    _Family(
        name="g6e",
        accelerator=L40S,
        sagemaker_uses=_EVERYWHERE,
        regions=_in(
            "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 eu-central-1 "
            "eu-north-1 eu-south-2 me-central-1 us-east-1 us-east-2 us-west-2"
        ),
        sizes=(
            ("xlarge", 4, 32, 58, 1, 250, 0),
            ("2xlarge", 8, 64, 58, 1, 450, 0),
            ("4xlarge", 16, 128, 234, 1, 600, 0),
            ("8xlarge", 32, 256, 234, 1, 900, 1),
            ("12xlarge", 48, 384, 292, 4, 3_800, 1),
            ("16xlarge", 64, 512, 737, 1, 1_900, 1),
            ("24xlarge", 96, 768, 492, 4, 3_800, 2),
            ("48xlarge", 192, 1_536, 492, 8, 7_600, 4),
        ),
    ),
)

_P = (
    _Family(
        name="p4d",
        accelerator=A100_40,
        capacity_options=_SPOT | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in(
            "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 "
            "eu-central-1 eu-north-1 eu-west-1 eu-west-2 sa-east-1 us-east-1 us-east-2 "
            "us-gov-west-1 us-west-2"
        ),
        sizes=(("24xlarge", 96, 1_152, 737, 8, 8_000, 4),),
    ),
    _Family(
        name="p4de",
        accelerator=A100_80,
        capacity_options=_SPOT | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in("ap-northeast-1 ap-southeast-1 eu-central-1 il-central-1 us-east-1 us-west-2"),
        sizes=(("24xlarge", 96, 1_152, 737, 8, 8_000, 4),),
    ),
    _Family(
        name="p5",
        accelerator=H100,
        capacity_options=_SPOT | _BLOCK | _PLAN,
        sagemaker_uses=_EVERYWHERE,
        regions=_in(
            "ap-northeast-1 ap-south-1 ap-southeast-2 ap-southeast-3 eu-north-1 eu-west-2 "
            "sa-east-1 us-east-1 us-east-2 us-gov-west-1 us-west-2"
        ),
        sizes=(("4xlarge", 16, 256, 118, 1, 3_800, 1),),
    ),
    _Family(
        name="p5",
        accelerator=H100,
        capacity_options=_SPOT | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in(
            "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ap-southeast-3 ca-central-1 "
            "eu-north-1 eu-west-2 sa-east-1 us-east-1 us-east-2 us-gov-west-1 us-west-1 us-west-2"
        ),
        sizes=(("48xlarge", 192, 2_048, 100, 8, 30_400, 32),),
    ),
    _Family(
        name="p5e",
        accelerator=H200,
        capacity_options=_DEMAND | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in("us-east-2"),
        sizes=(("48xlarge", 192, 2_048, 100, 8, 30_400, 32),),
    ),
    _Family(
        name="p5en",
        accelerator=H200,
        capacity_options=_SPOT | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in(
            "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-3 eu-north-1 eu-south-2 "
            "me-central-1 us-east-1 us-east-2 us-gov-west-1 us-west-1 us-west-2"
        ),
        sizes=(("48xlarge", 192, 2_048, 198, 8, 30_400, 16),),
    ),
    _Family(
        name="p6-b200",
        accelerator=B200,
        capacity_options=_DEMAND | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in(
            "ap-south-1 ap-south-2 eu-north-1 eu-west-3 us-east-1 us-east-2 us-gov-east-1 "
            "us-gov-west-1 us-west-2"
        ),
        sizes=(("48xlarge", 192, 2_048, 198, 8, 30_400, 8),),
    ),
    # https://aws.amazon.com/ec2/instance-types/p6/ has its sizes, and
    # https://github.com/aws/aws-parallelcluster/issues/7143 its 17 network cards, 16 with EFA.
    _Family(
        name="p6-b300",
        accelerator=B300,
        capacity_options=_DEMAND | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in(
            "ap-northeast-2 ap-south-2 ap-southeast-3 eu-west-2 sa-east-1 us-east-1 us-gov-east-1 "
            "us-west-2"
        ),
        sizes=(("48xlarge", 192, 4_096, 198, 8, 30_720, 16),),
        extra_cards=1,
    ),
    # https://aws.amazon.com/ec2/instance-types/p6/. Neither its layout of EFA nor its limit of pods
    # is published: it counts as having no EFA, and gets the 250 pods that
    # https://docs.aws.amazon.com/eks/latest/best-practices/networking.html caps large nodes at.
    _Family(
        name="p6e-gb200",
        accelerator=GB200,
        architecture=Architecture.ARM64,
        capacity_options=_BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=frozenset(),
        sizes=(("36xlarge", 144, 960, 250, 4, 22_500, 0),),
        ultraserver_sizes=(9, 18),
    ),
)

_TRN1 = _in("us-east-1 us-east-2 us-west-2")

_NEURON = (
    _Family(
        name="trn1",
        accelerator=TRAINIUM,
        sagemaker_uses=frozenset({SageMakerUse.TRAINING, SageMakerUse.ENDPOINT}),
        regions=_TRN1,
        sizes=(("2xlarge", 8, 32, 58, 1, 474, 0),),
    ),
    _Family(
        name="trn1",
        accelerator=TRAINIUM,
        capacity_options=_SPOT | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_TRN1,
        sizes=(("32xlarge", 128, 512, 247, 16, 7_600, 8),),
    ),
    _Family(
        name="trn1n",
        accelerator=TRAINIUM,
        capacity_options=_DEMAND,
        sagemaker_uses=_TRAINED,
        regions=_TRN1,
        sizes=(("32xlarge", 128, 512, 247, 16, 7_600, 16),),
    ),
    _Family(
        name="trn2",
        accelerator=TRAINIUM2,
        capacity_options=_DEMAND | _BLOCK | _PLAN,
        sagemaker_uses=_TRAINED,
        regions=_in("ap-south-2 us-east-2"),
        sizes=(("48xlarge", 192, 2_048, 100, 16, 7_600, 16),),
    ),
    _Family(
        name="inf2",
        accelerator=INFERENTIA2,
        sagemaker_uses=frozenset({SageMakerUse.ENDPOINT}),
        regions=_in(
            "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1 "
            "eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-2"
        ),
        sizes=(("xlarge", 4, 16, 58, 1, 0, 0),),
    ),
    _Family(
        name="inf2",
        accelerator=INFERENTIA2,
        sagemaker_uses=frozenset({SageMakerUse.ENDPOINT}),
        regions=_in(
            "ap-northeast-1 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1 eu-north-1 "
            "eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-2"
        ),
        sizes=(
            ("8xlarge", 32, 128, 234, 1, 0, 0),
            ("24xlarge", 96, 384, 737, 6, 0, 0),
            ("48xlarge", 192, 768, 737, 12, 0, 0),
        ),
    ),
)

# CPU types have EFA from their largest sizes on, which have no rows but that of c6id.
_CPU = (
    _Family(
        name="m7i",
        sagemaker_uses=_EVERYWHERE,
        regions=_not_in("ca-west-1 me-south-1"),
        sizes=(
            ("large", 2, 8, 29, 0, 0, 0),
            ("xlarge", 4, 16, 58, 0, 0, 0),
            ("2xlarge", 8, 32, 58, 0, 0, 0),
            ("4xlarge", 16, 64, 234, 0, 0, 0),
            ("8xlarge", 32, 128, 234, 0, 0, 0),
            ("12xlarge", 48, 192, 234, 0, 0, 0),
        ),
    ),
    _Family(
        name="m7g",
        architecture=Architecture.ARM64,
        sagemaker_uses=frozenset({SageMakerUse.HYPERPOD}),
        regions=_not_in("ca-west-1 eu-south-1"),
        sizes=(
            ("large", 2, 8, 29, 0, 0, 0),
            ("xlarge", 4, 16, 58, 0, 0, 0),
            ("2xlarge", 8, 32, 58, 0, 0, 0),
            ("4xlarge", 16, 64, 234, 0, 0, 0),
            ("8xlarge", 32, 128, 234, 0, 0, 0),
            ("12xlarge", 48, 192, 234, 0, 0, 0),
        ),
    ),
    _Family(
        name="c7i",
        sagemaker_uses=_WITHOUT_HYPERPOD,
        regions=_not_in("me-south-1"),
        sizes=(
            ("xlarge", 4, 8, 58, 0, 0, 0),
            ("2xlarge", 8, 16, 58, 0, 0, 0),
            ("4xlarge", 16, 32, 234, 0, 0, 0),
            ("8xlarge", 32, 64, 234, 0, 0, 0),
            ("12xlarge", 48, 96, 234, 0, 0, 0),
        ),
    ),
    _Family(
        name="c6i",
        sagemaker_uses=_EVERYWHERE,
        regions=_not_in("ap-southeast-3 ap-southeast-4 eu-central-2 eu-south-2 me-central-1"),
        sizes=(
            ("xlarge", 4, 8, 58, 0, 0, 0),
            ("2xlarge", 8, 16, 58, 0, 0, 0),
            ("4xlarge", 16, 32, 234, 0, 0, 0),
            ("8xlarge", 32, 64, 234, 0, 0, 0),
            ("12xlarge", 48, 96, 234, 0, 0, 0),
            ("16xlarge", 64, 128, 737, 0, 0, 0),
        ),
    ),
    _Family(
        name="c6id",
        regions=_in(
            "ap-east-2 ap-northeast-1 ap-northeast-2 ap-southeast-1 ap-southeast-2 ap-southeast-5 "
            "ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-south-1 "
            "eu-west-1 eu-west-2 eu-west-3 il-central-1 mx-central-1 sa-east-1 us-east-1 us-east-2 "
            "us-gov-west-1 us-west-2"
        ),
        sizes=(
            ("xlarge", 4, 8, 58, 0, 237, 0),
            ("2xlarge", 8, 16, 58, 0, 474, 0),
            ("4xlarge", 16, 32, 234, 0, 950, 0),
            ("8xlarge", 32, 64, 234, 0, 1_900, 0),
            ("12xlarge", 48, 96, 234, 0, 2_850, 0),
            ("16xlarge", 64, 128, 737, 0, 3_800, 0),
            ("24xlarge", 96, 192, 737, 0, 5_700, 0),
            ("32xlarge", 128, 256, 737, 0, 7_600, 1),
        ),
    ),
    _Family(
        name="c7gd",
        architecture=Architecture.ARM64,
        regions=_not_in(
            "af-south-1 ap-east-1 ap-east-2 ap-south-2 ap-southeast-4 ap-southeast-6 "
            "ap-southeast-7 ca-west-1 eu-south-1 il-central-1 me-central-1 me-south-1 mx-central-1"
        ),
        sizes=(
            ("xlarge", 4, 8, 58, 0, 237, 0),
            ("2xlarge", 8, 16, 58, 0, 474, 0),
            ("4xlarge", 16, 32, 234, 0, 950, 0),
            ("8xlarge", 32, 64, 234, 0, 1_900, 0),
            ("12xlarge", 48, 96, 234, 0, 2_850, 0),
        ),
    ),
)

INSTANCE_TYPES: Final[Mapping[str, InstanceType]] = MappingProxyType(
    {row.name: row for family in (*_G, *_P, *_NEURON, *_CPU) for row in family}
)
"""Every known type by its name, from small to large within a family."""

FAMILIES: Final[Mapping[str, tuple[InstanceType, ...]]] = MappingProxyType(
    {
        family: tuple(row for row in INSTANCE_TYPES.values() if row.family == family)
        for family in dict.fromkeys(row.family for row in INSTANCE_TYPES.values())
    }
)
"""The known types of each family."""

_NO_DRIVER = "It needs NVIDIA driver 595, and EKS's images carry 580."

REFUSED_FAMILIES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "g7": (_NO_DRIVER, "Choose g6e until the images carry 595."),
        "g7e": (_NO_DRIVER, "Choose g6e until the images carry 595."),
        "g6f": (
            "It has a fraction of a GPU, which Kubernetes cannot count.",
            "Choose g6, and share its GPU among pods.",
        ),
        "trn2u": (
            "Neither SageMaker nor EC2's prices know it, so that nothing here could be confirmed.",
            "Choose trn2.48xlarge.",
        ),
    }
)
"""Families that people will ask for, with the reason and the remedy.

The driver of g7: https://github.com/NVIDIA/aicr/issues/2743
"""


def known_types(names: Iterable[str], problems: Problems, field: str) -> tuple[InstanceType, ...]:
    """Return the rows of ``names``, and note a problem for each that the catalogue does not have.

    The remedy names the known sizes of the family, or the known families.
    """
    rows = []
    for name in names:
        row = INSTANCE_TYPES.get(name)
        if row is None:
            _refuse(name, name.partition(".")[0], problems, field)
        else:
            rows.append(row)
    return tuple(rows)


def known_families(
    names: Iterable[str], problems: Problems, field: str
) -> tuple[InstanceType, ...]:
    """Return all rows of the families, and note a problem for each family without rows."""
    rows: list[InstanceType] = []
    for name in names:
        if name in FAMILIES:
            rows += FAMILIES[name]
        else:
            _refuse(name, name, problems, field)
    return tuple(rows)


def _refuse(name: str, family: str, problems: Problems, field: str) -> None:
    if family in REFUSED_FAMILIES:
        reason, remedy = REFUSED_FAMILIES[family]
    elif family in FAMILIES:
        reason = "The catalogue has no such size of the family."
        remedy = f"Choose from {', '.join(row.name for row in FAMILIES[family])}."
    else:
        reason = "The catalogue has no such family, so nothing could be derived for its nodes."
        remedy = f"Choose a type of {', '.join(FAMILIES)}."
    problems.add(field, name, reason, remedy)
