"""A Job whose pods take nodes of the fabric whole, and what stands beside it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ops.fabric.nodes import FabricNodes
from ops.fabric.whole_node import PORT, KubernetesObject, placement, resources


@dataclass(frozen=True, kw_only=True)
class NodeJob:
    """A Job of ``count`` pods called ``name``, each on one of ``nodes``.

    Its program is a ConfigMap, and a Service gives the first pod the name at which ranks meet.
    """

    application: ClassVar[str]
    """The label ``app.kubernetes.io/name``."""

    name: str
    namespace: str
    nodes: FabricNodes
    count: int
    image: str

    @property
    def first_pod(self) -> str:
        """The name of the pod at which ranks meet."""
        return f"{self.name}-0.{self.name}"

    def program(self, files: Iterable[Path]) -> KubernetesObject:
        """Return a ConfigMap of ``files``."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self._metadata,
            "data": {file.name: file.read_text(encoding="utf-8") for file in files},
        }

    def meeting_point(self) -> KubernetesObject:
        """Return a Service that gives each pod a name."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self._metadata,
            "spec": {
                "clusterIP": "None",
                "selector": self._labels,
                # Ranks look for the first pod before anything says that it is ready.
                "publishNotReadyAddresses": True,
                "ports": [{"name": "rendezvous", "port": PORT}],
            },
        }

    def job(self, *, failures: KubernetesObject, pod: KubernetesObject) -> KubernetesObject:
        """Return the Job; ``failures`` is the part of its specification on when it gives up."""
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": self._metadata,
            "spec": {
                "completionMode": "Indexed",
                "completions": self.count,
                "parallelism": self.count,
                **failures,
                "template": {
                    "metadata": {
                        "labels": self._labels,
                        # Karpenter must not move pods together whose neighbours wait for them.
                        "annotations": {"karpenter.sh/do-not-disrupt": "true"},
                    },
                    "spec": pod,
                },
            },
        }

    def pod(
        self,
        container: KubernetesObject,
        *,
        shared_memory: str,
        volumes: Sequence[KubernetesObject] = (),
    ) -> KubernetesObject:
        """Return a pod's specification.

        Its container may mount ``program``, ``shm``, and ``volumes``.
        """
        return {
            "restartPolicy": "Never",
            "subdomain": self.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            **placement(self.nodes),
            "containers": [container],
            "volumes": [
                {"name": "program", "configMap": {"name": self.name}},
                *volumes,
                # NCCL talks within a node through shared memory.
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory}},
            ],
        }

    def torchrun(
        self,
        name: str,
        *arguments: str,
        environment: Mapping[str, str],
        share: float,
        mounts: Sequence[KubernetesObject],
    ) -> KubernetesObject:
        """Return the container ``name``, which starts a rank for each GPU or logical NeuronCore.

        It gets ``share`` of its node's memory and processors.
        """
        return {
            "name": name,
            "image": self.image,
            "command": ["torchrun"],
            "args": [
                f"--nnodes={self.count}",
                f"--nproc-per-node={self.nodes.row.ranks}",
                *arguments,
            ],
            "env": [{"name": name, "value": value} for name, value in environment.items()],
            "resources": resources(self.nodes, share),
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                *mounts,
                {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # The pod's own.
            ],
        }

    @property
    def _labels(self) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": self.application,
            "app.kubernetes.io/instance": self.name,
        }

    @property
    def _metadata(self) -> KubernetesObject:
        return {"name": self.name, "namespace": self.namespace, "labels": self._labels}


def manifest(objects: Sequence[KubernetesObject]) -> str:
    """Return what ``kubectl apply -f -`` takes."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2)
