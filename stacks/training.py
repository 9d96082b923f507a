"""The training stack: a HyperPod cluster, apart from EKS so that a lack of capacity undoes no other
stack."""

from constructs import Construct

from config import Environment
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.hyperpod_cluster import HyperPodCluster
from llm_constructs.hyperpod_neighbours import HyperPodNeighbours
from llm_constructs.network import Network
from llm_constructs.private_bucket import AccessLogsBucket
from llm_constructs.specs.data_lake import LakeRetention
from llm_constructs.specs.hyperpod import HyperPod
from stacks.data import DataStack
from stacks.layer import Layer


class TrainingStack(Layer):
    """The environment's HyperPod cluster, as ``hyperpod``.

    It mounts the file system and uses the lake of ``data`` where they exist. ``eks`` is the cluster
    that orchestrates it, if the file says so.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        training: HyperPod,
        data: DataStack | None = None,
        eks: EksCluster | None = None,
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
                eks=eks,
            ),
            access_logs=access_logs,
            removal_policy=self.removal_policy,
        )
