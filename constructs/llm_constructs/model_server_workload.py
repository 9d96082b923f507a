"""What Kubernetes is told about a model server besides its pods."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm_constructs import vllm
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.model_server_pod import NODE_MINUTES, PodSite, labels, pod
from llm_constructs.specs.model_server import ModelServer

WORKER_INDEX: Final = "leaderworkerset.sigs.k8s.io/worker-index"
"""The label of a pod's place in its group; the leader, which answers, has 0.

https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/
"""

POD_IDENTITY_ADDRESS: Final = "169.254.170.23/32"
"""Where pods get their credentials.

https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
"""


def service_account(name: str, namespace: str) -> KubernetesObject:
    """Return the account whose pods Pod Identity gives their role."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(name, namespace),
        # Pods get AWS credentials from the agent of their node, and need none of the cluster.
        "automountServiceAccountToken": False,
    }


def workload(server: ModelServer, site: PodSite) -> KubernetesObject:
    """Return the Deployment of the copies, or the LeaderWorkerSet of copies on several nodes."""
    if server.nodes == 1:
        return _deployment(server, site)
    return _leader_worker_set(server, site)


def scale_target(server: ModelServer) -> dict[str, str]:
    """Return the kind and name of the object whose copies are counted."""
    if server.nodes == 1:
        return {"apiVersion": "apps/v1", "kind": "Deployment", "name": server.name}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "name": server.name,
    }


def service_name(server: ModelServer) -> str:
    """Return the name of the address of the pods that answer.

    That of a LeaderWorkerSet itself is taken: its controller makes a headless service of the name,
    by which ranks find their leader long before it is ready, and makes none where there is one.
    https://github.com/kubernetes-sigs/lws/blob/main/pkg/utils/controller/controller_utils.go
    """
    return server.name if server.nodes == 1 else f"{server.name}-leaders"


def service(server: ModelServer, namespace: str) -> KubernetesObject:
    """Return the address of the pods that answer."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(service_name(server), namespace),
        "spec": {
            "type": "ClusterIP",
            "selector": answering(server),
            "ports": [{"name": "http", "port": vllm.PORT, "targetPort": vllm.PORT}],
        },
    }


def answering(server: ModelServer) -> dict[str, str]:
    """Return the labels of the pods that answer: of a group of nodes, the leader."""
    return labels(server) | ({WORKER_INDEX: "0"} if server.nodes > 1 else {})


def disruption_budget(server: ModelServer, namespace: str) -> KubernetesObject:
    """Return the rule that nodes are drained one copy at a time.

    It counts every pod of a copy, for a copy ends with any of them: while it comes back, its leader
    is not ready, and no pod of another copy is evicted. One copy alone may be evicted as well: a
    budget that forbids it keeps its node for ever.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(server.name, namespace),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": labels(server)},
            # A copy that does not answer is no reason to keep a node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def network_policy(
    server: ModelServer, namespace: str, *, vpc_cidrs: Sequence[str]
) -> KubernetesObject:
    """Return what reaches the pods and what they reach.

    The VPC reaches vLLM's port: load balancer, router and the collector of metrics. The pods reach
    each other, names, credentials, and HTTPS for S3 and, where it is used, the hub. Addresses of S3
    are public ones, so HTTPS cannot be narrowed by address; the VPC's endpoint policies do.
    """
    members = {"podSelector": {"matchLabels": labels(server)}}
    among = [members] if server.nodes > 1 else []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(server.name, namespace),
        "spec": {
            "podSelector": members["podSelector"],
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": addresses(vpc_cidrs), "ports": [_port("TCP", vllm.PORT)]},
                *({"from": [peer]} for peer in among),
            ],
            "egress": [*outgoing(), *({"to": [peer]} for peer in among)],
        },
    }


def addresses(cidrs: Sequence[str]) -> list[dict[str, Any]]:
    """Return the peers in any of ``cidrs``."""
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def outgoing() -> list[dict[str, Any]]:
    """Return the rules for names, credentials and HTTPS."""
    return [
        name_resolution(),
        {"to": [{"ipBlock": {"cidr": POD_IDENTITY_ADDRESS}}], "ports": [_port("TCP", 80)]},
        https_anywhere(),
    ]


def name_resolution() -> dict[str, Any]:
    """Return the rule that pods reach the cluster's name servers."""
    return {
        "to": [
            {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "kube-system"}
                },
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [_port("UDP", 53), _port("TCP", 53)],
    }


def https_anywhere() -> dict[str, Any]:
    """Return the rule that pods reach HTTPS at any address."""
    return {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [_port("TCP", 443)]}


def target_group_binding(
    name: str, namespace: str, *, service_name: str, port: int, target_group_arn: str
) -> KubernetesObject:
    """Return the order to register the pods of a service with a target group.

    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/targetgroupbinding/targetgroupbinding/
    """
    return {
        "apiVersion": "elbv2.k8s.aws/v1beta1",
        "kind": "TargetGroupBinding",
        "metadata": _metadata(name, namespace),
        "spec": {
            "serviceRef": {"name": service_name, "port": port},
            "targetGroupARN": target_group_arn,
            "targetType": "ip",
        },
    }


def readiness_gate(binding: str) -> str:
    """Return the condition that the controller sets once the load balancer sends requests."""
    return f"target-health.elbv2.k8s.aws/{binding}"


def _deployment(server: ModelServer, site: PodSite) -> KubernetesObject:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(server.name, site.namespace),
        "spec": {
            **_replicas(server),
            "selector": {"matchLabels": labels(server)},
            # A new copy answers before an old one goes.
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "progressDeadlineSeconds": (server.startup_minutes + NODE_MINUTES) * 60,
            "revisionHistoryLimit": 3,
            "template": pod(server, site),
        },
    }


def _leader_worker_set(server: ModelServer, site: PodSite) -> KubernetesObject:
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": _metadata(server.name, site.namespace),
        "spec": {
            **_replicas(server),
            # Workers come with their leader: it is not ready before they have joined it.
            "startupPolicy": "LeaderCreated",
            "rolloutStrategy": {
                "type": "RollingUpdate",
                "rollingUpdateConfiguration": {"maxUnavailable": 1, "maxSurge": 0},
            },
            "leaderWorkerTemplate": {
                "size": server.nodes,
                # The ranks of a copy cannot go on without one of them.
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": pod(server, site),
                "workerTemplate": pod(server, site, headless=True),
            },
        },
    }


def _replicas(server: ModelServer) -> dict[str, int]:
    """Return the number of copies, which is left to the autoscaler where there is one."""
    return {"replicas": server.scaling.minimum} if server.scaling.fixed else {}


def _metadata(name: str, namespace: str) -> Mapping[str, Any]:
    return {"name": name, "namespace": namespace}


def _port(protocol: str, port: int) -> dict[str, Any]:
    return {"protocol": protocol, "port": port}
