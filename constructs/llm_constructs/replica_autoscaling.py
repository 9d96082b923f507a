"""KEDA objects that add and remove copies of a model."""

from dataclasses import dataclass
from typing import Any, Final

from llm_constructs.kubectl import KubernetesObject
from llm_constructs.model_server_workload import scale_target
from llm_constructs.specs.model_server import ModelServer

WAITING: Final = "vllm:num_requests_waiting"
"""vLLM's gauge of requests in its queue.

https://github.com/vllm-project/vllm/blob/main/vllm/v1/metrics/loggers.py
"""

RUNNING: Final = "vllm:num_requests_running"
"""The gauge of those that it works on; same source."""

FIRST_TOKEN: Final = "vllm:time_to_first_token_seconds"  # noqa: S105 - a metric of text
"""The histogram of times to the first token; same source."""

MODEL_LABEL: Final = "model_name"
"""The label that says which model, by its served name; same source. It is not ``model``."""

LATENCY_WINDOW: Final = "3m"
"""Over which times to the first token are looked at: several scrapes, so that one is not missed."""

POLLING_SECONDS: Final = 30

CALM_SECONDS: Final = 600
"""How long less load must last before copies go: as long as a new one would need to come."""

NEVER: Final = "1000000"
"""A target that no metric reaches, for triggers that keep a copy and add none."""


@dataclass(frozen=True, kw_only=True)
class MetricsSource:
    """Where KEDA reads metrics.

    ``query_endpoint`` is the address of a Prometheus workspace below which its API lies, and
    ``load_balancer`` the name by which CloudWatch knows the load balancer of the model.
    """

    region: str
    query_endpoint: str
    load_balancer: str


def autoscaling_objects(
    server: ModelServer, namespace: str, source: MetricsSource
) -> dict[str, KubernetesObject]:
    """Return the objects by construct id; none where the number of copies never changes.

    The role is that of KEDA's own operator, which reads metrics and nothing else.
    """
    if server.scaling.fixed:
        return {}
    metadata = {"name": server.name, "namespace": namespace}
    return {
        "TriggerAuthentication": {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": metadata,
            "spec": {"podIdentity": {"provider": "aws"}},
        },
        "ScaledObject": {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": metadata,
            "spec": _scaled_object(server, source),
        },
    }


def queue_query(server: ModelServer) -> str:
    """Return the query for the requests that wait at all copies of the model."""
    return f"sum({WAITING}{_of(server)}) or vector(0)"


def busy_query(server: ModelServer) -> str:
    """Return the query for the requests that are in the model: waiting or being answered."""
    return f"(sum({WAITING}{_of(server)}) + sum({RUNNING}{_of(server)})) or vector(0)"


def latency_query(server: ModelServer) -> str:
    """Return the query for the time to the first token of 95 % of the latest requests.

    Without requests the quantile is not a number, which is no zero to KEDA.
    """
    rate = f"rate({FIRST_TOKEN}_bucket{_of(server)}[{LATENCY_WINDOW}])"
    return f"(histogram_quantile(0.95, sum by (le) ({rate})) >= 0) or vector(0)"


def _of(server: ModelServer) -> str:
    return f'{{{MODEL_LABEL}="{server.name}"}}'


def _scaled_object(server: ModelServer, source: MetricsSource) -> dict[str, Any]:
    scaling = server.scaling
    return {
        "scaleTargetRef": scale_target(server),
        "minReplicaCount": scaling.minimum,
        "maxReplicaCount": scaling.maximum,
        "pollingInterval": POLLING_SECONDS,
        # How long the last copy stays without any trigger being active.
        "cooldownPeriod": scaling.idle_minutes * 60,
        # Where metrics fail, what runs goes on running.
        "fallback": {
            "failureThreshold": 4,
            "replicas": max(1, scaling.minimum),
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior()}},
        "triggers": [
            *(
                {**trigger, "authenticationRef": {"name": server.name}}
                for trigger in _aws_triggers(server, source)
            ),
            *_business_hours(server),
        ],
    }


def _aws_triggers(server: ModelServer, source: MetricsSource) -> list[dict[str, Any]]:
    scaling = server.scaling
    return [
        _prometheus(source, queue_query(server), f"{scaling.waiting_requests}", "AverageValue"),
        # A quantile is the same for any number of copies, so it is compared as it is.
        _prometheus(source, latency_query(server), f"{scaling.first_token_seconds:g}", "Value"),
        *(_keepers(server, source) if scaling.minimum == 0 else []),
    ]


def _behavior() -> dict[str, Any]:
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 120}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": CALM_SECONDS,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
        },
    }


def _keepers(server: ModelServer, source: MetricsSource) -> list[dict[str, Any]]:
    """Return what wakes a sleeping model and keeps one awake that is in use.

    A queue in pods that do not run has no metric. The load balancer sees the call: it answers 503
    itself while no pod is registered, and counts what it passes on to a router or a copy.
    """
    return [
        _load_balancer(source, "HTTPCode_ELB_503_Count"),
        _load_balancer(source, "RequestCount"),
        _prometheus(source, busy_query(server), NEVER, "AverageValue"),
    ]


def _prometheus(
    source: MetricsSource, query: str, threshold: str, metric_type: str
) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "metricType": metric_type,
        "metadata": {
            "serverAddress": source.query_endpoint,
            "awsRegion": source.region,
            "query": query,
            "threshold": threshold,
            "activationThreshold": "0",
        },
    }


def _load_balancer(source: MetricsSource, metric: str) -> dict[str, Any]:
    return {
        "type": "aws-cloudwatch",
        "metricType": "AverageValue",
        "metadata": {
            "awsRegion": source.region,
            "namespace": "AWS/ApplicationELB",
            "metricName": metric,
            "dimensionName": "LoadBalancer",
            "dimensionValue": source.load_balancer,
            "metricStat": "Sum",
            "metricStatPeriod": "60",
            "metricCollectionTime": "300",
            "targetMetricValue": NEVER,
            "activationTargetMetricValue": "0",
            # The load balancer reports nothing, and no zero, while nobody calls.
            "minMetricValue": "0",
            "ignoreNullValues": "true",
        },
    }


def _business_hours(server: ModelServer) -> list[dict[str, Any]]:
    hours = server.scaling.business_hours
    if hours is None:
        return []
    return [
        {
            "type": "cron",
            "metadata": {
                "timezone": hours.time_zone,
                "start": hours.cron(hours.start),
                "end": hours.cron(hours.end),
                "desiredReplicas": str(hours.replicas),
            },
        }
    ]
