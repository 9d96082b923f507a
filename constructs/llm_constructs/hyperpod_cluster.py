"""A SageMaker HyperPod cluster, orchestrated by Slurm or by the platform's EKS cluster.

L1, for there is no L2:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-cluster.html
"""

from collections.abc import Sequence
from pathlib import Path

from aws_cdk import Acknowledgment, CfnTag, Fn, RemovalPolicy, Stack, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct, IDependable

from llm_constructs.encryption import CustomerKey
from llm_constructs.fabric_security_group import FabricSecurityGroup
from llm_constructs.hyperpod_events import HyperPodEvents
from llm_constructs.hyperpod_groups import GroupSurroundings, LustreMount, instance_group
from llm_constructs.hyperpod_logs import HyperPodLogs
from llm_constructs.hyperpod_neighbours import HyperPodNeighbours, check_neighbours
from llm_constructs.hyperpod_permissions import node_permissions
from llm_constructs.hyperpod_role import AutoScalingRole, HyperPodRole
from llm_constructs.hyperpod_settings import LEGACY_FILE, legacy_document, node_settings
from llm_constructs.lifecycle_scripts import SCRIPTS, LifecycleScripts
from llm_constructs.node_permission import NodeKind, NodeResources
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.lifecycle_settings import SETTINGS_FILE
from llm_constructs.training_plan_reminder import TrainingPlanReminder

_HTTPS = ec2.Port.tcp(443)
_READABLE = (LakeArea.DATASETS,)
_WRITABLE = (LakeArea.CHECKPOINTS, LakeArea.MODELS)

_Cluster = sagemaker.CfnCluster


