"""The namespaces that workloads run in, with the platform's files."""

from collections.abc import Iterator, Sequence
from typing import Final

from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.model_mounts import ModelMounts
from llm_constructs.static_volume import StaticVolume

FILE_SYSTEM_CLAIM: Final = "lustre"
"""The name of the claim that pods mount the file system by, in every namespace."""


class WorkloadNamespaces(Construct):
    """The namespaces ``names``, each with a claim of the file system and one of each mounted folder
    of the lake, as far as there are any.

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
        mounts: ModelMounts | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        for name in names:
            title = _pascal_case(name)
            made = cluster.kubectl.apply(self, title, namespace(name))
            for part, volume in _volumes(name, file_system, mounts):
                persistent = cluster.kubectl.apply(
                    self, f"{title}{part}Volume", volume.persistent_volume, after=[made]
                )
                cluster.kubectl.apply(
                    self, f"{title}{part}Claim", volume.persistent_volume_claim, after=[persistent]
                )


def _volumes(
    namespace: str, file_system: LustreFileSystem | None, mounts: ModelMounts | None
) -> Iterator[tuple[str, StaticVolume]]:
    """Yield the volumes of a namespace, with what the ids of their constructs have of them."""
    if file_system is not None:
        yield "", file_system.static_volume(FILE_SYSTEM_CLAIM, namespace=namespace)
    for volume in mounts.volumes(namespace) if mounts else ():
        # With a hyphen, which no namespace leaves in an id.
        yield f"-{_pascal_case(volume.name)}", volume


def _pascal_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


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
