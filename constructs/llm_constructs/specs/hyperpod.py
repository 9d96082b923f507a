"""What a SageMaker HyperPod cluster is made of.

Source, unless a constant names its own:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateCluster.html
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from llm_constructs.specs.hyperpod_kubernetes import HyperPodKubernetes
from llm_constructs.specs.instance_group import DeepHealthCheck, InstanceGroup
from llm_constructs.specs.lifecycle import Lifecycle
from llm_constructs.specs.lifecycle_settings import NodeRole
from llm_constructs.specs.log_retention import check_log_retention
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.slurm import SlurmSettings
from llm_constructs.specs.training_plan import TrainingPlan

MOST_GROUPS: Final = 100

RESERVED_PATHS: Final = ("/opt/ml", "/opt/sagemaker", "/opt/slurm", "/var", "/etc", "/usr", "/tmp")  # noqa: S108 - named to be refused
"""Where HyperPod, Slurm and the system keep their own files.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-ref.html
"""

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_PATH = re.compile(r"(/[a-zA-Z0-9._-]+)+")


class Orchestrator(StrEnum):
    """Who gives jobs their nodes."""

    SLURM = "slurm"
    """Slurm, which HyperPod installs."""
    EKS = "eks"
    """The platform's EKS cluster, which the nodes join."""


