"""Groups of like nodes of a HyperPod cluster.

Source, unless a constant names its own:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ClusterInstanceGroupSpecification.html
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llm_constructs.specs.accelerators import INSTANCE_TYPES, known_types
from llm_constructs.specs.image_updates import ImageUpdates
from llm_constructs.specs.instance_type import (
    Architecture,
    CapacityOption,
    DeviceKind,
    InstanceType,
    SageMakerUse,
)
from llm_constructs.specs.lifecycle_settings import NodeRole
from llm_constructs.specs.node_location import check_zone
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.training_plan import TrainingPlan

MOST_NODES: Final = 6_758
LARGEST_VOLUME: Final = 16_384
"""GB of the secondary volume."""
MOST_TYPES: Final = 20
LONGEST_PARTITION: Final = 1_024

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_PARTITION = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_AMI_ID = re.compile(r"ami-[0-9a-fA-F]{8,17}")
_RELEASE = re.compile(r"\d+\.\d+\.\d+")


class DeepHealthCheck(StrEnum):
    """What a node must pass before its first job; ``OnStartDeepHealthChecks`` of the API.

    The API also knows MultiNodeTrainingValidation, which CloudFormation refuses.
    """

    INSTANCE_STRESS = "InstanceStress"
    """Accelerators, processor, memory and EFA of the node alone."""
    INSTANCE_CONNECTIVITY = "InstanceConnectivity"
    """NCCL or NCCOM between nodes."""


class EfaInterface(StrEnum):
    """What the network cards of a node carry; ``InterfaceType`` of the API."""

    EFA = "efa"
    """EFA and an address of IP on every card."""
    EFA_ONLY = "efa-only"
    """EFA alone on all cards but the first, so that a node takes few addresses."""


@dataclass(frozen=True, kw_only=True)
class InstanceGroup:
    """Nodes of one type, one role and one image.

    Raises :class:`SpecificationError` with everything that HyperPod would refuse, after up to
    twelve hours.
    """

    name: str
    """Unique in the cluster: letters, digits and hyphens."""
    instance_type: str
    """A type of the catalogue, without `ml.`."""
    count: int
    """Nodes of the group; with a training plan, at most the plan's."""
    role: NodeRole = NodeRole.COMPUTE
    """`controller`, `login` or `compute`. Nodes that EKS orchestrates all compute."""
    minimum: int | None = None
    """Nodes with which the group counts as ready; without them within three hours, it is rolled
    back. Left out: HyperPod goes on trying for all."""
    fallback_types: tuple[str, ...] = ()
    """Types to take in this order when the first has no capacity. EKS only."""
    partition: str | None = None
    """The Slurm partition of a compute group. Left out: its name."""
    zone: str | None = None
    """The zone of its subnet. Left out: the network's accelerator zone."""
    training_plan: TrainingPlan | None = None
    """The plan that its capacity was bought with. Left out: on-demand capacity."""
    spot: bool = False
    """Take spot capacity, which ends at two minutes' notice. EKS only."""
    efa: EfaInterface = EfaInterface.EFA
    """`efa`, or `efa-only` to save addresses; of no effect for types without EFA."""
    deep_health_checks: tuple[DeepHealthCheck, ...] | None = None
    """`InstanceStress`, `InstanceConnectivity`. Left out: all that fit the type, on Slurm without
    `InstanceConnectivity` for a group of one node; `[]`: none."""
    threads_per_core: int | None = None
    """1 turns simultaneous multithreading off, 2 leaves it on. Left out: the type's default."""
    volume_gb: int = 200
    """Size of the secondary volume at /opt/sagemaker, besides the root volume."""
    updates: ImageUpdates | None = None
    """When nodes get new images. Left out: when somebody says so."""
    image_release: str | None = None
    """The release of HyperPod's image, as in `1.2.3`. EKS only. Left out: the latest one."""
    ami_id: str | None = None
    """An image of your own that was made from HyperPod's. Left out: HyperPod's."""
    unlisted_region: bool = False
    """Set it when AWS sells you the type in the region though SageMaker's prices do not show it."""

    def __post_init__(self) -> None:
        problems = Problems(f"instance group {self.name}")
        problems.require(
            _NAME.fullmatch(self.name) is not None,
            "name",
            self.name,
            "HyperPod takes 1 to 63 letters, digits and inner hyphens.",
            "Give a name such as trn2-training.",
        )
        self._check_role(problems)
        self._check_counts(problems)
        self._check_volume(problems)
        self._check_images(problems)
        self._check_types(problems)
        if self.zone is not None:
            check_zone(problems, "zone", self.zone)
        problems.raise_if_any()

    def _check_role(self, problems: Problems) -> None:
        if self.partition is None:
            return
        problems.require(
            self.role == NodeRole.COMPUTE,
            "partition",
            self.partition,
            f"Slurm runs no jobs on a {self.role} node, so it belongs to no partition.",
            "Leave it out, or give the group the role compute.",
        )
        problems.require(
            _PARTITION.fullmatch(self.partition) is not None
            and len(self.partition) <= LONGEST_PARTITION,
            "partition",
            self.partition,
            "HyperPod takes letters, digits and inner hyphens, and one partition for each group.",
            "Give a name such as trn2.",
        )

    def _check_counts(self, problems: Problems) -> None:
        problems.require(
            0 <= self.count <= MOST_NODES,
            "count",
            self.count,
            f"A group has 0 to {MOST_NODES} nodes.",
            "Divide the nodes among several groups, or give 0 for a group that waits.",
        )
        problems.require(
            self.minimum is None or 0 <= self.minimum <= self.count,
            "minimum",
            self.minimum,
            f"It must lie between 0 and count, which is {self.count}.",
            "Lower it, raise count, or leave it out.",
        )
        problems.require(
            self.role != NodeRole.CONTROLLER or self.count == 1,
            "count",
            self.count,
            "HyperPod sets Slurm up with one controller; several need an installation by hand.",
            "Give 1.",
        )
        plan = self.training_plan
        problems.require(
            plan is None or plan.nodes is None or self.count <= plan.nodes,
            "count",
            self.count,
            f"The training plan has {plan.nodes if plan else None} instances.",
            "Lower it, or put the other nodes into a group without the plan.",
        )

    def _check_volume(self, problems: Problems) -> None:
        problems.require(
            1 <= self.volume_gb <= LARGEST_VOLUME,
            "volume_gb",
            self.volume_gb,
            f"The secondary volume has 1 to {LARGEST_VOLUME} GB.",
            "Large data belongs on the file system; 200 is enough for images of containers.",
        )
        problems.require(
            self.threads_per_core in (None, 1, 2),
            "threads_per_core",
            self.threads_per_core,
            "A core runs one thread or two.",
            "Give 1 or 2, or leave it out.",
        )

    def _check_images(self, problems: Problems) -> None:
        problems.require(
            self.image_release is None or _RELEASE.fullmatch(self.image_release) is not None,
            "image_release",
            self.image_release,
            "It is no release of HyperPod's image.",
            "Write it as 1.2.3.",
        )
        problems.require(
            self.ami_id is None or _AMI_ID.fullmatch(self.ami_id) is not None,
            "ami_id",
            self.ami_id,
            "It is not the id of an image.",
            "Write it as ami-0123456789abcdef0.",
        )
        problems.require(
            self.ami_id is None or self.image_release is None,
            "image_release",
            self.image_release,
            "The group has an image of its own, which HyperPod does not release.",
            "Leave ami_id or image_release out.",
        )
        problems.require(
            self.ami_id is None or self.updates is None,
            "updates",
            str(self.updates),
            "HyperPod has no newer version of an image of your own.",
            "Leave updates out, and change ami_id instead.",
        )

    def _check_types(self, problems: Problems) -> None:
        names = (self.instance_type, *self.fallback_types)
        rows = known_types(names, problems, "instance_type")
        for row in rows:
            self._check_type(problems, row)
            self._check_capacity(problems, row)
            self._check_health(problems, row)
        self._check_fallbacks(problems, rows)

    def _check_type(self, problems: Problems, row: InstanceType) -> None:
        problems.require(
            SageMakerUse.HYPERPOD in row.sagemaker_uses,
            "instance_type",
            row.name,
            "HyperPod does not have this type.",
            f"Choose from {', '.join(_hyperpod_types(row.device_kind))}.",
        )
        problems.require(
            self.role != NodeRole.CONTROLLER or row.device_kind is DeviceKind.NONE,
            "instance_type",
            row.name,
            "Slurm runs no jobs on its controller, so the accelerators would only cost.",
            "Choose a CPU type such as m7i.2xlarge.",
        )
        problems.require(
            self.threads_per_core != 2 or row.architecture is not Architecture.ARM64,
            "threads_per_core",
            self.threads_per_core,
            f"The cores of {row.name} run one thread each.",
            "Give 1, or leave it out.",
        )
        smallest = min(row.ultraserver_sizes, default=1)
        problems.require(
            self.count % smallest == 0,
            "count",
            self.count,
            f"{row.name} comes in whole UltraServers of "
            f"{' or '.join(map(str, row.ultraserver_sizes))} instances.",
            f"Give a multiple of {smallest}.",
        )

    def _check_capacity(self, problems: Problems, row: InstanceType) -> None:
        problems.require(
            self.training_plan is None or CapacityOption.TRAINING_PLAN in row.capacity_options,
            "training_plan",
            self.training_plan and self.training_plan.arn,
            f"Training plans are not sold for {row.name}.",
            "Leave the plan out, or choose one of "
            f"{', '.join(_types_with(CapacityOption.TRAINING_PLAN))}.",
        )
        problems.require(
            self.training_plan is not None or row.has_on_demand_price,
            "training_plan",
            None,
            f"{row.name} has no on-demand capacity.",
            "Buy a training plan and give its ARN.",
        )
        problems.require(
            not self.spot or CapacityOption.SPOT in row.capacity_options,
            "spot",
            True,
            f"{row.name} has no spot capacity.",
            "Set spot = false, or choose another type.",
        )
        problems.require(
            not self.spot or self.training_plan is None,
            "spot",
            True,
            "The capacity of a training plan is bought, and never spot.",
            "Set spot = false, or put spot nodes into a group of their own.",
        )

    def _check_health(self, problems: Problems, row: InstanceType) -> None:
        checks = self.deep_health_checks or ()
        unknown = [str(check) for check in checks if check not in tuple(DeepHealthCheck)]
        problems.require(
            not unknown,
            "deep_health_checks",
            unknown,
            "CloudFormation has no such check; MultiNodeTrainingValidation exists in the API only.",
            f"Choose from {', '.join(DeepHealthCheck)}.",
        )
        problems.require(
            not checks or row.device_kind is not DeviceKind.NONE,
            "deep_health_checks",
            [str(check) for check in checks],
            f"They test accelerators and EFA, and {row.name} has none.",
            "Leave it out.",
        )
        problems.require(
            DeepHealthCheck.INSTANCE_CONNECTIVITY not in checks or row.efa is not None,
            "deep_health_checks",
            str(DeepHealthCheck.INSTANCE_CONNECTIVITY),
            f"It tests collective communication over EFA, which {row.name} does not have.",
            "Leave it out, or choose a larger size.",
        )
        problems.require(
            len(set(checks)) == len(checks),
            "deep_health_checks",
            [str(check) for check in checks],
            "A check is named twice.",
            "Name each once.",
        )

    def _check_fallbacks(self, problems: Problems, rows: tuple[InstanceType, ...]) -> None:
        if not self.fallback_types:
            return
        names = [self.instance_type, *self.fallback_types]
        problems.require(
            len(set(names)) == len(names) <= MOST_TYPES,
            "fallback_types",
            list(self.fallback_types),
            f"A group has at most {MOST_TYPES} types, each once.",
            "Name each type once.",
        )
        problems.require(
            len({(row.device_kind, row.accelerator_count, row.architecture) for row in rows}) <= 1,
            "fallback_types",
            list(self.fallback_types),
            "The types differ in kind or number of accelerators or in processor, so that no job "
            "fits all.",
            "Make a group for each kind.",
        )
        problems.require(
            self.training_plan is None,
            "fallback_types",
            list(self.fallback_types),
            "A training plan holds instances of one type.",
            "Leave them out, or put them into a group without the plan.",
        )

    @property
    def row(self) -> InstanceType:
        """The first type's row of the catalogue."""
        return INSTANCE_TYPES[self.instance_type]

    @property
    def rows(self) -> tuple[InstanceType, ...]:
        """The rows of all types, in order of preference."""
        return tuple(INSTANCE_TYPES[name] for name in (self.instance_type, *self.fallback_types))

    @property
    def sagemaker_types(self) -> tuple[str, ...]:
        """All types by their names in SageMaker, in order of preference."""
        return tuple(f"ml.{row.name}" for row in self.rows)

    @property
    def has_efa(self) -> bool:
        """Whether nodes of every type of the group have EFA."""
        return all(row.efa is not None for row in self.rows)

    @property
    def partitions(self) -> tuple[str, ...]:
        """The Slurm partition of a compute group, as HyperPod takes it."""
        return (self.partition or self.name,) if self.role == NodeRole.COMPUTE else ()

    @property
    def effective_deep_health_checks(self) -> tuple[DeepHealthCheck, ...]:
        """What is checked, chosen or because it fits every type."""
        if self.deep_health_checks is not None:
            return self.deep_health_checks
        if self.row.device_kind is DeviceKind.NONE:
            return ()
        return tuple(DeepHealthCheck) if self.has_efa else (DeepHealthCheck.INSTANCE_STRESS,)


def _hyperpod_types(kind: DeviceKind) -> list[str]:
    return [
        row.name
        for row in INSTANCE_TYPES.values()
        if row.device_kind is kind and SageMakerUse.HYPERPOD in row.sagemaker_uses
    ]


def _types_with(option: CapacityOption) -> list[str]:
    return [
        row.name
        for row in INSTANCE_TYPES.values()
        if option in row.capacity_options and SageMakerUse.HYPERPOD in row.sagemaker_uses
    ]
