"""The EKS stack: the cluster, its nodes and its controllers."""

from collections.abc import Sequence
from pathlib import Path

from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IDependable

from config import Environment
from config.tables import EksTable
from llm_constructs.automatic_pools import AutomaticPools
from llm_constructs.cluster_addons import ClusterAddons
from llm_constructs.data_lake import DataLake
from llm_constructs.dcgm_exporter import DcgmExporter
from llm_constructs.device_plugins import DevicePlugins
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.external_dns import ExternalDns
from llm_constructs.image_mirror import ImageMirror
from llm_constructs.karpenter import Karpenter
from llm_constructs.karpenter_pools import KarpenterPools
from llm_constructs.keda import Keda
from llm_constructs.kueue import HYPERPOD_JOB, Kueue
from llm_constructs.leader_worker_set import LeaderWorkerSets
from llm_constructs.load_balancer_controller import LoadBalancerController
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.model_mounts import ModelMounts
from llm_constructs.network import Network
from llm_constructs.neuron_monitor import NeuronMonitor
from llm_constructs.node_pools import NodeSite
from llm_constructs.prometheus import Prometheus
from llm_constructs.reserved_nodes import ReservedNodes
from llm_constructs.service_key import VolumeKey
from llm_constructs.specs.cluster_addon import (
    AUTO_MODE_CONTROLLERS,
    CONTROLLERS,
    FSX_CSI_DRIVER,
    NETWORKING,
    monitoring_addons,
)
from llm_constructs.specs.eks import GpuMonitoring
from llm_constructs.specs.hyperpod import HyperPod
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.mirror import Mirror
from llm_constructs.storage_class import DefaultStorageClass
from llm_constructs.system_nodes import SystemNodeGroup
from llm_constructs.team_queues import TeamQueues
from llm_constructs.workload_namespaces import WorkloadNamespaces
from stacks.alerting import add_alert_rules, topic_arns
from stacks.layer import Layer

PROJECT = Path(__file__).parent.parent


