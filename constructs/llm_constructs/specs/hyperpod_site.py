"""A HyperPod cluster in its environment: what the cluster cannot see by itself."""

from dataclasses import dataclass
from typing import Final

from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.hyperpod_regions import check_offered, check_service
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.training_plan import TrainingPlan

HYPERPOD_KUBERNETES: Final = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34")
"""Versions of EKS clusters whose nodes HyperPod can be.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-prerequisites.html
"""


@dataclass(frozen=True, kw_only=True)
class HyperPodSite:
    """A cluster, its account and region, and what stands around it.

    Raises :class:`SpecificationError` with everything that does not fit together.
    """

    cluster: HyperPod
    account: str
    region: str
    zones: tuple[str, ...]
    """Zones in which the network has private subnets."""
    accelerator_zone: str | None
    """The zone of the accelerator subnet, and of the file system."""
    kubernetes_version: str | None
    """That of the platform's EKS cluster; ``None`` where there is none."""
    has_file_system: bool
    """Whether the platform has a Lustre file system."""
    has_teams: bool = False
    """Whether teams share the EKS cluster by quotas."""
    has_prometheus: bool = False
    """Whether the EKS cluster has a Prometheus workspace."""

    def __post_init__(self) -> None:
        problems = Problems("training")
        check_service(problems, self.region, unlisted=self.cluster.unlisted_region)
        for group in self.cluster.groups:
            self._check_group(problems, group)
        if self.cluster.orchestrator == Orchestrator.EKS:
            self._check_kubernetes(problems)
            self._check_addons(problems)
        self._check_homes(problems)
        self._check_accounting(problems)
        problems.raise_if_any()

    def _check_group(self, problems: Problems, group: InstanceGroup) -> None:
        where = f"groups.{group.name}"
        for row in group.rows:
            check_offered(
                problems,
                f"{where}.instance_type",
                row,
                self.region,
                unlisted=group.unlisted_region or self.cluster.unlisted_region,
            )
        self._check_zone(problems, f"{where}.zone", group)
        if group.training_plan is not None:
            self._check_plan(problems, f"{where}.training_plan", group, group.training_plan)

    def _check_zone(self, problems: Problems, field: str, group: InstanceGroup) -> None:
        known = sorted({*self.zones, *filter(None, [self.accelerator_zone])})
        if group.zone is not None:
            problems.require(
                group.zone in known,
                field,
                group.zone,
                "The network has no subnet in this zone.",
                f"Choose one of {', '.join(known)}, or add the zone to the network.",
            )
        if group.row.device_kind is DeviceKind.NONE:
            return
        problems.require(
            self.accelerator_zone is not None,
            field,
            group.zone,
            "The network has no accelerator subnet, where nodes lie beside the file system and "
            "each other.",
            "Set the network's accelerator_zone.",
        )
        problems.require(
            self.accelerator_zone is None or group.zone in (None, self.accelerator_zone),
            field,
            group.zone,
            f"The accelerator subnet lies in {self.accelerator_zone}, and EFA crosses no zones.",
            "Leave it out, or move the network's accelerator_zone.",
        )

    def _check_plan(
        self, problems: Problems, field: str, group: InstanceGroup, plan: TrainingPlan
    ) -> None:
        problems.require(
            plan.region == self.region,
            f"{field}.arn",
            plan.arn,
            f"The plan lies in {plan.region}, and the cluster in {self.region}.",
            "Buy capacity here, or move the environment.",
        )
        problems.require(
            plan.account == self.account,
            f"{field}.arn",
            plan.arn,
            f"The plan belongs to the account {plan.account}, and the cluster to {self.account}.",
            "Buy it in the cluster's account: plans are not shared.",
        )
        subnet_zone = group.zone or self.accelerator_zone
        problems.require(
            plan.zone is None or plan.region != self.region or plan.zone == subnet_zone,
            f"{field}.zone",
            plan.zone,
            f"The group's subnet lies in {subnet_zone}, and a plan's capacity never leaves its "
            "zone.",
            "Move the network's accelerator_zone and the file system to the plan's zone "
            "(docs/runbooks/training-move-zone.md), or buy a plan there.",
        )

    def _check_kubernetes(self, problems: Problems) -> None:
        version = self.kubernetes_version
        problems.require(
            version is not None,
            "orchestrator",
            str(self.cluster.orchestrator),
            "The environment has no EKS cluster that could orchestrate the nodes.",
            'Add [eks], or set orchestrator = "slurm".',
        )
        problems.require(
            version is None or self.cluster.unlisted_kubernetes or version in HYPERPOD_KUBERNETES,
            "orchestrator",
            str(self.cluster.orchestrator),
            f"The EKS cluster runs Kubernetes {version}, and HyperPod's documentation lists "
            f"{HYPERPOD_KUBERNETES[0]} to {HYPERPOD_KUBERNETES[-1]}.",
            'Set orchestrator = "slurm"; or unlisted_kubernetes = true if AWS has added it since.',
        )

    def _check_addons(self, problems: Problems) -> None:
        kubernetes = self.cluster.kubernetes
        if kubernetes is None:
            return
        problems.require(
            self.has_teams or not kubernetes.task_governance,
            "kubernetes.task_governance",
            True,
            "No team has a quota that it could keep.",
            "Add [[eks.teams]], or set task_governance = false.",
        )
        problems.require(
            self.has_prometheus or not kubernetes.observability,
            "kubernetes.observability",
            True,
            "There is no Prometheus workspace for the metrics.",
            "Set enabled = true in [eks.prometheus], or observability = false.",
        )

    def _check_homes(self, problems: Problems) -> None:
        home = self.cluster.lifecycle.home_root
        if not self.cluster.lifecycle.users:
            return
        problems.require(
            self.has_file_system,
            "lifecycle.users",
            [user.name for user in self.cluster.lifecycle.users],
            "Their homes belong on a shared file system, and the environment has none.",
            "Add [lustre], or leave users out.",
        )
        problems.require(
            home.startswith(f"{self.cluster.mount_path}/"),
            "lifecycle.home_root",
            home,
            f"It does not lie on the file system, which is at {self.cluster.mount_path}.",
            f"Write {self.cluster.mount_path}/home.",
        )

    def _check_accounting(self, problems: Problems) -> None:
        database = self.cluster.slurm_settings.accounting
        problems.require(
            database is None or database.region == self.region,
            "slurm.accounting.secret_arn",
            database and database.secret_arn,
            f"The secret lies outside of {self.region}, where the controller reads it.",
            "Name a secret of the cluster's region.",
        )
