"""What an EKS cluster is made of."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llm_constructs.specs.log_retention import check_log_retention
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.role_arn import ROLE_ARN

KUBERNETES_VERSIONS: Final = ("1.36",)
"""Versions that the add-ons and charts here are pinned for.

https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html
"""

_NAMESPACE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


class UpgradePolicy(StrEnum):
    """What EKS does with a cluster whose version leaves standard support."""

    STANDARD = "STANDARD"
    """It is upgraded to the next version by AWS, at no charge."""
    EXTENDED = "EXTENDED"
    """It stays for another year, at six times the price of the control plane."""


class ComputeProfile(StrEnum):
    """Who runs the nodes."""

    KARPENTER = "karpenter"
    """A group of system nodes, and Karpenter on it."""
    AUTO_MODE = "auto-mode"
    """EKS itself, with its own images, drivers and Karpenter."""


class GpuMonitoring(StrEnum):
    """Who runs DCGM, NVIDIA's monitoring service, on GPU nodes. Two of them break nodes."""

    NODE_REPAIR = "node-repair"
    """The node monitoring agent, so that nodes with broken GPUs are replaced."""
    METRICS = "metrics"
    """Container Insights, so that CloudWatch has the GPUs' metrics."""
    PROMETHEUS = "prometheus"
    """NVIDIA's exporter, so that the Prometheus workspace has the GPUs' metrics."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """An EKS cluster with a private endpoint."""

    version: str = KUBERNETES_VERSIONS[-1]
    """The version of Kubernetes."""
    upgrade_policy: UpgradePolicy = UpgradePolicy.STANDARD
    """`STANDARD`: AWS upgrades the cluster when standard support ends. `EXTENDED`: it stays, at six
    times the price of the control plane."""
    compute: ComputeProfile = ComputeProfile.KARPENTER
    """Who runs the nodes: `karpenter` (the platform), or `auto-mode` (EKS, at a surcharge for every
    instance, and without EFA, placement groups, reserved groups and model servers)."""
    admin_role_arns: tuple[str, ...] = ()
    """IAM roles that may do everything in the cluster, besides the deployment itself."""
    viewer_role_arns: tuple[str, ...] = ()
    """IAM roles that may look at everything but secrets."""
    log_retention_days: int = 365
    """Days to keep the control plane's logs, the audit log among them."""
    namespaces: tuple[str, ...] = ("serving", "training")
    """Namespaces for workloads. Each gets the platform's file system as the claim `lustre`."""
    gpu_monitoring: GpuMonitoring = GpuMonitoring.NODE_REPAIR
    """Who runs DCGM on GPU nodes, which only one can: `node-repair`, and nodes with broken GPUs are
    replaced; `metrics`, and Container Insights has the GPUs' metrics; or `prometheus`, and the
    Prometheus workspace has them."""

    def __post_init__(self) -> None:
        problems = Problems("cluster")
        problems.require(
            self.version in KUBERNETES_VERSIONS,
            "version",
            self.version,
            "The add-ons, charts and kubectl of the platform are not pinned for it.",
            f"Choose {', '.join(KUBERNETES_VERSIONS)}.",
        )
        check_log_retention(problems, self.log_retention_days)
        problems.require(
            not self.is_automatic or self.gpu_monitoring == GpuMonitoring.NODE_REPAIR,
            "gpu_monitoring",
            str(self.gpu_monitoring),
            "EKS Auto Mode watches and repairs GPU nodes itself, and a second DCGM breaks them.",
            'Leave it out, or choose compute = "karpenter".',
        )
        self._check_roles(problems)
        self._check_namespaces(problems)
        problems.raise_if_any()

    @property
    def is_automatic(self) -> bool:
        """Whether EKS Auto Mode runs the nodes."""
        return self.compute == ComputeProfile.AUTO_MODE

    def _check_roles(self, problems: Problems) -> None:
        named = (
            ("admin_role_arns", self.admin_role_arns),
            ("viewer_role_arns", self.viewer_role_arns),
        )
        for name, arns in named:
            for arn in arns:
                problems.require(
                    ROLE_ARN.fullmatch(arn) is not None,
                    name,
                    arn,
                    "EKS gives access to IAM roles, and this is not the ARN of one.",
                    "Write it as arn:aws:iam::111111111111:role/name.",
                )
        for arn in sorted(set(self.admin_role_arns) & set(self.viewer_role_arns)):
            problems.add(
                "viewer_role_arns",
                arn,
                "The role is among admin_role_arns as well, and EKS has one entry for each role.",
                "Name it once.",
            )

    def _check_namespaces(self, problems: Problems) -> None:
        problems.require(
            len(set(self.namespaces)) == len(self.namespaces),
            "namespaces",
            list(self.namespaces),
            "A namespace is named twice.",
            "Name each once.",
        )
        for name in self.namespaces:
            problems.require(
                _NAMESPACE.fullmatch(name) is not None,
                "namespaces",
                name,
                "It is not the name of a namespace.",
                "Use up to 63 lower-case letters, digits and hyphens, starting with a letter.",
            )
            problems.require(
                name != "default" and not name.startswith("kube-"),
                "namespaces",
                name,
                "Kubernetes has this namespace already and keeps it for itself.",
                "Give workloads a namespace of their own, such as serving.",
            )