class EksStack(Layer):
    """The environment's cluster, as ``cluster``, with ``karpenter`` and ``reserved_nodes``.

    Things are installed in the order network plugin, system nodes, controllers, other nodes, and
    are removed in the opposite one, so that whoever made something in AWS is there to remove it.
    With EKS Auto Mode the pools come first, for controllers have no other nodes to run on, and
    ``karpenter`` is ``None``.

    What other stacks apply to the cluster waits for what it needs: ingresses for
    ``ingress_controllers``, ScaledObjects for ``keda``'s chart, and LeaderWorkerSets for that of
    ``leader_worker_sets``. ``prometheus`` is the workspace with the metrics of pods. Each of the
    last three is ``None`` where the environment has none. ``hyperpod`` brings nodes to the cluster:
    their devices need plugins as well, teams may share them, and if it governs tasks it installs
    Kueue itself.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        eks: EksTable,
        file_system: LustreFileSystem | None = None,
        lake: DataLake | None = None,
        hyperpod: HyperPod | None = None,
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
        # What the CDK lets objects wait for knows no tags.
        self.tag(self.cluster.cluster.node.try_find_child("KubectlReadyBarrier"))
        if eks.mirror is not None:
            self.cluster.kubectl.take_from(self._make_mirror(eks.mirror))
        self._volume_key = VolumeKey(
            self,
            "VolumeKey",
            description=f"Encrypts the nodes' volumes of {self.cluster.name}",
            removal_policy=self.removal_policy,
        )
        # Instances are launched by others than CloudFormation, which would tag them.
        self._node_tags = {**environment.tags, "environment": environment.name, "layer": "eks"}
        mounts: ModelMounts | None = None
        self.karpenter: Karpenter | None = None
        self.reserved_nodes: tuple[ReservedNodes, ...] = ()
        if self.cluster.is_automatic:
            self._add_automatic_nodes(eks, network)
        else:
            networking = ClusterAddons(self, "Networking", cluster=self.cluster, addons=NETWORKING)
            mounts = self._add_system(
                eks, networking, lake, has_file_system=file_system is not None
            )
        self.ingress_controllers = self._add_ingress_controllers(environment, network)
        if not self.cluster.is_automatic:
            self._add_devices(eks, hyperpod.groups if hyperpod else ())
        self.prometheus = self._make_prometheus(environment, eks)
        self.keda = self._make_keda(eks)
        self.leader_worker_sets = (
            LeaderWorkerSets(self, "LeaderWorkerSets", cluster=self.cluster)
            if eks.controllers.leader_worker_set
            else None
        )
        namespaces = self._add_namespaces(eks, file_system, mounts)
        if not self.cluster.is_automatic:
            self.karpenter = Karpenter(
                self,
                "Karpenter",
                cluster=self.cluster,
                isolated=environment.is_isolated,
                repairs=eks.cluster.gpu_monitoring is GpuMonitoring.NODE_REPAIR,
            )
        self._add_teams(eks, namespaces, hyperpod)
        if self.karpenter is not None:
            self._add_pools(eks, network, self.karpenter)
            self.reserved_nodes = self._make_reserved_nodes(eks, network, networking)
        add_alert_rules(self, environment, self.prometheus)

    def _make_mirror(self, mirror: Mirror) -> ImageMirror:
        return ImageMirror(
            self,
            "Mirror",
            mirror=mirror,
            charts=PROJECT / mirror.charts,
            key=self.cluster.key,
            removal_policy=self.removal_policy,
        )

    def _add_automatic_nodes(self, eks: EksTable, network: Network) -> None:
        pools = AutomaticPools(
            self,
            "Pools",
            cluster=self.cluster,
            pools=eks.pools,
            site=self._node_site(network, instance_profile=""),
        )
        addons = ClusterAddons(
            self,
            "Controllers",
            cluster=self.cluster,
            addons=AUTO_MODE_CONTROLLERS,
            after=pools.installed,
        )
        self.cluster.kubectl.after(*pools.installed, addons)

    def _add_system(
        self,
        eks: EksTable,
        networking: ClusterAddons,
        lake: DataLake | None,
        *,
        has_file_system: bool,
    ) -> ModelMounts | None:
        nodes = SystemNodeGroup(
            self,
            "SystemNodes",
            cluster=self.cluster,
            nodes=eks.system_nodes,
            volume_key=self._volume_key,
            after=[networking],
        )
        storage = [FSX_CSI_DRIVER] if has_file_system else []
        addons = ClusterAddons(
            self,
            "Controllers",
            cluster=self.cluster,
            addons=[*CONTROLLERS, *monitoring_addons(eks.cluster.gpu_monitoring), *storage],
            after=[nodes],
        )
        self.cluster.kubectl.after(networking, nodes, addons)
        if lake is None or not eks.controllers.mounts:
            return None
        mounts = ModelMounts(
            self,
            "ModelMounts",
            cluster=self.cluster,
            lake=lake,
            folders=eks.controllers.mounts,
            after=[nodes],
        )
        self.cluster.kubectl.after(mounts)
        return mounts

    def _add_ingress_controllers(
        self, environment: Environment, network: Network
    ) -> tuple[IDependable, ...]:
        DefaultStorageClass(self, "StorageClass", cluster=self.cluster, volume_key=self._volume_key)
        installed: list[IDependable] = []
        if not self.cluster.is_automatic:
            installed.append(
                LoadBalancerController(
                    self, "LoadBalancerController", cluster=self.cluster
                ).installed
            )
        domain = environment.network.domain
        # Route 53 has no endpoint in the VPC, so without a way out names are not external-dns'.
        if domain is None or network.hosted_zone is None or environment.is_isolated:
            return tuple(installed)
        names = ExternalDns(
            self,
            "ExternalDns",
            cluster=self.cluster,
            domain=domain,
            hosted_zone=network.hosted_zone,
        )
        return (*installed, names.installed)

    def _add_devices(self, eks: EksTable, hyperpod_groups: Sequence[InstanceGroup]) -> None:
        kinds = eks.device_kinds | {group.row.device_kind for group in hyperpod_groups}
        repairs = eks.cluster.gpu_monitoring is GpuMonitoring.NODE_REPAIR
        DevicePlugins(
            self,
            "DevicePlugins",
            cluster=self.cluster,
            kinds=kinds,
            efa=any(
                (
                    *(pool.efa for pool in eks.pools),
                    *(group.efa for group in eks.groups),
                    *(group.has_efa for group in hyperpod_groups),
                )
            ),
            neuron_topology=eks.needs_neuron_topology
            or _has_several_neuron_devices(hyperpod_groups),
            neuron_problems=not repairs,
        )
        if eks.cluster.gpu_monitoring is GpuMonitoring.PROMETHEUS and DeviceKind.NVIDIA in kinds:
            DcgmExporter(self, "DcgmExporter", cluster=self.cluster)
        # Container Insights brings a monitor of its own where it has the metrics of accelerators.
        insights = eks.cluster.gpu_monitoring is GpuMonitoring.METRICS
        if DeviceKind.NEURON in kinds and eks.prometheus.enabled and not insights:
            NeuronMonitor(self, "NeuronMonitor", cluster=self.cluster)

    def _make_prometheus(self, environment: Environment, eks: EksTable) -> Prometheus | None:
        if not eks.prometheus.enabled:
            return None
        return Prometheus(
            self,
            "Prometheus",
            cluster=self.cluster,
            metrics=eks.prometheus,
            log_retention_days=eks.cluster.log_retention_days,
            topics=topic_arns(self, environment),
            removal_policy=self.removal_policy,
        )

    def _make_keda(self, eks: EksTable) -> Keda | None:
        if not eks.controllers.autoscaling:
            return None
        return Keda(self, "Keda", cluster=self.cluster, prometheus=self.prometheus)

    def _add_namespaces(
        self, eks: EksTable, file_system: LustreFileSystem | None, mounts: ModelMounts | None
    ) -> WorkloadNamespaces:
        if file_system is not None:
            file_system.allow_clients(self.cluster.node_security_group)
        return WorkloadNamespaces(
            self,
            "Namespaces",
            cluster=self.cluster,
            names=eks.cluster.namespaces,
            file_system=file_system,
            mounts=mounts,
        )

    def _add_teams(
        self, eks: EksTable, namespaces: WorkloadNamespaces, hyperpod: HyperPod | None
    ) -> None:
        # A cluster has one Kueue, and HyperPod's task governance brings it along.
        if not eks.teams or (hyperpod is not None and hyperpod.governs_tasks):
            return
        kueue = Kueue(
            self,
            "Kueue",
            cluster=self.cluster,
            namespaces=[namespace for team in eks.teams for namespace in team.namespaces],
            external_frameworks=_external_frameworks(hyperpod),
            after=[
                *self.ingress_controllers,
                *(
                    made.installed
                    for made in (self.karpenter, self.keda, self.leader_worker_sets)
                    if made
                ),
            ],
        )
        TeamQueues(
            self,
            "Teams",
            cluster=self.cluster,
            plan=eks.team_plan(hyperpod),
            after=[kueue.installed, namespaces],
        )

    def _add_pools(self, eks: EksTable, network: Network, karpenter: Karpenter) -> None:
        profile = karpenter.instance_profile.instance_profile_name
        KarpenterPools(
            self,
            "Pools",
            cluster=self.cluster,
            karpenter=karpenter,
            pools=eks.pools,
            site=self._node_site(network, instance_profile=profile),
        )

    def _node_site(self, network: Network, *, instance_profile: str) -> NodeSite:
        accelerator = network.accelerator_subnet
        return NodeSite(
            instance_profile=instance_profile,
            security_group_ids=[
                self.cluster.security_group_id,
                self.cluster.node_security_group.security_group_id,
            ],
            subnet_ids={
                subnet.availability_zone: subnet.subnet_id for subnet in network.vpc.private_subnets
            },
            accelerator_subnet_id=accelerator.subnet_id if accelerator else None,
            volume_key_arn=self._volume_key.key_arn,
            tags=self._node_tags,
        )

    def _make_reserved_nodes(
        self, eks: EksTable, network: Network, networking: ClusterAddons
    ) -> tuple[ReservedNodes, ...]:
        # In a scope of their own: their names come from the environment's file.
        scope = Construct(self, "Reserved")
        return tuple(
            ReservedNodes(
                scope,
                "".join(part.capitalize() for part in group.name.split("-")),
                cluster=self.cluster,
                group=group,
                subnet=_accelerator_subnet(network),
                volume_key=self._volume_key,
                tags=self._node_tags,
                after=[networking],
            )
            for group in eks.groups
        )


def _accelerator_subnet(network: Network) -> ec2.ISubnet:
    subnet = network.accelerator_subnet
    assert subnet is not None, "the schema of the environment requires one"  # noqa: S101
    return subnet


def _external_frameworks(hyperpod: HyperPod | None) -> tuple[str, ...]:
    kubernetes = hyperpod.kubernetes if hyperpod else None
    return (HYPERPOD_JOB,) if kubernetes and kubernetes.training_operator else ()


def _has_several_neuron_devices(groups: Sequence[InstanceGroup]) -> bool:
    return any(
        row.device_kind is DeviceKind.NEURON and row.accelerator_count > 1
        for group in groups
        for row in group.rows
    )
