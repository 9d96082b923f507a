"""The Neuron monitor's metrics of Trainium and Inferentia for Prometheus."""

from typing import Final

from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.scrape_configuration import scrape_annotations
from llm_constructs.specs.instance_type import DEVICE_RESOURCES, PRESENCE_LABELS, DeviceKind

IMAGE: Final = "public.ecr.aws/neuron/neuron-monitor:1.10.0"
"""https://gallery.ecr.aws/neuron/neuron-monitor"""

METRICS_PORT: Final = 8000

NAME: Final = "neuron-monitor"


class NeuronMonitor(Construct):
    """The monitor on Neuron nodes. No chart of AWS has it, only a manifest to copy."""

    def __init__(self, scope: Construct, construct_id: str, *, cluster: EksCluster) -> None:
        super().__init__(scope, construct_id)
        cluster.kubectl.apply(self, "DaemonSet", neuron_monitor())


def neuron_monitor() -> KubernetesObject:
    """Return the DaemonSet.

    https://awsdocs-neuron.readthedocs-hosted.com/en/latest/containers/tutorials/k8s-neuron-monitor.html
    """
    labels = {"app.kubernetes.io/name": NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": "kube-system", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": labels,
                    # It serves its metrics at every path.
                    "annotations": dict(scrape_annotations(port=METRICS_PORT)),
                },
                "spec": {
                    "nodeSelector": {PRESENCE_LABELS[DeviceKind.NEURON]: "true"},
                    "tolerations": [
                        {
                            "key": DEVICE_RESOURCES[DeviceKind.NEURON],
                            "operator": "Exists",
                            "effect": "NoSchedule",
                        }
                    ],
                    "automountServiceAccountToken": False,
                    "containers": [
                        {
                            "name": NAME,
                            "image": IMAGE,
                            "command": ["/opt/bin/entrypoint.sh"],
                            "args": ["--port", str(METRICS_PORT)],
                            "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
                            "env": [{"name": "GOMEMLIMIT", "value": "160MiB"}],
                            "resources": {
                                "requests": {"cpu": "250m", "memory": "128Mi"},
                                "limits": {"memory": "256Mi"},
                            },
                            # It reads every device of the node without allotting one to itself.
                            "securityContext": {"privileged": True},
                        }
                    ],
                },
            },
        },
    }