@dataclass(frozen=True, kw_only=True)
class HyperPod:
    """A HyperPod cluster. Nodes are always provisioned continuously: without that mode there are
    no customer-managed keys, no cluster events and no accounting database.

    Raises :class:`SpecificationError` with everything that its groups and settings refuse of each
    other.
    """

    groups: tuple[InstanceGroup, ...]
    """The nodes. Slurm needs a controller and a compute group, and takes login groups."""
    orchestrator: Orchestrator = Orchestrator.SLURM
    """`slurm` or `eks`, for good."""
    name: str | None = None
    """The cluster's name. Left out: `llm-<environment>`. What cannot be changed in place (subnet,
    orchestrator) needs a new cluster, and that a new name."""
    node_recovery: bool = True
    """Whether HyperPod reboots or replaces broken nodes by itself."""
    slurm: SlurmSettings | None = None
    """Settings of Slurm. Left out: partitions that HyperPod manages, accounting on the
    controller."""
    kubernetes: HyperPodKubernetes | None = None
    """HyperPod's chart and add-ons on the EKS cluster. EKS only. Left out: none of them."""
    tiered_storage_percent: int | None = None
    """Share of the nodes' memory for checkpoints that are kept in memory and on the way to S3. EKS
    only. Left out: none."""
    auto_scaling: bool = False
    """Whether HyperPod's own Karpenter adds and removes nodes. EKS only."""
    mount_path: str = "/fsx"
    """Where nodes see the platform's Lustre file system, if there is one."""
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    """Users, accounts and demands that the life-cycle scripts carry out on every node."""
    log_retention_days: int = 365
    """Days to keep what nodes and scripts log."""
    unlisted_region: bool = False
    """Set it when AWS has opened HyperPod in the region since this was written; it then goes for
    the types of all groups."""
    unlisted_kubernetes: bool = False
    """Set it when HyperPod supports the EKS cluster's version of Kubernetes though its list here
    does not have it."""

    def __post_init__(self) -> None:
        problems = Problems("training")
        problems.require(
            self.name is None or _NAME.fullmatch(self.name) is not None,
            "name",
            self.name,
            "HyperPod takes 1 to 63 letters, digits and inner hyphens.",
            "Leave it out, or shorten it.",
        )
        self._check_groups(problems)
        if self.orchestrator == Orchestrator.SLURM:
            self._check_slurm(problems)
        else:
            self._check_eks(problems)
        self._check_plans(problems)
        self._check_storage(problems)
        check_log_retention(problems, self.log_retention_days)
        problems.raise_if_any()

    def _check_groups(self, problems: Problems) -> None:
        problems.require(
            1 <= len(self.groups) <= MOST_GROUPS,
            "groups",
            len(self.groups),
            f"A cluster has 1 to {MOST_GROUPS} groups.",
            "Name the groups of nodes, or join those that differ only in number.",
        )
        for name, count in Counter(group.name for group in self.groups).items():
            problems.require(
                count == 1,
                "groups",
                name,
                f"{count} groups have this name.",
                "Give each a name of its own.",
            )

    def _check_slurm(self, problems: Problems) -> None:
        roles = Counter(group.role for group in self.groups)
        problems.require(
            roles[NodeRole.CONTROLLER] == 1,
            "groups",
            [group.name for group in self.groups if group.role == NodeRole.CONTROLLER],
            f"Slurm has one controller group, and here are {roles[NodeRole.CONTROLLER]}.",
            'Give exactly one group role = "controller" and count = 1.',
        )
        problems.require(
            roles[NodeRole.COMPUTE] >= 1,
            "groups",
            [group.name for group in self.groups],
            "Slurm has no nodes for jobs.",
            'Add a group with role = "compute"; its count may be 0.',
        )
        for group in self.groups:
            self._check_slurm_group(problems, group)
        problems.require(
            self.kubernetes is None,
            "kubernetes",
            "given",
            "The cluster is orchestrated by Slurm.",
            'Remove [training.kubernetes], or set orchestrator = "eks".',
        )
        problems.require(
            not self.auto_scaling,
            "auto_scaling",
            True,
            "HyperPod's Karpenter scales clusters that EKS orchestrates.",
            'Set auto_scaling = false, or orchestrator = "eks".',
        )
        problems.require(
            self.tiered_storage_percent is None,
            "tiered_storage_percent",
            self.tiered_storage_percent,
            "Managed tiered checkpointing runs as a daemon of Kubernetes.",
            'Leave it out and write checkpoints to the file system, or set orchestrator = "eks".',
        )

    def _check_slurm_group(self, problems: Problems, group: InstanceGroup) -> None:
        only_eks = (
            ("fallback_types", list(group.fallback_types), bool(group.fallback_types)),
            ("image_release", group.image_release, group.image_release is not None),
            ("spot", True, group.spot),
        )
        for name, value, given in only_eks:
            problems.require(
                not given,
                f"groups.{group.name}.{name}",
                value,
                "HyperPod has this for clusters that EKS orchestrates.",
                'Leave it out, or set orchestrator = "eks".',
            )
        problems.require(
            group.count != 1
            or DeepHealthCheck.INSTANCE_CONNECTIVITY not in (group.deep_health_checks or ()),
            f"groups.{group.name}.deep_health_checks",
            str(DeepHealthCheck.INSTANCE_CONNECTIVITY),
            "On Slurm it tests nodes of the group against each other, and this group has one.",
            "Leave it out, or raise count.",
        )

    def _check_eks(self, problems: Problems) -> None:
        problems.require(
            self.slurm is None,
            "slurm",
            str(self.slurm and self.slurm.strategy),
            "The cluster is orchestrated by EKS.",
            'Remove [training.slurm], or set orchestrator = "slurm".',
        )
        problems.require(
            not self.lifecycle.accounts,
            "lifecycle.accounts",
            [account.name for account in self.lifecycle.accounts],
            "They are Slurm's, and the cluster is orchestrated by EKS.",
            'Remove them, or set orchestrator = "slurm".',
        )
        for group in self.groups:
            problems.require(
                group.role == NodeRole.COMPUTE,
                f"groups.{group.name}.role",
                str(group.role),
                "EKS runs its control plane itself, and people reach it without a login node.",
                'Leave role out, or set orchestrator = "slurm".',
            )
            problems.require(
                group.partition is None,
                f"groups.{group.name}.partition",
                group.partition,
                "Partitions are Slurm's; Kubernetes chooses nodes by labels.",
                'Leave it out, or set orchestrator = "slurm".',
            )

    def _check_plans(self, problems: Problems) -> None:
        shared: defaultdict[str, list[tuple[InstanceGroup, TrainingPlan]]] = defaultdict(list)
        for group in self.groups:
            if group.training_plan is not None:
                shared[group.training_plan.arn].append((group, group.training_plan))
        for arn, users in shared.items():
            together = sum(group.count for group, _ in users)
            nodes = min((plan.nodes for _, plan in users if plan.nodes), default=together)
            problems.require(
                together <= nodes,
                "groups",
                arn,
                f"Groups of this plan ask for {together} nodes together, and it has {nodes}.",
                "Lower their count.",
            )
            problems.require(
                len({group.instance_type for group, _ in users}) == 1,
                "groups",
                arn,
                "Groups of different types share this plan, which holds instances of one type.",
                "Give each type a plan of its own.",
            )

    def _check_storage(self, problems: Problems) -> None:
        percent = self.tiered_storage_percent
        problems.require(
            percent is None or 1 <= percent <= 100,
            "tiered_storage_percent",
            percent,
            "It is a share of the memory.",
            "Give 1 to 100, or leave it out for none.",
        )
        path = self.mount_path
        problems.require(
            _PATH.fullmatch(path) is not None and "/.." not in path,
            "mount_path",
            path,
            "It is no absolute path of letters, digits, dots, hyphens and underscores.",
            "Write something like /fsx.",
        )
        problems.require(
            not any(path == taken or path.startswith(f"{taken}/") for taken in RESERVED_PATHS),
            "mount_path",
            path,
            "HyperPod, Slurm or the system keeps its own files there.",
            "Choose another, such as /fsx.",
        )

    def checks_on_start(self, group: InstanceGroup) -> tuple[DeepHealthCheck, ...]:
        """Return what nodes of ``group`` must pass before their first job.

        On Slurm, a node that is alone in its group has no other to test its connections with:
        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-resiliency-slurm-deep-health-checks.html
        """
        checks = group.effective_deep_health_checks
        if self.orchestrator == Orchestrator.SLURM and group.count == 1:
            return tuple(it for it in checks if it != DeepHealthCheck.INSTANCE_CONNECTIVITY)
        return checks

    @property
    def slurm_settings(self) -> SlurmSettings:
        """Slurm's settings, given or by default."""
        return self.slurm or SlurmSettings()

    @property
    def governs_tasks(self) -> bool:
        """Whether HyperPod keeps the quotas of teams, and with them owns Kueue."""
        return self.kubernetes is not None and self.kubernetes.task_governance

    @property
    def is_legacy(self) -> bool:
        """Whether Slurm is described by a file in place of the API."""
        return self.orchestrator == Orchestrator.SLURM and self.slurm_settings.legacy_file
