"""What the life-cycle scripts of a HyperPod cluster are told: their ``settings.json``.

The node's side of the same file is ``lifecycle/hyperpod_node/settings.py``, which refuses anything
it does not know.
"""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from llm_constructs.specs.instance_type import DeviceKind, InstanceType
from llm_constructs.specs.lifecycle import Lifecycle
from llm_constructs.specs.problem import Problems

SETTINGS_FILE: Final = "settings.json"
"""Name of the rendered file, beside the scripts."""

SETTINGS_VERSION: Final = 1
"""Layout of the file; scripts refuse any other."""

NVSWITCH_DEVICES: Final = frozenset({"A100", "H100", "H200", "B200", "B300"})
"""GPUs that, eight to a node, are joined by NVSwitch and useless without its fabric manager.

https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/
"""

NVSWITCH_COUNT: Final = 8
"""GPUs of such a node; the smaller p5.4xlarge has one and no switch. Same source."""


class EntryPoint(StrEnum):
    """Scripts that HyperPod can be told to start, by what starts them."""

    ON_INIT_COMPLETE = "on_init_complete.sh"
    """`OnInitComplete` of a Slurm cluster that is configured through the API."""
    ON_CREATE = "on_create.sh"
    """`OnCreate` of a Slurm cluster with the legacy ``provisioning_parameters.json``."""
    EKS_ON_CREATE = "eks_on_create.sh"
    """`OnCreate` of a cluster that EKS orchestrates."""


class NodeRole(StrEnum):
    """What a node is in a cluster; every node of an EKS cluster computes."""

    CONTROLLER = "controller"
    LOGIN = "login"
    COMPUTE = "compute"


class MountedBy(StrEnum):
    """Who mounts a file system for the first time."""

    HYPERPOD = "hyperpod"
    """SageMaker, from the group's ``FsxLustreConfig``."""
    SCRIPTS = "scripts"
    """The life-cycle scripts; for clusters without such a configuration."""


@dataclass(frozen=True, kw_only=True)
class NodeExpectation:
    """What the nodes of one instance group must turn out to be.

    Raises :class:`SpecificationError` where Lustre is to use more EFA than the nodes have.
    """

    group: str
    """Name of the instance group."""
    role: NodeRole
    accelerator: DeviceKind = DeviceKind.NONE
    devices: int = 0
    """Accelerators; a node with more or fewer fails."""
    efa_interfaces: int = 0
    """EFA devices; a node with fewer fails."""
    lustre_efa_interfaces: int = 0
    """EFA interfaces that Lustre must use at least; 0 where it speaks TCP."""
    driver_floor: int | None = None
    """Oldest branch of the NVIDIA driver."""
    fabric_manager: bool = False
    """Whether NVIDIA's fabric manager must run."""

    def __post_init__(self) -> None:
        problems = Problems(f"instance group {self.group}")
        problems.require(
            0 <= self.lustre_efa_interfaces <= self.efa_interfaces,
            "lustre_efa_interfaces",
            self.lustre_efa_interfaces,
            f"Its nodes have {self.efa_interfaces} EFA interfaces.",
            "Ask for no more than these, or for 0 to reach Lustre over TCP.",
        )
        problems.raise_if_any()

    @classmethod
    def of(
        cls,
        group: str,
        role: NodeRole,
        instance_type: InstanceType,
        *,
        efa: bool,
        lustre_over_efa: bool,
    ) -> Self:
        """Return what nodes of a type must be.

        ``efa`` says whether the group asks for the type's EFA interfaces, and ``lustre_over_efa``
        whether the file system serves EFA; Lustre uses it only where the node has it as well.
        """
        device = instance_type.accelerator
        interfaces = instance_type.efa.interfaces if efa and instance_type.efa else 0
        return cls(
            group=group,
            role=role,
            accelerator=instance_type.device_kind,
            devices=instance_type.accelerator_count,
            efa_interfaces=interfaces,
            lustre_efa_interfaces=int(lustre_over_efa and interfaces > 0),
            driver_floor=device.driver_floor if device else None,
            fabric_manager=(
                device is not None
                and device.name in NVSWITCH_DEVICES
                and instance_type.accelerator_count == NVSWITCH_COUNT
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ExpectedMount:
    """A Lustre file system that every node must be able to write to."""

    dns_name: str
    """Name of the file system in DNS; may be a token."""
    mount_name: str
    """FSx's name of the Lustre file system; may be a token."""
    path: str = "/fsx"
    """Where it is mounted."""
    mounted_by: MountedBy = MountedBy.HYPERPOD


@dataclass(frozen=True, kw_only=True)
class NodeObservability:
    """Where the CloudWatch agent of the image sends what."""

    log_group: str
    """Log group for the logs of provisioning and Slurm; must exist. May be a token."""
    metrics_namespace: str
    """Namespace of the metrics of processor, memory, disks and network."""


@dataclass(frozen=True, kw_only=True)
class LifecycleSettings:
    """Everything that the scripts of one cluster are told.

    Raises :class:`SpecificationError` without groups, with two of a name, or with two file systems
    at one place.
    """

    cluster: str
    """Name of the cluster."""
    groups: tuple[NodeExpectation, ...]
    """One for each instance group."""
    mounts: tuple[ExpectedMount, ...] = ()
    container_storage: str | None = None
    """Volume that containerd and kubelet of EKS nodes move to, such as ``/opt/sagemaker``."""
    observability: NodeObservability | None = None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def __post_init__(self) -> None:
        problems = Problems(f"life-cycle settings of {self.cluster}")
        names = [group.group for group in self.groups]
        problems.require(
            bool(names) and len(set(names)) == len(names),
            "groups",
            names,
            "A node finds its expectations by the name of its instance group.",
            "Give every instance group once.",
        )
        paths = [mount.path for mount in self.mounts]
        problems.require(
            len(set(paths)) == len(paths),
            "mounts",
            paths,
            "Two file systems cannot be seen at one place.",
            "Give every file system a path of its own.",
        )
        problems.raise_if_any()

    def as_document(self) -> dict[str, Any]:
        """Return what :meth:`to_json` writes."""
        lifecycle = asdict(self.lifecycle)
        if lifecycle["lustre_client"] is not None:
            # For the nodes' roles; who reads an object need not know its key.
            del lifecycle["lustre_client"]["key_arn"]
        return {
            **lifecycle,
            "version": SETTINGS_VERSION,
            "cluster": self.cluster,
            "groups": {
                group.group: {key: value for key, value in asdict(group).items() if key != "group"}
                for group in self.groups
            },
            "mounts": [asdict(mount) for mount in self.mounts],
            "container_storage": self.container_storage,
            "observability": asdict(self.observability) if self.observability else None,
        }

    def to_json(self) -> str:
        """Return the file's content: sorted, indented, with a newline at its end.

        Tokens in it stay tokens, so that it must be deployed by something that resolves them.
        """
        return json.dumps(self.as_document(), indent=2, sort_keys=True) + "\n"
