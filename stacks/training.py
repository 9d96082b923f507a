"""The training stack: a HyperPod cluster, apart from EKS so that a lack of capacity undoes no other
stack."""

from pathlib import Path
from typing import TYPE_CHECKING

from constructs import Construct, IDependable

from config import Environment
from llm_constructs.governance_provider import governance_code
from llm_constructs.hyperpod_addons import HyperPodAddons
from llm_constructs.hyperpod_chart import HyperPodChart
from llm_constructs.hyperpod_cluster import HyperPodCluster
from llm_constructs.hyperpod_neighbours import HyperPodNeighbours
from llm_constructs.network import Network
from llm_constructs.private_bucket import AccessLogsBucket
from llm_constructs.specs.data_lake import LakeRetention
from llm_constructs.specs.hyperpod import HyperPod
from llm_constructs.specs.hyperpod_kubernetes import HyperPodKubernetes
from llm_constructs.task_governance import TaskGovernance
from stacks.data import DataStack
from stacks.layer import Layer

if TYPE_CHECKING:
    from stacks.eks import EksStack

ROOT = Path(__file__).parent.parent
LAMBDAS = ROOT / "lambdas"


class TrainingStack(Layer):
    """The environment's HyperPod cluster, as ``hyperpod``.

    It mounts the file system and uses the lake of ``data`` where they exist. ``eks`` has the
    cluster that orchestrates it, if the file says so; HyperPod's chart comes to that before the
    nodes, then HyperPod's add-ons, then the quotas of teams, and they go in the opposite order.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        training: HyperPod,
        data: DataStack | None = None,
        eks: "EksStack | None" = None,
    ) -> None:
        super().__init__(
            scope,
            "training",
            environment=environment,
            description="HyperPod cluster and its life-cycle scripts",
        )
        retention = environment.data.retention if environment.data else LakeRetention()
        access_logs = AccessLogsBucket(
            self,
            "AccessLogs",
            retention_days=retention.access_logs_days,
            removal_policy=self.removal_policy,
        )
        self.hyperpod = HyperPodCluster(
            self,
            "HyperPod",
            name=training.name or f"llm-{environment.name}",
            spec=training,
            neighbours=HyperPodNeighbours(
                vpc=network.vpc,
                accelerator_subnet=network.accelerator_subnet,
                file_system=data.file_system if data else None,
                lake=data.lake if data else None,
                eks=eks.cluster if eks else None,
            ),
            access_logs=access_logs,
            after=self._add_chart(training, eks),
            removal_policy=self.removal_policy,
        )
        if training.kubernetes is not None and eks is not None:
            self._add_addons(environment, training.kubernetes, eks, data)

    def _add_chart(self, training: HyperPod, eks: "EksStack | None") -> tuple[IDependable, ...]:
        pin = training.kubernetes.chart if training.kubernetes else None
        if pin is None or eks is None:
            return ()
        chart = HyperPodChart(self, "Chart", cluster=eks.cluster, pin=pin, root=ROOT, spec=training)
        return (chart.installed,)

    def _add_addons(
        self,
        environment: Environment,
        kubernetes: HyperPodKubernetes,
        eks: "EksStack",
        data: DataStack | None,
    ) -> None:
        addons = HyperPodAddons(
            self,
            "Addons",
            cluster=eks.cluster,
            kubernetes=kubernetes,
            cluster_arn=self.hyperpod.arn,
            prometheus=eks.prometheus,
            after=[self.hyperpod.cluster],
        )
        if addons.task_governance is None or environment.eks is None:
            return
        governance = TaskGovernance(
            self,
            "TaskGovernance",
            cluster=eks.cluster,
            cluster_arn=self.hyperpod.arn,
            plan=environment.eks.team_plan(environment.hyperpod_on_eks),
            file_system=data.file_system if data else None,
            code=governance_code(LAMBDAS),
            encryption_key=self.hyperpod.volume_key,
            after=[addons.task_governance],
        )
        self.tag(*governance.without_tags)
