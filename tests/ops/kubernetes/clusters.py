"""Clusters with what a test plants into them."""

from typing import Any

from llm_constructs.node_pools import NodeSite, node_class, node_pool
from llm_constructs.specs.karpenter_pool import CapacityType, KarpenterPool
from ops.kubernetes.contents import (
    AppliedObject,
    ChartRelease,
    ClusterContents,
    ManagedGroup,
)

SITE = NodeSite(
    instance_profile="nodes",
    security_group_ids=["sg-0123456789abcdef0"],
    subnet_ids={"us-east-2b": "subnet-0123456789abcdef0"},
    accelerator_subnet_id="subnet-0123456789abcdef1",
    volume_key_arn="arn:aws:kms:us-east-2:111111111111:key/a",
    tags={},
)

POOLS = (
    KarpenterPool(name="general", instance_families=("m7g",), max_vcpus=64),
    KarpenterPool(name="gpus", instance_types=("g6e.12xlarge",), max_devices=4),
    KarpenterPool(
        name="training",
        instance_types=("p5en.48xlarge",),
        capacity_types=(CapacityType.ON_DEMAND,),
        zones=("us-east-2b",),
        max_devices=16,
        efa=True,
    ),
)

SYSTEM = ManagedGroup(
    name="system",
    instance_types=("m7g.large",),
    labels={},
    taints=(),
    minimum=2,
    maximum=4,
    efa=0,
)

TRAINIUM = ManagedGroup(
    name="trn2",
    instance_types=("trn2.48xlarge",),
    labels={"aws.amazon.com/neuron.present": "true"},
    taints=({"Key": "aws.amazon.com/neuron", "Value": "true", "Effect": "NO_SCHEDULE"},),
    minimum=0,
    maximum=2,
    efa=16,
)


def applied(body: dict[str, Any]) -> AppliedObject:
    """Return an object of the stack `planted`."""
    return AppliedObject(stack="planted", logical_id="Planted", body=body)


def cluster(*bodies: dict[str, Any], **settings: Any) -> ClusterContents:
    """Return a cluster with pools of every kind, a namespace, and ``bodies``."""
    nodes: list[Any] = [
        made for pool in POOLS for made in (node_class(pool, SITE), node_pool(pool))
    ]
    given: dict[str, Any] = {
        "name": "planted",
        "region": "us-east-2",
        "version": "1.36",
        "objects": tuple(map(applied, [*nodes, named("Namespace", "serving", None), *bodies])),
        "groups": (SYSTEM, TRAINIUM),
        **settings,
    }
    return ClusterContents(**given)


def release(chart: str, *, namespace: str = "kube-system", **values: Any) -> ChartRelease:
    """Return a release of a chart with ``values``."""
    return ChartRelease(
        stack="planted",
        logical_id=chart,
        release=chart,
        chart=chart,
        repository="https://charts.example.com",
        version="1.0.0",
        namespace=namespace,
        values=values,
    )


def named(kind: str, name: str, namespace: str | None = "serving", **fields: Any) -> dict[str, Any]:
    """Return an object with nothing but its name and ``fields``."""
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def workload(kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    """Return an object whose pods request a core and a GiB, with ``spec`` in place of theirs."""
    container = {"name": "main", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
    template = {
        "metadata": {"labels": {"app": "planted"}},
        "spec": {"containers": [container], **spec},
    }
    return named(kind, "planted", apiVersion="apps/v1", spec={"template": template})


def asking(**amounts: str) -> list[dict[str, Any]]:
    """Return one container that requests ``amounts``; underscores of names stand for slashes."""
    requests = {name.replace("__", "/").replace("_", "."): text for name, text in amounts.items()}
    return [{"name": "main", "resources": {"requests": requests}}]
