"""A router that sends requests which begin alike to the same copy of a model."""

from collections.abc import Sequence
from typing import Any, Final

from llm_constructs import vllm
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.model_server_pod import (
    APPLICATION_LABEL,
    ENDING_SECONDS,
    LEAVING_SECONDS,
    labels,
)
from llm_constructs.model_server_workload import addresses, https_anywhere, name_resolution
from llm_constructs.scrape_configuration import scrape_annotations
from llm_constructs.specs.model_placement import ROUTER_ARCHITECTURE
from llm_constructs.specs.model_server import ModelServer

IMAGE: Final = (
    "docker.io/vllm/vllm-router:v0.1.14"
    "@sha256:4bd8f436cb578a29cc28b1bbf75c9a3a2c2cb4a353f999dc3bfa6adfeebe6dd5"
)
"""https://github.com/vllm-project/router; docs/adr/0026 says why this one."""

PORT: Final = 8080

METRICS_PORT: Final = 9000
"""Among the ports that metrics are collected from; the router's own default is not."""

REPLICAS: Final = 2
"""Routers of one model. Each learns the beginnings that it has seen itself; two survive a node."""


def router_name(server: ModelServer) -> str:
    """Return the name of the router's objects."""
    return f"{server.name}-router"


def router_objects(
    server: ModelServer, namespace: str, *, vpc_cidrs: Sequence[str], readiness_gate: str
) -> dict[str, KubernetesObject]:
    """Return the router's objects by construct id, in the order of their application."""
    name = router_name(server)
    metadata = {"name": name, "namespace": namespace}
    selector = _labels(server)
    return {
        "RouterAccount": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        "RouterRole": {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            # What finds the copies; it reads nothing else and writes nothing.
            "rules": [
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
            ],
        },
        "RouterRoleBinding": {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
        "RouterNetworkPolicy": _network_policy(server, metadata, vpc_cidrs),
        "RouterBudget": {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
        },
        "RouterDeployment": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": REPLICAS,
                "selector": {"matchLabels": selector},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
                },
                "revisionHistoryLimit": 3,
                "template": _pod(server, namespace, readiness_gate),
            },
        },
        "RouterService": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "type": "ClusterIP",
                "selector": selector,
                "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
            },
        },
    }


def arguments(server: ModelServer, namespace: str) -> list[str]:
    """Return the router's arguments.

    Callers' API keys are passed on to vLLM, which checks them. A call lives as long as the load
    balancer waits for it.
    """
    found_by = [f"{key}={text}" for key, text in labels(server).items()]
    return [
        *("--host", "0.0.0.0", "--port", str(PORT)),  # noqa: S104 - the pod's own network
        *("--prometheus-host", "0.0.0.0", "--prometheus-port", str(METRICS_PORT)),  # noqa: S104
        *("--policy", "cache_aware"),
        "--service-discovery",
        *("--selector", *found_by),
        *("--service-discovery-namespace", namespace),
        *("--service-discovery-port", str(vllm.PORT)),
        *("--request-timeout-secs", str(server.idle_timeout_seconds)),
    ]


def _labels(server: ModelServer) -> dict[str, str]:
    return {APPLICATION_LABEL: router_name(server), "app.kubernetes.io/component": "model-router"}


def _pod(server: ModelServer, namespace: str, readiness_gate: str) -> dict[str, Any]:
    alive = {"httpGet": {"path": "/liveness", "port": "http"}, "timeoutSeconds": 2}
    resources = {"cpu": "500m", "memory": "1Gi"}
    leaving = LEAVING_SECONDS + server.drain_seconds
    return {
        "metadata": {
            "labels": _labels(server),
            "annotations": dict(scrape_annotations(port=METRICS_PORT)),
        },
        "spec": {
            "serviceAccountName": router_name(server),
            "enableServiceLinks": False,
            "readinessGates": [{"conditionType": readiness_gate}],
            "nodeSelector": {"kubernetes.io/arch": str(ROUTER_ARCHITECTURE)},
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": _labels(server)},
                }
            ],
            "terminationGracePeriodSeconds": leaving + ENDING_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": vllm.USER,
                "runAsGroup": vllm.USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "router",
                    "image": IMAGE,
                    "command": ["vllm-router"],
                    "args": arguments(server, namespace),
                    "ports": [
                        {"name": "http", "containerPort": PORT},
                        {"name": "metrics", "containerPort": METRICS_PORT},
                    ],
                    "resources": {"requests": resources, "limits": {"memory": "1Gi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    # Whether it lives, and not whether copies do: without any it says so itself.
                    "readinessProbe": {**alive, "periodSeconds": 5},
                    "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 6},
                    # Streams that it passes on end with it, so it waits for them here.
                    "lifecycle": {"preStop": {"sleep": {"seconds": leaving}}},
                }
            ],
        },
    }


def _network_policy(
    server: ModelServer, metadata: dict[str, str], vpc_cidrs: Sequence[str]
) -> KubernetesObject:
    """Return the rule that the router reaches names, the cluster's API and the copies alone.

    The API's address is one of the cluster's services, which lie outside the VPC.
    """
    copies = {"podSelector": {"matchLabels": labels(server)}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": _labels(server)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": addresses(vpc_cidrs),
                    "ports": [
                        {"protocol": "TCP", "port": PORT},
                        {"protocol": "TCP", "port": METRICS_PORT},
                    ],
                }
            ],
            "egress": [
                name_resolution(),
                https_anywhere(),
                {"to": [copies], "ports": [{"protocol": "TCP", "port": vllm.PORT}]},
            ],
        },
    }
