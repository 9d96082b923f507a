"""What an agentless scraper of Amazon Managed Service for Prometheus collects in a cluster."""

from collections.abc import Mapping
from typing import Any, Final

METRICS_PORTS: Final = (8000, 9999)
"""The first and last port that the scraper reaches on pods: of vLLM and the Neuron monitor (8000),
KEDA, Karpenter and the load balancer controller (8080) and DCGM (9400)."""

RUNTIME_METRICS: Final = (
    "go_.*|process_.*|python_.*|promhttp_.*|rest_client_.*|workqueue_.*|certwatcher_.*"
    "|controller_runtime_.*|leader_election_.*"
)
"""Metrics that every program has of its own runtime, which nothing here asks for. They would be
more than half of all samples, and samples are what a workspace costs."""


def scrape_annotations(*, port: int, path: str = "/metrics") -> Mapping[str, str]:
    """Return the annotations of a pod whose metrics are to be collected.

    Raises :class:`ValueError` for a port that the scraper does not reach.
    """
    first, last = METRICS_PORTS
    if not first <= port <= last:
        raise ValueError(f"The scraper reaches the ports {first} to {last}, and not {port}.")
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": path,
    }


def scrape_configuration(*, cluster: str, interval_seconds: int) -> Mapping[str, Any]:
    """Return the scraper's configuration, in the form of Prometheus's own.

    Every running pod with :func:`scrape_annotations` is scraped, over HTTP: no target gets the
    token by which the scraper finds pods. Samples carry the labels ``cluster``, ``namespace``,
    ``pod``, ``node`` and ``app``.

    https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-collector-how-to.html
    """
    return {
        "global": {
            "scrape_interval": f"{interval_seconds}s",
            "external_labels": {"cluster": cluster},
        },
        "scrape_configs": [_annotated_pods()],
    }


def _annotated_pods() -> dict[str, Any]:
    meta = "__meta_kubernetes_pod"
    return {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            _keep(f"{meta}_annotation_prometheus_io_scrape", "true"),
            _drop(f"{meta}_phase", "Pending|Succeeded|Failed"),
            # A pod of several containers is found once for each; the port makes them one target.
            _drop(f"{meta}_container_init", "true"),
            {
                "action": "replace",
                "source_labels": [f"{meta}_ip", f"{meta}_annotation_prometheus_io_port"],
                "separator": ":",
                "target_label": "__address__",
            },
            _set(f"{meta}_annotation_prometheus_io_path", "__metrics_path__", regex="(.+)"),
            *_identity(),
        ],
        "metric_relabel_configs": [_drop("__name__", RUNTIME_METRICS)],
    }


def _identity() -> list[dict[str, Any]]:
    return [
        _set("__meta_kubernetes_namespace", "namespace"),
        _set("__meta_kubernetes_pod_name", "pod"),
        _set("__meta_kubernetes_pod_node_name", "node"),
        _set("__meta_kubernetes_pod_label_app_kubernetes_io_name", "app"),
    ]


def _keep(label: str, regex: str) -> dict[str, Any]:
    return {"action": "keep", "source_labels": [label], "regex": regex}


def _drop(label: str, regex: str) -> dict[str, Any]:
    return {"action": "drop", "source_labels": [label], "regex": regex}


def _set(label: str, target: str, *, regex: str = "(.*)") -> dict[str, Any]:
    return {
        "action": "replace",
        "source_labels": [label],
        "regex": regex,
        "target_label": target,
    }