class HyperPodCluster(Construct):
    """The cluster that ``spec`` describes, with its roles, scripts, keys, logs and events.

    Volumes, scripts and logs are encrypted with keys of the account's own. Nodes reach each other,
    the file system, and HTTPS endpoints. Each kind of node has a role of its own, and jobs read the
    lake's datasets and write its checkpoints and models. Replacing the cluster needs another
    ``name``. Its nodes come ``after`` what must be there before them, such as HyperPod's chart.

    Raises :class:`SpecificationError` for a cluster on EKS without ``neighbours.eks``, and for a
    group in a zone without a subnet.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        spec: HyperPod,
        neighbours: HyperPodNeighbours,
        access_logs: s3.IBucket,
        scripts: Path = SCRIPTS,
        after: Sequence[IDependable] = (),
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = name
        self.spec = spec
        self._neighbours = neighbours
        self._removal_policy = removal_policy
        self._after = tuple(after)
        check_neighbours(self.node.path, spec, neighbours)
        self.volume_key = CustomerKey(
            self,
            "VolumeKey",
            description=f"Encrypts the volumes and logs of the HyperPod cluster {name}",
            removal_policy=removal_policy,
        )
        self.logs = HyperPodLogs(
            self,
            "Logs",
            cluster_name=name,
            encryption_key=self.volume_key,
            retention_days=spec.log_retention_days,
            removal_policy=removal_policy,
        )
        self.security_group: ec2.SecurityGroup | None = None
        if neighbours.eks is None or spec.orchestrator != Orchestrator.EKS:
            self.security_group = self._make_security_group()
        self.scripts = LifecycleScripts(
            self,
            "Scripts",
            folder=scripts,
            documents=self._documents(),
            access_logs=access_logs,
            removal_policy=removal_policy,
        )
        self.roles = self._make_roles()
        self.cluster = self._make_cluster()
        self.cluster_id = Fn.select(1, Fn.split("/", self.cluster.attr_cluster_arn))
        self.logs.protect(self.cluster_id)
        self.events = HyperPodEvents(
            self,
            "Events",
            cluster_name=name,
            recovers=spec.node_recovery,
            encryption_key=self.volume_key,
            log_retention_days=spec.log_retention_days,
            removal_policy=removal_policy,
        )
        self.reminder = self._make_reminder()

    @property
    def arn(self) -> str:
        """The cluster's ARN."""
        return self.cluster.attr_cluster_arn

    @property
    def _security_group_ids(self) -> list[str]:
        if self.security_group is not None:
            return [self.security_group.security_group_id]
        eks = self._neighbours.eks
        assert eks is not None, "clusters on EKS are checked to have one"  # noqa: S101
        return [eks.security_group_id, eks.node_security_group.security_group_id]

    @property
    def _mount(self) -> LustreMount | None:
        file_system = self._neighbours.file_system
        if file_system is None:
            return None
        return LustreMount(dns_name=file_system.dns_name, mount_name=file_system.mount_name)

    def _make_security_group(self) -> ec2.SecurityGroup:
        group = FabricSecurityGroup(
            self,
            "SecurityGroup",
            vpc=self._neighbours.vpc,
            description=f"Nodes of the HyperPod cluster {self.name}",
            traffic="EFA and Slurm between nodes",
        )
        group.add_egress_rule(ec2.Peer.any_ipv4(), _HTTPS, "AWS's services and registries")
        database = self.spec.slurm_settings.accounting
        if database is not None:
            group.add_egress_rule(
                ec2.Peer.ipv4(self._neighbours.vpc.vpc_cidr_block),
                ec2.Port.tcp(database.port),
                "Slurm's accounting database",
            )
        if self._neighbours.file_system is not None:
            self._neighbours.file_system.allow_clients(group)
        return group

    def _documents(self) -> dict[str, str]:
        file_system = self._neighbours.file_system
        settings = node_settings(
            self.spec,
            name=self.name,
            log_group=self.logs.node_log_group.log_group_name,
            mount=self._mount,
            lustre_over_efa=file_system is not None and file_system.volume.efa,
        )
        documents = {SETTINGS_FILE: settings.to_json()}
        if self.spec.is_legacy:
            documents[LEGACY_FILE] = legacy_document(self.spec, self._mount)
        return documents

    def _make_roles(self) -> dict[NodeKind, HyperPodRole]:
        neighbours = self._neighbours
        lake = neighbours.lake
        client = self.spec.lifecycle.lustre_client
        on_eks = self.spec.orchestrator == Orchestrator.EKS
        permissions = node_permissions(
            self,
            NodeResources(
                cluster_name=self.name,
                scripts=self.scripts.location,
                scripts_key_arn=self.scripts.key.key_arn,
                volume_key_arn=self.volume_key.key_arn,
                subnet_ids=sorted({self._subnet_id(group) for group in self.spec.groups}),
                security_group_ids=self._security_group_ids,
                has_file_system=neighbours.file_system is not None,
                readable=[lake.location(area) for area in _READABLE] if lake else (),
                writable=[lake.location(area) for area in _WRITABLE] if lake else (),
                lustre_client=client.source if client else None,
                lustre_client_key_arn=client.key_arn if client else None,
                undone_by_alarms=frozenset(
                    self._kind(group)
                    for group in self.spec.groups
                    if group.updates is not None and group.updates.rollback_alarms
                ),
                accounting=self.spec.slurm_settings.accounting,
                eks_cluster_arn=neighbours.eks.arn if on_eks and neighbours.eks else None,
            ),
        )
        kinds = sorted({self._kind(group) for group in self.spec.groups})
        return {
            kind: HyperPodRole(
                self,
                f"{kind.value.capitalize()}Role",
                kind=kind,
                cluster_name=self.name,
                permissions=permissions,
            )
            for kind in kinds
        }

    def _kind(self, group: InstanceGroup) -> NodeKind:
        if self.spec.orchestrator == Orchestrator.EKS:
            return NodeKind.EKS
        return NodeKind(group.role.value)

    def _subnet_id(self, group: InstanceGroup) -> str:
        subnet = self._neighbours.subnet_in(group.zone)
        assert subnet is not None, "zones are checked to have one"  # noqa: S101
        return subnet.subnet_id

    def _make_cluster(self) -> sagemaker.CfnCluster:
        spec = self.spec
        home = self._neighbours.subnet_in(None)
        cluster = _Cluster(
            self,
            "Cluster",
            cluster_name=self.name,
            orchestrator=self._orchestrator(),
            # Only this mode has customer-managed keys, events and an accounting database.
            node_provisioning_mode="Continuous",
            node_recovery="Automatic" if spec.node_recovery else "None",
            vpc_config=_Cluster.VpcConfigProperty(
                security_group_ids=self._security_group_ids,
                subnets=[home.subnet_id] if home else [],
            ),
            instance_groups=[
                instance_group(spec, group, self._surroundings(group)) for group in spec.groups
            ],
            tiered_storage_config=self._tiered_storage(),
            auto_scaling=self._auto_scaling(),
            cluster_role=self._auto_scaling_role_arn(),
            tags=self._tags(),
        )
        # Nodes fetch scripts and use their permissions at once; CloudFormation sees neither.
        cluster.node.add_dependency(self.scripts, *self.roles.values(), self.logs.node_log_group)
        cluster.node.add_dependency(*self._after)
        if self.security_group is not None:
            cluster.node.add_dependency(self.security_group)
        self._accept_unlisted_regions(cluster)
        return cluster

    def _orchestrator(self) -> sagemaker.CfnCluster.OrchestratorProperty | None:
        spec = self.spec
        if spec.is_legacy:
            # Without an orchestrator, HyperPod looks for the legacy file among the scripts.
            return None
        if spec.orchestrator == Orchestrator.EKS and self._neighbours.eks is not None:
            return _Cluster.OrchestratorProperty(
                eks=_Cluster.ClusterOrchestratorEksConfigProperty(
                    cluster_arn=self._neighbours.eks.arn
                )
            )
        settings = spec.slurm_settings
        database = settings.accounting
        return _Cluster.OrchestratorProperty(
            slurm=_Cluster.ClusterOrchestratorSlurmConfigProperty(
                slurm_config_strategy=str(settings.strategy),
                accounting_database=_Cluster.ClusterAccountingDatabaseProperty(
                    endpoint=database.endpoint,
                    secret_arn=database.secret_arn,
                    name=database.name,
                    port=database.port,
                )
                if database
                else None,
            )
        )

    def _surroundings(self, group: InstanceGroup) -> GroupSurroundings:
        return GroupSurroundings(
            role_arn=self.roles[self._kind(group)].role_arn,
            subnet_id=self._subnet_id(group),
            security_group_ids=self._security_group_ids,
            scripts_uri=self.scripts.uri,
            volume_key_arn=self.volume_key.key_arn,
            mount=self._mount,
        )

    def _tiered_storage(self) -> sagemaker.CfnCluster.TieredStorageConfigProperty | None:
        percent = self.spec.tiered_storage_percent
        if percent is None:
            return None
        return _Cluster.TieredStorageConfigProperty(
            mode="Enable", instance_memory_allocation_percentage=percent
        )

    def _auto_scaling(self) -> sagemaker.CfnCluster.ClusterAutoScalingConfigProperty | None:
        if not self.spec.auto_scaling:
            return None
        return _Cluster.ClusterAutoScalingConfigProperty(
            mode="Enable", auto_scaler_type="Karpenter"
        )

    def _auto_scaling_role_arn(self) -> str | None:
        if not self.spec.auto_scaling:
            return None
        return AutoScalingRole(
            self,
            "AutoScalingRole",
            cluster_name=self.name,
            volume_key_arn=self.volume_key.key_arn,
        ).role_arn

    def _tags(self) -> list[CfnTag] | None:
        if self.spec.orchestrator != Orchestrator.EKS:
            return None
        # The permissions of HyperPod's training operator ask for it:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-eks-operator-install.html
        return [CfnTag(key="SageMaker", value="true")]

    def _accept_unlisted_regions(self, cluster: sagemaker.CfnCluster) -> None:
        unlisted = [
            group.name
            for group in self.spec.groups
            if group.unlisted_region or self.spec.unlisted_region
        ]
        if unlisted:
            Validations.of(cluster).acknowledge(
                Acknowledgment(
                    id="CloudFormation-Validate::E3644",
                    reason=f"The file says that AWS sells the types of {', '.join(unlisted)} in "
                    f"{Stack.of(self).region}; the list that is checked here comes from prices, "
                    "which lag behind capacity.",
                )
            )

    def _make_reminder(self) -> TrainingPlanReminder | None:
        plans = {
            group.training_plan.arn: group.training_plan
            for group in self.spec.groups
            if group.training_plan is not None and group.training_plan.end is not None
        }
        if not plans:
            return None
        return TrainingPlanReminder(
            self, "PlanReminder", cluster_name=self.name, plans=tuple(plans.values())
        )
