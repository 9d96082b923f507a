"""HyperPod's add-ons of EKS, with their permissions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from constructs import Construct, IDependable

from llm_constructs.cluster_addons import ClusterAddons
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.prometheus import Prometheus
from llm_constructs.specs.cluster_addon import (
    CERT_MANAGER,
    HYPERPOD_OBSERVABILITY,
    TASK_GOVERNANCE,
    TRAINING_OPERATOR,
    ClusterAddon,
)
from llm_constructs.specs.hyperpod_kubernetes import HyperPodKubernetes
from llm_constructs.specs.problem import Problem, SpecificationError

OPERATOR_ACCOUNT: Final = ("aws-hyperpod", "hp-training-operator-controller-manager")
"""Namespace and service account of the training operator.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-eks-operator-install.html
"""

COLLECTOR_ACCOUNT: Final = (
    "hyperpod-observability",
    "hyperpod-observability-operator-otel-collector",
)
"""Namespace and service account of what sends the metrics.

https://docs.aws.amazon.com/sagemaker/latest/dg/hyperpod-observability-addon-troubleshooting.html
"""

SCRAPE_SECONDS: Final = 30


class HyperPodAddons(Construct):
    """The add-ons that ``kubernetes`` asks for, made after ``after`` and deleted before it.

    ``task_governance`` is what quotas wait for, ``None`` without it. The operator may look at the
    nodes of the cluster ``cluster_arn`` and nothing else; the collector may write to the workspace
    of ``prometheus``.

    Raises :class:`SpecificationError` for observability without ``prometheus``.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        kubernetes: HyperPodKubernetes,
        cluster_arn: str,
        prometheus: Prometheus | None,
        after: Sequence[IDependable],
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster = cluster
        self._after = tuple(after)
        if kubernetes.training_operator:
            self._add_training_operator(cluster_arn)
        self.task_governance = (
            self._install("TaskGovernance", TASK_GOVERNANCE) if kubernetes.task_governance else None
        )
        if kubernetes.observability:
            self._add_observability(prometheus)

    def _add_training_operator(self, cluster_arn: str) -> None:
        certificates = self._install("Certificates", CERT_MANAGER)
        role = self._make_role("OperatorRole", OPERATOR_ACCOUNT, TRAINING_OPERATOR)
        role.allow(
            iam.PolicyStatement(actions=["sagemaker:DescribeClusterNode"], resources=[cluster_arn])
        )
        # By itself, for the add-on refuses one of its own since v1.2.1, and before it, for the
        # operator's pods get their credentials as they start:
        # https://github.com/awslabs/awsome-distributed-ai/issues/1075
        association = role.associate()
        association.node.add_dependency(role)
        self._install("Operator", TRAINING_OPERATOR, after=[certificates, association])

    def _add_observability(self, prometheus: Prometheus | None) -> None:
        if prometheus is None:
            problem = Problem(
                "prometheus",
                None,
                "HyperPod's metrics need a workspace to go to.",
                "Give one, or set observability = false.",
            )
            raise SpecificationError(self.node.path, [problem])
        role = self._make_role("CollectorRole", COLLECTOR_ACCOUNT, HYPERPOD_OBSERVABILITY)
        role.allow(
            iam.PolicyStatement(actions=["aps:RemoteWrite"], resources=[prometheus.workspace_arn])
        )
        addon = eks.CfnAddon(
            self,
            "Observability",
            cluster_name=self._cluster.cluster.cluster_name,
            addon_name=HYPERPOD_OBSERVABILITY.name,
            addon_version=HYPERPOD_OBSERVABILITY.version,
            configuration_values=json.dumps(observability_configuration(prometheus)),
            pod_identity_associations=[
                eks.CfnAddon.PodIdentityAssociationProperty(
                    role_arn=role.role_arn, service_account=role.service_account
                )
            ],
            resolve_conflicts="OVERWRITE",
        )
        addon.node.add_dependency(role, *self._after)

    def _make_role(
        self, construct_id: str, account: tuple[str, str], addon: ClusterAddon
    ) -> PodIdentityRole:
        namespace, service_account = account
        return PodIdentityRole(
            self,
            construct_id,
            cluster=self._cluster,
            namespace=namespace,
            service_account=service_account,
            description=f"The add-on {addon.name} of {self._cluster.name}",
        )

    def _install(
        self, construct_id: str, addon: ClusterAddon, after: Sequence[IDependable] = ()
    ) -> ClusterAddons:
        return ClusterAddons(
            self,
            construct_id,
            cluster=self._cluster,
            addons=[addon],
            after=[*self._after, *after],
        )


def observability_configuration(prometheus: Prometheus) -> Mapping[str, Any]:
    """Return the add-on's configuration: metrics of nodes and training, and no others.

    Those of accelerators come from whoever runs DCGM by ``gpu_monitoring`` of ``[eks.cluster]``: a
    second one breaks nodes. The levels are ``DISABLED``, ``BASIC`` and ``ADVANCED``.

    https://docs.aws.amazon.com/sagemaker/latest/dg/hyperpod-observability-addon-setup.html
    """
    levels = {
        "trainingMetrics": "BASIC",
        "nodeMetrics": "BASIC",
        "customMetrics": "BASIC",
        "taskGovernanceMetrics": "BASIC",
        "inferenceMetrics": "DISABLED",
        "scalingMetrics": "DISABLED",
        "networkMetrics": "DISABLED",
        "acceleratedComputeMetrics": "DISABLED",
    }
    return {
        "ampWorkspace": {
            "arn": prometheus.workspace_arn,
            "prometheusEndpoint": f"{prometheus.query_endpoint}/",
        },
        "metricsProvider": {
            name: {"level": level, "scrapeInterval": SCRAPE_SECONDS}
            for name, level in levels.items()
        },
        # HyperPod's logs of nodes are in CloudWatch already.
        "logging": {"enabled": False},
    }
