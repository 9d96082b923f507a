"""What an EC2 instance type is to a Kubernetes node, and what follows from it.

Everything that depends on the type (launch template interfaces, AMI, taints, labels, resource
requests, parallelism) is derived here, so that node, pool and pod cannot disagree. The rows
themselves are in :mod:`llm_constructs.specs.accelerators`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class DeviceKind(StrEnum):
    """Who makes a type's accelerators, which decides driver, AMI, taint and resource name."""

    NVIDIA = "nvidia"
    NEURON = "neuron"
    NONE = "none"


class Architecture(StrEnum):
    """Values of the label ``kubernetes.io/arch``."""

    AMD64 = "amd64"
    ARM64 = "arm64"


class CapacityOption(StrEnum):
    """How instances of a type can be bought."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    CAPACITY_RESERVATION = "capacity-reservation"
    """An On-Demand Capacity Reservation."""
    CAPACITY_BLOCK = "capacity-block"
    """EC2 Capacity Blocks for ML."""
    TRAINING_PLAN = "training-plan"
    """SageMaker training plans: HyperPod and training jobs, never EC2."""


class SageMakerUse(StrEnum):
    """Parts of SageMaker that accept a type; each has an enumeration of its own."""

    HYPERPOD = "hyperpod"
    TRAINING = "training"
    PROCESSING = "processing"
    ENDPOINT = "endpoint"


class AmiType(StrEnum):
    """AMI types of EKS managed node groups that this platform builds on.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_Nodegroup.html
    """

    AL2023_X86_64 = "AL2023_x86_64_STANDARD"
    AL2023_ARM_64 = "AL2023_ARM_64_STANDARD"
    AL2023_X86_64_NVIDIA = "AL2023_x86_64_NVIDIA"
    AL2023_ARM_64_NVIDIA = "AL2023_ARM_64_NVIDIA"
    AL2023_X86_64_NEURON = "AL2023_x86_64_NEURON"
    BOTTLEROCKET_X86_64 = "BOTTLEROCKET_x86_64"
    BOTTLEROCKET_ARM_64 = "BOTTLEROCKET_ARM_64"
    BOTTLEROCKET_X86_64_NVIDIA = "BOTTLEROCKET_x86_64_NVIDIA"
    BOTTLEROCKET_ARM_64_NVIDIA = "BOTTLEROCKET_ARM_64_NVIDIA"

    @property
    def device_kind(self) -> DeviceKind:
        """The accelerators that the image carries a driver for."""
        if self.endswith("_NVIDIA"):
            return DeviceKind.NVIDIA
        return DeviceKind.NEURON if self.endswith("_NEURON") else DeviceKind.NONE

    @property
    def architecture(self) -> Architecture:
        """The processor that the image runs on."""
        return Architecture.ARM64 if "ARM_64" in self else Architecture.AMD64

    @property
    def is_bottlerocket(self) -> bool:
        """Whether it is Bottlerocket, which is configured with TOML and not with a NodeConfig."""
        return self.startswith("BOTTLEROCKET")


AMI_TYPES: Final[Mapping[tuple[DeviceKind, Architecture], AmiType]] = {
    (DeviceKind.NONE, Architecture.AMD64): AmiType.AL2023_X86_64,
    (DeviceKind.NONE, Architecture.ARM64): AmiType.AL2023_ARM_64,
    (DeviceKind.NVIDIA, Architecture.AMD64): AmiType.AL2023_X86_64_NVIDIA,
    (DeviceKind.NVIDIA, Architecture.ARM64): AmiType.AL2023_ARM_64_NVIDIA,
    (DeviceKind.NEURON, Architecture.AMD64): AmiType.AL2023_X86_64_NEURON,
}
"""The default image; EKS has none for Neuron on Arm."""

AMI_DRIVER_BRANCH: Final = 580
"""The NVIDIA driver branch in EKS's accelerated AMIs.

https://github.com/NVIDIA/aicr/issues/2743
"""

DEVICE_RESOURCES: Final[Mapping[DeviceKind, str]] = {
    DeviceKind.NVIDIA: "nvidia.com/gpu",
    DeviceKind.NEURON: "aws.amazon.com/neuron",
}
"""What pods request a device by; also the key of the taint that keeps other pods away.

https://docs.aws.amazon.com/eks/latest/userguide/device-management.html
"""

NEURON_CORE_RESOURCE: Final = "aws.amazon.com/neuroncore"
"""A share of a Neuron device; pods request either cores or devices, never both."""

EFA_RESOURCE: Final = "vpc.amazonaws.com/efa"
"""What the EFA device plugin counts.

