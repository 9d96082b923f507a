"""The namespaces that workloads run in, with the platform's file system."""

from collections.abc import Sequence
from typing import Final

from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.lustre import LustreFileSystem

FILE_SYSTEM_CLAIM: Final = "lustre"
"""The name of the claim that pods mount the file system by, in every namespace."""


class WorkloadNamespaces(Construct):
    """The namespaces ``names``, each with a claim of the file system if there is one.

    Pods in them cannot gain privileges on their node. Deleting a namespace leaves the files alone.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        names: Sequence[str],
        file_system: LustreFileSystem | None,
    ) -> None:
        super().__init__(scope, construct_id)
        for name in names:
            title = "".join(part.capitalize() for part in name.split("-"))
            made = cluster.kubectl.apply(self, title, namespace(name))
            if file_system is None:
                continue
            volume = file_system.static_volume(FILE_SYSTEM_CLAIM, namespace=name)
            persistent = cluster.kubectl.apply(
                self, f"{title}Volume", volume.persistent_volume, after=[made]
            )
            cluster.kubectl.apply(
                self, f"{title}Claim", volume.persistent_volume_claim, after=[persistent]
            )


def namespace(name: str) -> KubernetesObject:
    """Return a namespace whose pods keep to the baseline standard.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                "pod-security.kubernetes.io/enforce": "baseline",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        },
    }
