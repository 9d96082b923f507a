"""Versions that the EKS cluster is made of."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config import Environment
from config.tables import EksTable
from llm_constructs.specs.cluster_addon import cluster_addons, hyperpod_addons
from llm_constructs.specs.hyperpod_kubernetes import HyperPodKubernetes
from llm_constructs.specs.instance_type import AmiType
from ops.aws_account import Account, Call, RefusedError
from ops.preflight.check import Finding, Severity
from ops.preflight.identity import GET_PARAMETER, NOT_FOUND

GROUP: Final = "EKS"

DESCRIBE_VERSIONS: Final = Call("eks", "DescribeClusterVersions")
DESCRIBE_ADDONS: Final = Call("eks", "DescribeAddonVersions")

# https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html; the parameters of
# Bottlerocket are named by versions of its own, so that a pinned release cannot be looked up.
_AL2023: Final = {
    AmiType.AL2023_X86_64: ("x86_64", "standard"),
    AmiType.AL2023_ARM_64: ("arm64", "standard"),
    AmiType.AL2023_X86_64_NVIDIA: ("x86_64", "nvidia"),
    AmiType.AL2023_ARM_64_NVIDIA: ("arm64", "nvidia"),
    AmiType.AL2023_X86_64_NEURON: ("x86_64", "neuron"),
}


@dataclass(frozen=True)
class ClusterVersionCheck:
    """EKS has the version of Kubernetes, and for how much longer."""

    title: str = "Kubernetes version"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_VERSIONS,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where there is a cluster."""
        return environment.eks is not None

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask for the file's version alone."""
        version = _eks(environment).cluster.version
        found = list(account.items(DESCRIBE_VERSIONS, "clusterVersions", clusterVersions=[version]))
        status = found[0].get("versionStatus") if found else None
        if status in (None, "UNSUPPORTED"):
            yield Finding(
                version,
                "EKS does not offer this version of Kubernetes.",
                "Choose one of `aws eks describe-cluster-versions`.",
            )
        elif status == "EXTENDED_SUPPORT":
            yield Finding(
                version,
                "It is in extended support, at six times the price of the control plane.",
                "Plan the upgrade; docs/eks.md says how.",
                Severity.WARNING,
            )


@dataclass(frozen=True)
class AddonVersionsCheck:
    """EKS offers every pinned add-on for the version of Kubernetes."""

    title: str = "versions of add-ons"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_ADDONS,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where there is a cluster."""
        return environment.eks is not None

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Compare the pins with all that EKS lists for the version."""
        eks = _eks(environment)
        offered: dict[str, list[str]] = {}
        for addon in account.items(
            DESCRIBE_ADDONS, "addons", kubernetesVersion=eks.cluster.version
        ):
            versions = [version["addonVersion"] for version in addon.get("addonVersions", ())]
            offered[addon["addonName"]] = versions
        hyperpod = environment.hyperpod_on_eks
        pinned = (
            *cluster_addons(
                eks.cluster,
                has_file_system=environment.lustre is not None,
                mounts_models=bool(eks.controllers.mounted_models),
            ),
            *hyperpod_addons((hyperpod and hyperpod.kubernetes) or HyperPodKubernetes()),
        )
        for addon in pinned:
            versions = offered.get(addon.name, [])
            if addon.version not in versions:
                first = f"It lists {versions[0]} first." if versions else "It lists none at all."
                yield Finding(
                    addon.name,
                    f"EKS does not offer {addon.version} for Kubernetes {eks.cluster.version}. "
                    f"{first}",
                    "Pin a version that it offers in llm_constructs/specs/cluster_addon.py.",
                )


@dataclass(frozen=True)
class AmiReleasesCheck:
    """The pinned images exist in the region."""

    title: str = "releases of node images"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_PARAMETER,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where there are nodes."""
        return environment.eks is not None

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Look for each image's public parameter."""
        for name, parts in sorted(self._parameters(environment).items()):
            try:
                account.call(GET_PARAMETER, Name=name)
            except RefusedError as refused:
                if refused.code not in NOT_FOUND:
                    raise
                yield Finding(
                    ", ".join(parts),
                    f"There is no image {name.split('/')[-2]} in {account.region}.",
                    "Choose a release of https://github.com/awslabs/amazon-eks-ami/releases that "
                    "is out in the region.",
                )

    @staticmethod
    def _parameters(environment: Environment) -> dict[str, list[str]]:
        """Return the parts of the file that pin an image, by the image's parameter."""
        parts: defaultdict[str, list[str]] = defaultdict(list)
        version = _eks(environment).cluster.version
        for part, ami_type, release_date in _pinned(_eks(environment)):
            if ami_type in _AL2023:
                parts[_parameter(version, ami_type, release_date)].append(part)
        return parts


def _pinned(eks: EksTable) -> Iterator[tuple[str, AmiType, str]]:
    system = eks.managed_system_nodes
    if system is not None and system.ami_release is not None:
        release_date = system.ami_release.rpartition("-")[2]
        yield "eks.system_nodes.ami_release", system.effective_ami_type, release_date
    for group in eks.groups:
        release_date = group.ami_release.rpartition("-")[2]
        yield f"eks.groups.{group.name}.ami_release", group.effective_ami_type, release_date
    for pool in eks.pools:
        if pool.ami_version is not None:
            for ami_type in sorted({row.ami_type for row in pool.rows}):
                part = f"eks.pools.{pool.name}.ami_version"
                yield part, ami_type, pool.ami_version.removeprefix("v")


def _parameter(version: str, ami_type: AmiType, release_date: str) -> str:
    # Named as Karpenter looks for them:
    # https://github.com/aws/karpenter-provider-aws/blob/main/pkg/providers/amifamily/al2023.go
    architecture, variant = _AL2023[ami_type]
    image = f"amazon-eks-node-al2023-{architecture}-{variant}-{version}-v{release_date}"
    return (
        f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/{architecture}/{variant}/"
        f"{image}/image_id"
    )


def _eks(environment: Environment) -> EksTable:
    assert environment.eks is not None, "the check concerns clusters"  # noqa: S101
    return environment.eks