https://docs.aws.amazon.com/eks/latest/userguide/node-efa.html
"""

PRESENCE_LABELS: Final[Mapping[DeviceKind, str]] = {
    DeviceKind.NVIDIA: "nvidia.com/gpu.present",
    DeviceKind.NEURON: "aws.amazon.com/neuron.present",
}
"""Labels that device plugins select nodes by.

https://github.com/terraform-aws-modules/terraform-aws-eks/tree/master/examples
"""

EFA_LABEL: Final = "vpc.amazonaws.com/efa.present"
"""Label that the EFA device plugin selects nodes by. Same source."""

VIRTUALISATION_SHARE: Final = 0.075
"""Part of the nominal memory that the hypervisor and kernel keep: Karpenter's default.

https://karpenter.sh/docs/reference/settings/
"""

EVICTION_MIB: Final = 100
"""MiB at which the kubelet of the EKS AMI evicts pods; they are never allocatable.

https://github.com/awslabs/amazon-eks-ami
"""


ARM_CONTIGUOUS_MIB: Final = 64
"""MiB that Arm kernels set aside as contiguous memory.

https://github.com/aws/karpenter-provider-aws/blob/main/pkg/providers/instancetype/types.go
"""


@dataclass(frozen=True)
class Accelerator:
    """One device.

    ``memory_gib`` is rounded down. ``driver_floor`` is the NVIDIA driver branch of the first CUDA
    release that compiles for the device
    (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/), ``None`` for Neuron. ``cores`` and
    ``logical_cores`` are NeuronCores; a rank of a job runs on a logical one, which from Trainium2
    on is two physical ones by default
    (https://awsdocs-neuron.readthedocs-hosted.com/en/latest/general/arch/neuron-features/logical-neuroncore-config.html).
    An NVIDIA device counts as one.
    """

    kind: DeviceKind
    name: str
    memory_gib: int
    driver_floor: int | None = None
    cores: int = 1
    logical_cores: int = 1


@dataclass(frozen=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str = "true"
    effect: str = "NoSchedule"
    """As Kubernetes writes it; the EKS API writes NO_SCHEDULE."""


class InterfaceType(StrEnum):
    """``InterfaceType`` of a launch template's network interface."""

    INTERFACE = "interface"
    """An ENA interface with an address."""
    EFA_ONLY = "efa-only"
    """An EFA device without an address, so that a node of 32 takes no 32 addresses."""


@dataclass(frozen=True)
class NetworkInterface:
    """A network interface of a launch template or an EC2NodeClass."""

    network_card_index: int
    device_index: int
    interface_type: InterfaceType


@dataclass(frozen=True)
class EfaLayout:
    """How many EFA ``interfaces`` a type takes, spread over how many ``network_cards``.

    One on each card; where there is a card more than interfaces, the first has none.
    """

    interfaces: int
    network_cards: int

    def network_interfaces(self) -> tuple[NetworkInterface, ...]:
        """Return all interfaces of a node: the primary one with its address, and every EFA.

        The primary interface never is an EFA. On the first card EFA takes device 1, beside it, and
        on every other card device 0:
        https://github.com/terraform-aws-modules/terraform-aws-eks/issues/3653. On p6-b300 the
        first card has no EFA: https://github.com/aws/aws-parallelcluster/issues/7143.
        """
        cards = range(self.network_cards - self.interfaces, self.network_cards)
        return (
            NetworkInterface(0, 0, InterfaceType.INTERFACE),
            *(NetworkInterface(card, int(card == 0), InterfaceType.EFA_ONLY) for card in cards),
        )


@dataclass(frozen=True)
class Allocatable:
    """What pods, DaemonSets included, can request of a node."""

    cpu_millis: int
    memory_mib: int


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """One row of the catalogue.

    ``local_nvme_gb`` is the sum of all local disks. ``efa`` is ``None`` where the type has no EFA,
    and ``max_pods`` is the limit of the VPC CNI without prefix delegation.
    """

    name: str
    vcpus: int
    memory_gib: int
    max_pods: int
    architecture: Architecture = Architecture.AMD64
    accelerator: Accelerator | None = None
    accelerator_count: int = 0
    local_nvme_gb: int = 0
    efa: EfaLayout | None = None
    ultraserver_sizes: tuple[int, ...] = ()
    """Instances in each size of UltraServer that the type comes in; it is sold in no other way."""
    capacity_options: frozenset[CapacityOption] = frozenset()
    sagemaker_uses: frozenset[SageMakerUse] = frozenset()
    regions: frozenset[str] = frozenset()
    """Where on-demand prices show it; capacity is sold in more and varies by zone."""

    @property
    def family(self) -> str:
        """The name before the dot."""
        return self.name.partition(".")[0]

    @property
    def device_kind(self) -> DeviceKind:
        """Who makes its accelerators."""
        return self.accelerator.kind if self.accelerator else DeviceKind.NONE

    @property
    def sagemaker_name(self) -> str | None:
        """Its name in SageMaker, or ``None`` where no part of SageMaker has it."""
        return f"ml.{self.name}" if self.sagemaker_uses else None

    @property
    def ami_type(self) -> AmiType:
        """The AMI type that boots it with its driver."""
        return AMI_TYPES[self.device_kind, self.architecture]

    @property
    def device_memory_gib(self) -> int:
        """GiB of all devices together."""
        return self.accelerator_count * (self.accelerator.memory_gib if self.accelerator else 0)

    @property
    def neuron_cores(self) -> int:
        """Physical NeuronCores of all devices, as Karpenter counts them; 0 on other types."""
        if self.accelerator is None or self.device_kind is not DeviceKind.NEURON:
            return 0
        return self.accelerator_count * self.accelerator.cores

    @property
    def ranks(self) -> int:
        """Processes of a job that a node runs: one for each GPU or logical NeuronCore."""
        return self.accelerator_count * (self.accelerator.logical_cores if self.accelerator else 0)

    @property
    def tensor_parallel_sizes(self) -> tuple[int, ...]:
        """Tensor parallelism with which replicas fill a node evenly, in ascending order.

        Powers of two that divide the ranks, because they divide a model's attention heads as well.
        Neuron's compiler may refuse some of them for a given model.
        """
        powers = (1 << exponent for exponent in range(self.ranks.bit_length()))
        return tuple(size for size in powers if self.ranks % size == 0 and self.ranks)

    @property
    def has_on_demand_price(self) -> bool:
        """Whether it can be launched without a reservation."""
        return CapacityOption.ON_DEMAND in self.capacity_options

    def network_interfaces(self, *, efa: bool) -> tuple[NetworkInterface, ...]:
        """Return the interfaces that a launch template lists, none where EC2's default will do.

        Raises :class:`ValueError` for EFA on a type that has none.
        """
        if not efa:
            return ()
        if self.efa is None:
            raise ValueError(f"{self.name} has no EFA.")
        return self.efa.network_interfaces()

    def taints(self) -> tuple[Taint, ...]:
        """Return the taints that keep pods without a need for devices away."""
        key = DEVICE_RESOURCES.get(self.device_kind)
        return (Taint(key),) if key else ()

    def labels(self, *, efa: bool) -> Mapping[str, str]:
        """Return the labels that device plugins find the node by."""
        label = PRESENCE_LABELS.get(self.device_kind)
        labels = {label: "true"} if label else {}
        return {**labels, EFA_LABEL: "true"} if efa else labels

    def resources(self, *, efa: bool, by_core: bool = False) -> Mapping[str, int]:
        """Return what a pod that fills the node requests of its device plugins.

        ``by_core`` counts NeuronCores in place of devices, for pods that share a device. Raises
        :class:`ValueError` for it on other types, and for EFA on a type that has none.
        """
        resources = self._core_resources() if by_core else self._device_resources()
        if efa:
            secondary = self.network_interfaces(efa=True)[1:]
            resources[EFA_RESOURCE] = len(secondary)
        return resources

    def _device_resources(self) -> dict[str, int]:
        key = DEVICE_RESOURCES.get(self.device_kind)
        return {key: self.accelerator_count} if key else {}

    def _core_resources(self) -> dict[str, int]:
        if self.device_kind is not DeviceKind.NEURON:
            raise ValueError(f"{self.name} has no NeuronCores.")
        return {NEURON_CORE_RESOURCE: self.neuron_cores}

    def allocatable(self) -> Allocatable:
        """Estimate what is left of a node for pods, as Karpenter does before it launches one.

        https://karpenter.sh/docs/reference/instance-types/ lists the results for each type.
        """
        nominal = self.memory_gib * 1024
        if self.architecture is Architecture.ARM64:
            nominal -= ARM_CONTIGUOUS_MIB
        kubelet = 255 + 11 * self.max_pods
        memory = nominal - -(-nominal * VIRTUALISATION_SHARE // 1) - kubelet - EVICTION_MIB
        return Allocatable(self.vcpus * 1000 - _reserved_millis(self.vcpus), int(memory))


def _reserved_millis(vcpus: int) -> int:
    """Return what the EKS AMI keeps for the kubelet: 6 %, 1 %, twice 0.5 %, then 0.25 % a core.

    https://github.com/awslabs/amazon-eks-ami
    """
    first = (60, 10, 5, 5)
    return int(sum(first[:vcpus]) + 2.5 * max(0, vcpus - len(first)))
