"""DCGM's metrics of NVIDIA devices for Prometheus."""

from collections.abc import Mapping
from typing import Any, Final

from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.scrape_configuration import scrape_annotations
from llm_constructs.specs.controller_charts import DCGM_EXPORTER
from llm_constructs.specs.instance_type import DEVICE_RESOURCES, PRESENCE_LABELS, DeviceKind

METRICS_PORT: Final = 9400


class DcgmExporter(Construct):
    """The exporter on NVIDIA nodes. It runs DCGM, so nothing else on them may."""

    def __init__(self, scope: Construct, construct_id: str, *, cluster: EksCluster) -> None:
        super().__init__(scope, construct_id)
        cluster.kubectl.install(self, "Chart", DCGM_EXPORTER, values=dcgm_values())


def dcgm_values() -> Mapping[str, Any]:
    """Return the values with which it runs on NVIDIA nodes alone and is scraped there.

    https://github.com/NVIDIA/dcgm-exporter/blob/main/deployment/values.yaml
    """
    return {
        # Objects of the Prometheus operator, which the cluster does not have.
        "serviceMonitor": {"enabled": False},
        "podAnnotations": dict(scrape_annotations(port=METRICS_PORT)),
        "nodeSelector": {PRESENCE_LABELS[DeviceKind.NVIDIA]: "true"},
        "tolerations": [
            {
                "key": DEVICE_RESOURCES[DeviceKind.NVIDIA],
                "operator": "Exists",
                "effect": "NoSchedule",
            }
        ],
        "resources": {
            "requests": {"cpu": "50m", "memory": "256Mi"},
            # The chart's own limit is a fifth of a core, which eight devices use up.
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
    }
