"""The plugins that count a node's devices, so that pods can ask for them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.controller_charts import EFA_DEVICE_PLUGIN, NEURON, NVIDIA_DEVICE_PLUGIN
from llm_constructs.specs.instance_type import (
    DEVICE_RESOURCES,
    EFA_LABEL,
    PRESENCE_LABELS,
    DeviceKind,
)

NEURON_SCHEDULER: Final = "neuron-scheduler"
"""``schedulerName`` of pods that ask for some of a node's Neuron devices, and not for all.

Devices talk to their neighbours alone, so a pod needs devices that lie side by side. Kubernetes'
own scheduler only counts them: https://github.com/aws/containers-roadmap/issues/1735
"""

SCHEDULER_IMAGE: Final = "registry.k8s.io/kube-scheduler"
SCHEDULER_TAGS: Final[Mapping[str, str]] = {"1.36": "v1.36.3"}
"""By version of the cluster, for a scheduler may be at most one minor version older than the API.
The chart's own is 1.31. https://kubernetes.io/releases/version-skew-policy/#kube-scheduler
"""

UNCHECKED_NODE: Final[Mapping[str, str]] = {
    "key": "sagemaker.amazonaws.com/node-health-status",
    "operator": "Equal",
    "value": "Unschedulable",
    "effect": "NoSchedule",
}
"""Toleration of a HyperPod node that is being checked: its devices are counted all the same, as by
the plugins of HyperPod's own chart. Neuron's chart tolerates it by itself.

https://github.com/aws/sagemaker-hyperpod-cli/blob/main/helm_chart/HyperPodHelmChart/values.yaml
"""


class DevicePlugins(Construct):
    """One plugin for each kind of device in ``kinds``, and that of EFA if ``efa``.

    They run on the nodes whose labels the catalogue of instance types gives them, in spite of those
    nodes' taints. ``neuron_topology`` adds the scheduler :data:`NEURON_SCHEDULER`, for nodes with
    several Neuron devices; ``neuron_problems`` the detector of broken ones, which only reports
    them, where no other agent does.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        kinds: Iterable[DeviceKind],
        efa: bool,
        neuron_topology: bool = False,
        neuron_problems: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        present = set(kinds)
        if DeviceKind.NVIDIA in present:
            cluster.kubectl.install(self, "Nvidia", NVIDIA_DEVICE_PLUGIN, values=nvidia_values())
        if DeviceKind.NEURON in present:
            cluster.kubectl.install(
                self,
                "Neuron",
                NEURON,
                values=neuron_values(
                    kubernetes_version=cluster.version,
                    topology=neuron_topology,
                    problems=neuron_problems,
                ),
            )
        if efa:
            cluster.kubectl.install(self, "Efa", EFA_DEVICE_PLUGIN, values=efa_values())


def nvidia_values() -> Mapping[str, Any]:
    """Return the values with which NVIDIA's plugin runs on NVIDIA nodes alone.

    https://github.com/NVIDIA/k8s-device-plugin/blob/main/deployments/helm/nvidia-device-plugin/values.yaml
    """
    return {
        "nodeSelector": {PRESENCE_LABELS[DeviceKind.NVIDIA]: "true"},
        "tolerations": _tolerations(DeviceKind.NVIDIA),
    }


def neuron_values(*, kubernetes_version: str, topology: bool, problems: bool) -> Mapping[str, Any]:
    """Return the values with which the Neuron plugin runs, and of its chart's other parts those
    that are asked for. None of them replaces nodes, which EKS and Karpenter do.

    https://awsdocs-neuron.readthedocs-hosted.com/en/latest/deploy/eks/helm-chart.html
    """
    everywhere = {
        # The chart's own list has no types of HyperPod's newer than trn1n.
        "neuronInstances": neuron_types(),
        "npd": {
            "enabled": problems,
            # The chart's own is a namespace that it does not make.
            "namespaceOverride": NEURON.namespace,
            "nodeRecovery": {"enabled": False},
        },
    }
    if not topology:
        return {**everywhere, "scheduler": {"enabled": False}}
    resources = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}
    return {
        **everywhere,
        "scheduler": {
            "enabled": True,
            "resources": resources,
            # A second scheduler beside EKS's own, which takes no extensions.
            "customScheduler": {
                "enabled": True,
                "fullnameOverride": NEURON_SCHEDULER,
                "image": {
                    "repository": SCHEDULER_IMAGE,
                    "tag": SCHEDULER_TAGS[kubernetes_version],
                },
                "resources": resources,
            },
            "defaultScheduler": {"enabled": False},
        },
    }


def neuron_types() -> list[str]:
    """Return the names of every type with Neuron devices, as nodes of EC2 and of HyperPod bear
    them in ``node.kubernetes.io/instance-type``."""
    rows = [row for row in INSTANCE_TYPES.values() if row.device_kind is DeviceKind.NEURON]
    return sorted(name for row in rows for name in (row.name, row.sagemaker_name) if name)


def efa_values() -> Mapping[str, Any]:
    """Return the values with which the EFA plugin runs on EFA nodes of every kind.

    The chart's own list of instance types ends before p6, so the label takes its place.
    https://github.com/aws/eks-charts/tree/master/stable/aws-efa-k8s-device-plugin
    """
    return {
        "supportedInstanceLabels": {"keys": [EFA_LABEL], "values": ["true"]},
        "tolerations": _tolerations(*DEVICE_RESOURCES),
    }


def _tolerations(*kinds: DeviceKind) -> list[dict[str, str]]:
    taints = [
        {"key": DEVICE_RESOURCES[kind], "operator": "Exists", "effect": "NoSchedule"}
        for kind in kinds
    ]
    return [*taints, dict(UNCHECKED_NODE)]
