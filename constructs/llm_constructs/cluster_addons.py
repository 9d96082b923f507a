"""The add-ons of EKS that every cluster has, pinned, with their permissions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aws_cdk import aws_eks_v2 as eks
from constructs import Construct, IDependable

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.specs.eks import GpuMonitoring


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

CONTROLLERS: Final = (
    ClusterAddon(name="coredns", version="v1.14.3-eksbuild.23"),
    ClusterAddon(name="metrics-server", version="v0.9.0-eksbuild.7"),
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


def monitoring_addons(monitoring: GpuMonitoring) -> tuple[ClusterAddon, ...]:
    """Return the add-ons that watch nodes, exactly one of which runs DCGM.

    With two of them the node monitoring agent takes healthy nodes for broken, and they are
    replaced: https://github.com/aws/containers-roadmap/issues/2555
    """
    match monitoring:
        case GpuMonitoring.NODE_REPAIR:
            return (cloudwatch_observability(gpu_metrics=False), NODE_MONITORING_AGENT)
        case GpuMonitoring.METRICS:
            return (cloudwatch_observability(gpu_metrics=True),)


class ClusterAddons(Construct):
    """``addons`` in a cluster, installed after ``after`` and removed before it.

    Each service account that calls AWS has a role of its own by Pod Identity. What somebody
    changed by hand in an add-on's objects is overwritten, because the template is the truth.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        addons: Sequence[ClusterAddon],
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster = cluster
        for addon in addons:
            self._install(addon).node.add_dependency(*after)

    def _install(self, addon: ClusterAddon) -> eks.CfnAddon:
        # The L2 has no Pod Identity: https://github.com/aws/aws-cdk/issues/34903
        return eks.CfnAddon(
            self,
            _pascal_case(addon.name),
            cluster_name=self._cluster.cluster.cluster_name,
            addon_name=addon.name,
            addon_version=addon.version,
            configuration_values=_json(addon.configuration),
            pod_identity_associations=self._associations(addon),
            resolve_conflicts="OVERWRITE",
        )

    def _associations(
        self, addon: ClusterAddon
    ) -> list[eks.CfnAddon.PodIdentityAssociationProperty] | None:
        if addon.service_account is None or addon.managed_policy is None:
            return None
        role = PodIdentityRole(
            self,
            f"{_pascal_case(addon.name)}Role",
            cluster=self._cluster,
            namespace=addon.namespace,
            service_account=addon.service_account,
            description=f"The add-on {addon.name} of {self._cluster.name}",
        )
        role.use_managed_policy(addon.managed_policy)
        return [
            eks.CfnAddon.PodIdentityAssociationProperty(
                role_arn=role.role_arn, service_account=addon.service_account
            )
        ]


def _json(configuration: Mapping[str, Any]) -> str | None:
    return json.dumps(configuration, sort_keys=True) if configuration else None


def _pascal_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
