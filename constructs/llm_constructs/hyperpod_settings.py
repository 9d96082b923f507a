"""What the nodes of a HyperPod cluster are told: settings of the scripts, and the legacy file."""

import json
from typing import Any, Final

from llm_constructs.hyperpod_groups import LustreMount
from llm_constructs.hyperpod_permissions import METRICS_NAMESPACE
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.lifecycle_settings import (
    ExpectedMount,
    LifecycleSettings,
    MountedBy,
    NodeExpectation,
    NodeObservability,
    NodeRole,
)

LEGACY_FILE: Final = "provisioning_parameters.json"
"""Name of the file by which Slurm was described before the API could.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-ref.html
"""

SECONDARY_VOLUME: Final = "/opt/sagemaker"
"""Where HyperPod mounts the secondary volume. Same source."""


def node_settings(
    cluster: HyperPod,
    *,
    name: str,
    log_group: str,
    mount: LustreMount | None,
    lustre_over_efa: bool,
) -> LifecycleSettings:
    """Return the settings of the life-cycle scripts of ``cluster``.

    Nodes that EKS orchestrates mount nothing themselves: pods do, by the FSx CSI driver.
    """
    on_eks = cluster.orchestrator == Orchestrator.EKS
    mounts = () if mount is None or on_eks else (_expected(cluster, mount),)
    return LifecycleSettings(
        cluster=name,
        groups=tuple(
            _expectation(group, lustre_over_efa=lustre_over_efa and bool(mounts))
            for group in cluster.groups
        ),
        mounts=mounts,
        container_storage=SECONDARY_VOLUME if on_eks else None,
        observability=NodeObservability(log_group=log_group, metrics_namespace=METRICS_NAMESPACE),
        lifecycle=cluster.lifecycle,
    )


def legacy_document(cluster: HyperPod, mount: LustreMount | None) -> str:
    """Return ``provisioning_parameters.json`` for a Slurm cluster."""
    by_role = {role: [group for group in cluster.groups if group.role == role] for role in NodeRole}
    document: dict[str, Any] = {
        "version": "1.0.0",
        "workload_manager": "slurm",
        "controller_group": by_role[NodeRole.CONTROLLER][0].name,
        "worker_groups": [
            {"instance_group_name": group.name, "partition_name": group.partitions[0]}
            for group in by_role[NodeRole.COMPUTE]
        ],
    }
    if by_role[NodeRole.LOGIN]:
        document["login_group"] = by_role[NodeRole.LOGIN][0].name
    if mount is not None:
        document |= {"fsx_dns_name": mount.dns_name, "fsx_mountname": mount.mount_name}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _expected(cluster: HyperPod, mount: LustreMount) -> ExpectedMount:
    return ExpectedMount(
        dns_name=mount.dns_name,
        mount_name=mount.mount_name,
        path=cluster.mount_path,
        mounted_by=MountedBy.SCRIPTS if cluster.is_legacy else MountedBy.HYPERPOD,
    )


def _expectation(group: InstanceGroup, *, lustre_over_efa: bool) -> NodeExpectation:
    # Of several types, what all of them have at least.
    row = min(group.rows, key=lambda row: row.efa.interfaces if row.efa else 0)
    return NodeExpectation.of(
        group.name, group.role, row, efa=group.has_efa, lustre_over_efa=lustre_over_efa
    )
