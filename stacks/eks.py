"""The EKS stack: the cluster, its nodes and its controllers."""

from constructs import Construct

from config import Environment
from config.environment import EksTable
from llm_constructs.cluster_addons import (
    CONTROLLERS,
    FSX_CSI_DRIVER,
    NETWORKING,
    ClusterAddons,
    monitoring_addons,
)
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.network import Network
from llm_constructs.system_nodes import SystemNodeGroup
from llm_constructs.volume_key import VolumeKey
from stacks.layer import Layer


class EksStack(Layer):
    """The environment's cluster, as ``cluster``.

    Things are installed in the order network plugin, system nodes, controllers, other nodes, and
    are removed in the opposite one, so that whoever made something in AWS is there to remove it.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        eks: EksTable,
        file_system: LustreFileSystem | None = None,
    ) -> None:
        super().__init__(
            scope,
            "eks",
            environment=environment,
            description="EKS cluster, nodes and controllers",
        )
        self.cluster = EksCluster(
            self,
            "Cluster",
            name=f"llm-{environment.name}",
            vpc=network.vpc,
            cluster=eks.cluster,
            removal_policy=self.removal_policy,
        )
        volume_key = VolumeKey(
            self,
            "VolumeKey",
            description=f"Encrypts the nodes' volumes of {self.cluster.name}",
            removal_policy=self.removal_policy,
        )
        networking = ClusterAddons(self, "Networking", cluster=self.cluster, addons=NETWORKING)
        system_nodes = SystemNodeGroup(
            self,
            "SystemNodes",
            cluster=self.cluster,
            nodes=eks.system_nodes,
            volume_key=volume_key,
            after=[networking],
        )
        storage = [FSX_CSI_DRIVER] if file_system else []
        controllers = ClusterAddons(
            self,
            "Controllers",
            cluster=self.cluster,
            addons=[*CONTROLLERS, *monitoring_addons(eks.cluster.gpu_monitoring), *storage],
            after=[system_nodes],
        )
        self.cluster.kubectl.after(networking, system_nodes, controllers)
        if file_system is not None:
            file_system.allow_clients(self.cluster.node_security_group)
