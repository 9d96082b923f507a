"""The add-ons of EKS that clusters have, at the versions that they are pinned at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llm_constructs.specs.eks import Cluster, GpuMonitoring
from llm_constructs.specs.hyperpod_kubernetes import HyperPodKubernetes


@dataclass(frozen=True, kw_only=True)
class ClusterAddon:
    """One add-on at one version.

    ``service_account`` is that of ``namespace`` whose pods need the AWS-managed policy
    ``managed_policy``; add-ons without one call no AWS service.
    """

    name: str
    version: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = "kube-system"
    service_account: str | None = None
    managed_policy: str | None = None


# Versions: `aws eks describe-addon-versions --kubernetes-version 1.36`.
NETWORKING: Final = (
    ClusterAddon(
        name="vpc-cni",
        version="v1.22.4-eksbuild.3",
        # A string by the add-on's own schema:
        # https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy-configure.html
        configuration={"enableNetworkPolicy": "true"},
        service_account="aws-node",
        managed_policy="AmazonEKS_CNI_Policy",
    ),
    ClusterAddon(name="kube-proxy", version="v1.36.0-eksbuild.25"),
    ClusterAddon(name="eks-pod-identity-agent", version="v1.4.0-eksbuild.1"),
)
"""What a node needs to become ready, so installed before any node: all are daemon sets."""

METRICS_SERVER: Final = ClusterAddon(name="metrics-server", version="v0.9.0-eksbuild.7")

CONTROLLERS: Final = (
    ClusterAddon(name="coredns", version="v1.14.3-eksbuild.23"),
    METRICS_SERVER,
    ClusterAddon(
        name="aws-ebs-csi-driver",
        version="v1.63.1-eksbuild.1",
        service_account="ebs-csi-controller-sa",
        managed_policy="service-role/AmazonEBSCSIDriverPolicy",
    ),
)
"""What needs nodes to run on."""

NODE_MONITORING_AGENT: Final = ClusterAddon(
    name="eks-node-monitoring-agent", version="v1.7.0-eksbuild.1"
)
"""Tells EKS and Karpenter which nodes to repair. It runs DCGM on NVIDIA nodes, always:
https://github.com/aws/containers-roadmap/issues/2763
"""

FSX_CSI_DRIVER: Final = ClusterAddon(name="aws-fsx-csi-driver", version="v1.10.0-eksbuild.1")
"""Mounts file systems that exist. To make new ones it would need permissions, and has none."""


S3_CSI_DRIVER: Final = ClusterAddon(
    name="aws-mountpoint-s3-csi-driver",
    version="v2.5.0-eksbuild.1",
    # Accelerator nodes are tainted, and the driver's pods do not tolerate that by default:
    # https://docs.aws.amazon.com/eks/latest/userguide/s3-csi-create.html
    configuration={"node": {"tolerateAllTaints": True}},
)
"""Mounts folders of S3 as files."""


CERT_MANAGER: Final = ClusterAddon(
    name="cert-manager", version="v1.20.2-eksbuild.3", namespace="cert-manager"
)
"""Signs the certificates of webhooks.

https://github.com/aws/eks-anywhere-build-tooling/pull/5499
"""

TRAINING_OPERATOR: Final = ClusterAddon(
    name="amazon-sagemaker-hyperpod-training-operator",
    version="v1.2.1-eksbuild.1",
    namespace="aws-hyperpod",
)
"""Restarts the processes of training jobs. Of its permissions this version knows nothing:
https://github.com/awslabs/awsome-distributed-ai/pull/1076
"""

TASK_GOVERNANCE: Final = ClusterAddon(
    name="amazon-sagemaker-hyperpod-taskgovernance", version="v1.6.0-eksbuild.1"
)
"""Installs Kueue 0.19.2, and keeps quotas as SageMaker knows them.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-operate-console-ui-governance-upgrade.html
"""

HYPERPOD_OBSERVABILITY: Final = ClusterAddon(
    name="amazon-sagemaker-hyperpod-observability", version="v1.0.5-eksbuild.1"
)
"""Sends metrics to a Prometheus workspace.

https://docs.aws.amazon.com/sagemaker/latest/dg/hyperpod-observability-addon-troubleshooting.html
"""


def hyperpod_addons(kubernetes: HyperPodKubernetes) -> tuple[ClusterAddon, ...]:
    """Return the add-ons of a HyperPod cluster on EKS."""
    operator = (CERT_MANAGER, TRAINING_OPERATOR) * kubernetes.training_operator
    governance = (TASK_GOVERNANCE,) * kubernetes.task_governance
    return (*operator, *governance, *(HYPERPOD_OBSERVABILITY,) * kubernetes.observability)


def cloudwatch_observability(*, gpu_metrics: bool) -> ClusterAddon:
    """Return the add-on for logs and metrics; ``gpu_metrics`` makes it run DCGM on NVIDIA nodes.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-EKS-agent.html
    """
    insights = {
        "enhanced_container_insights": True,
        "accelerated_compute_metrics": gpu_metrics,
    }
    return ClusterAddon(
        name="amazon-cloudwatch-observability",
        version="v6.6.0-eksbuild.1",
        configuration={
            "agent": {"config": {"logs": {"metrics_collected": {"kubernetes": insights}}}}
        },
        namespace="amazon-cloudwatch",
        service_account="cloudwatch-agent",
        managed_policy="CloudWatchAgentServerPolicy",
    )


AUTO_MODE_CONTROLLERS: Final = (METRICS_SERVER, cloudwatch_observability(gpu_metrics=False))
"""What EKS Auto Mode leaves to add-ons: names, network, identities, disks and repair are its own.

https://docs.aws.amazon.com/eks/latest/userguide/auto-networking.html
"""


def monitoring_addons(monitoring: GpuMonitoring) -> tuple[ClusterAddon, ...]:
    """Return the add-ons that watch nodes, at most one of which runs DCGM.

    With two of them the node monitoring agent takes healthy nodes for broken, and they are
    replaced: https://github.com/aws/containers-roadmap/issues/2555
    """
    match monitoring:
        case GpuMonitoring.NODE_REPAIR:
            return (cloudwatch_observability(gpu_metrics=False), NODE_MONITORING_AGENT)
        case GpuMonitoring.METRICS:
            return (cloudwatch_observability(gpu_metrics=True),)
        case GpuMonitoring.PROMETHEUS:
            # DCGM is the exporter's: see dcgm_exporter.
            return (cloudwatch_observability(gpu_metrics=False),)


def cluster_addons(
    cluster: Cluster, *, has_file_system: bool, mounts_models: bool
) -> tuple[ClusterAddon, ...]:
    """Return every add-on of a cluster, in the order in which they are installed."""
    if cluster.is_automatic:
        return AUTO_MODE_CONTROLLERS
    storage = (FSX_CSI_DRIVER,) * has_file_system + (S3_CSI_DRIVER,) * mounts_models
    return (*NETWORKING, *CONTROLLERS, *monitoring_addons(cluster.gpu_monitoring), *storage)
