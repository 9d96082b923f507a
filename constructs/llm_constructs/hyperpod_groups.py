"""Instance groups as CloudFormation takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import aws_sagemaker as sagemaker

from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.image_updates import ImageUpdates
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.lifecycle_settings import EntryPoint

_Cluster = sagemaker.CfnCluster


@dataclass(frozen=True, kw_only=True)
class LustreMount:
    """A file system that HyperPod mounts by itself. Names may be tokens."""

    dns_name: str
    mount_name: str


@dataclass(frozen=True, kw_only=True)
class GroupSurroundings:
    """What one group is given by its cluster. ARNs, ids and names may be tokens."""

    role_arn: str
    subnet_id: str
    security_group_ids: Sequence[str]
    scripts_uri: str
    volume_key_arn: str
    mount: LustreMount | None = None


def instance_group(
    cluster: HyperPod, group: InstanceGroup, given: GroupSurroundings
) -> sagemaker.CfnCluster.ClusterInstanceGroupProperty:
    """Return ``group`` of ``cluster``.

    The subnet is given to each group and not to the cluster alone, because only there it can be
    changed without a new cluster.
    """
    types = group.sagemaker_types
    with_api = cluster.orchestrator == Orchestrator.SLURM and not cluster.is_legacy
    return _Cluster.ClusterInstanceGroupProperty(
        instance_group_name=group.name,
        execution_role=given.role_arn,
        instance_count=group.count,
        min_instance_count=group.minimum,
        instance_type=types[0] if len(types) == 1 else None,
        instance_requirements=_requirements(types),
        capacity_requirements=_spot() if group.spot else None,
        training_plan_arn=group.training_plan.arn if group.training_plan else None,
        threads_per_core=group.threads_per_core,
        network_interface=_interface(group),
        on_start_deep_health_checks=[str(c) for c in cluster.checks_on_start(group)] or None,
        override_vpc_config=_Cluster.VpcConfigProperty(
            security_group_ids=list(given.security_group_ids), subnets=[given.subnet_id]
        ),
        instance_storage_configs=_storage(cluster, group, given, mounts=with_api),
        life_cycle_config=_life_cycle(cluster, given.scripts_uri),
        slurm_config=_slurm(group) if with_api else None,
        kubernetes_config=_kubernetes(group) if cluster.orchestrator == Orchestrator.EKS else None,
        image_id=group.ami_id,
        image_release_version=group.image_release,
        scheduled_update_config=_schedule(group.updates),
        auto_patch_config=_patching(group.updates),
    )


def entry_point(cluster: HyperPod) -> EntryPoint:
    """Return the script that HyperPod starts on the nodes of ``cluster``."""
    if cluster.orchestrator == Orchestrator.EKS:
        return EntryPoint.EKS_ON_CREATE
    return EntryPoint.ON_CREATE if cluster.is_legacy else EntryPoint.ON_INIT_COMPLETE


def _requirements(types: Sequence[str]) -> sagemaker.CfnCluster.InstanceRequirementsProperty | None:
    if len(types) == 1:
        return None
    return _Cluster.InstanceRequirementsProperty(instance_types=list(types))


def _spot() -> sagemaker.CfnCluster.ClusterCapacityRequirementsProperty:
    return _Cluster.ClusterCapacityRequirementsProperty(spot={})


def _interface(
    group: InstanceGroup,
) -> sagemaker.CfnCluster.ClusterNetworkInterfaceProperty | None:
    if not group.has_efa:
        return None
    return _Cluster.ClusterNetworkInterfaceProperty(interface_type=str(group.efa))


def _storage(
    cluster: HyperPod, group: InstanceGroup, given: GroupSurroundings, *, mounts: bool
) -> list[sagemaker.CfnCluster.ClusterInstanceStorageConfigProperty]:
    storage = _Cluster.ClusterInstanceStorageConfigProperty
    volume = _Cluster.ClusterEbsVolumeConfigProperty
    configs = [
        # HyperPod fixes the size of root volumes and refuses one here.
        storage(ebs_volume_config=volume(root_volume=True, volume_kms_key_id=given.volume_key_arn)),
        storage(
            ebs_volume_config=volume(
                root_volume=False,
                volume_size_in_gb=group.volume_gb,
                volume_kms_key_id=given.volume_key_arn,
            )
        ),
    ]
    if mounts and given.mount is not None:
        configs.append(
            storage(
                fsx_lustre_config=_Cluster.ClusterFsxLustreConfigProperty(
                    dns_name=given.mount.dns_name,
                    mount_name=given.mount.mount_name,
                    mount_path=cluster.mount_path,
                )
            )
        )
    return configs


def _life_cycle(
    cluster: HyperPod, scripts_uri: str
) -> sagemaker.CfnCluster.ClusterLifeCycleConfigProperty:
    script = entry_point(cluster)
    extends = script is EntryPoint.ON_INIT_COMPLETE
    return _Cluster.ClusterLifeCycleConfigProperty(
        source_s3_uri=scripts_uri,
        on_init_complete=str(script) if extends else None,
        on_create=None if extends else str(script),
    )


def _slurm(group: InstanceGroup) -> sagemaker.CfnCluster.ClusterSlurmConfigProperty:
    return _Cluster.ClusterSlurmConfigProperty(
        node_type=group.role.value.capitalize(), partition_names=list(group.partitions) or None
    )


def _kubernetes(
    group: InstanceGroup,
) -> sagemaker.CfnCluster.ClusterKubernetesConfigProperty | None:
    # No taints: HyperPod's own agents, which must run on every node, do not tolerate them all.
    if group.row.device_kind is DeviceKind.NONE:
        return None
    labels: Mapping[str, str] = group.row.labels(efa=group.has_efa)
    return _Cluster.ClusterKubernetesConfigProperty(labels=dict(labels))


def _schedule(
    updates: ImageUpdates | None,
) -> sagemaker.CfnCluster.ScheduledUpdateConfigProperty | None:
    if updates is None or updates.schedule is None:
        return None
    return _Cluster.ScheduledUpdateConfigProperty(
        schedule_expression=updates.schedule, deployment_config=_deployment(updates)
    )


def _patching(
    updates: ImageUpdates | None,
) -> sagemaker.CfnCluster.AutoPatchConfigProperty | None:
    if updates is None or updates.patching is None:
        return None
    return _Cluster.AutoPatchConfigProperty(patching_strategy=str(updates.patching))


def _deployment(updates: ImageUpdates) -> sagemaker.CfnCluster.DeploymentConfigProperty:
    batch = _Cluster.CapacitySizeConfigProperty(
        type="CAPACITY_PERCENTAGE", value=updates.batch_percent
    )
    alarms = [_Cluster.AlarmDetailsProperty(alarm_name=name) for name in updates.rollback_alarms]
    return _Cluster.DeploymentConfigProperty(
        rolling_update_policy=_Cluster.RollingUpdatePolicyProperty(
            maximum_batch_size=batch, rollback_maximum_batch_size=batch
        ),
        wait_interval_in_seconds=updates.wait_seconds,
        auto_rollback_configuration=alarms or None,
    )
