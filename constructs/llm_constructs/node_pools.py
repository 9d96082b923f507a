"""Karpenter's NodePools and EC2NodeClasses, derived from the catalogue of instance types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llm_constructs.kubectl import KubernetesObject
from llm_constructs.node_config import node_user_data
from llm_constructs.specs.instance_type import DEVICE_RESOURCES, NetworkInterface
from llm_constructs.specs.karpenter_pool import KarpenterPool, Workload

NODES_AT_A_TIME: Final = "10%"
"""Of a pool, that Karpenter may replace or remove at once: its own default, written down.

https://karpenter.sh/docs/concepts/disruption/#nodepool-disruption-budgets
"""


@dataclass(frozen=True, kw_only=True)
class NodeSite:
    """Where nodes of a cluster live, and what they carry: ids and names of AWS resources.

    ``subnet_ids`` are by zone; ``accelerator_subnet_id`` is where EFA nodes live.
    """

    instance_profile: str
    security_group_ids: Sequence[str]
    subnet_ids: Mapping[str, str]
    accelerator_subnet_id: str | None
    volume_key_arn: str
    tags: Mapping[str, str]


def node_class(
    pool: KarpenterPool, site: NodeSite, *, placement_group: str | None = None
) -> KubernetesObject:
    """Return the EC2NodeClass of ``pool``.

    ``placement_group`` is the name of its placement group, if it has one.
    """
    spec: dict[str, Any] = {
        "amiFamily": "AL2023",
        # The alias chooses the variant with the driver that the type needs.
        "amiSelectorTerms": [{"alias": f"al2023@{pool.ami_version}"}],
        "instanceProfile": site.instance_profile,
        "subnetSelectorTerms": [{"id": subnet} for subnet in _subnets(pool, site)],
        "securityGroupSelectorTerms": [{"id": group} for group in site.security_group_ids],
        # One hop: the node reaches its credentials, and pods do not.
        "metadataOptions": {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
        },
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "rootVolume": True,
                "ebs": {
                    "volumeSize": f"{pool.volume_gib}Gi",
                    "volumeType": "gp3",
                    "encrypted": True,
                    "kmsKeyID": site.volume_key_arn,
                    "deleteOnTermination": True,
                },
            }
        ],
        "tags": {**site.tags, "Name": pool.name},
    }
    if pool.joins_disks:
        spec["instanceStorePolicy"] = "RAID0"
    # Karpenter joins the disks by the policy, and merges its own configuration with this one:
    # https://karpenter.sh/docs/concepts/nodeclasses/#specuserdata
    user_data = node_user_data(joins_disks=False, fast_image_pull=pool.fast_image_pull)
    if user_data:
        spec["userData"] = user_data
    if pool.reservation_ids:
        spec["capacityReservationSelectorTerms"] = [{"id": id_} for id_ in pool.reservation_ids]
    interfaces = pool.network_interfaces()
    if interfaces:
        spec["networkInterfaces"] = [_interface(interface) for interface in interfaces]
    if placement_group:
        spec["placementGroupSelector"] = {"name": placement_group}
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": pool.name},
        "spec": spec,
    }


def node_pool(pool: KarpenterPool) -> KubernetesObject:
    """Return the NodePool of ``pool``, whose nodes are of the EC2NodeClass of the same name."""
    spec: dict[str, Any] = {
        "template": {
            "metadata": {"labels": dict(pool.labels())},
            "spec": {
                "nodeClassRef": {
                    "group": "karpenter.k8s.aws",
                    "kind": "EC2NodeClass",
                    "name": pool.name,
                },
                "requirements": _requirements(pool),
                "taints": [
                    {"key": taint.key, "value": taint.value, "effect": taint.effect}
                    for taint in pool.taints()
                ],
                "expireAfter": _hours(pool.expire_after_hours),
            },
        },
        "limits": _limits(pool),
        "disruption": {
            "consolidationPolicy": str(pool.consolidation),
            "consolidateAfter": f"{pool.consolidate_after_minutes}m",
            "budgets": _budgets(pool),
        },
    }
    if pool.weight is not None:
        spec["weight"] = pool.weight
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": pool.name},
        "spec": spec,
    }


def _subnets(pool: KarpenterPool, site: NodeSite) -> list[str]:
    if pool.efa and site.accelerator_subnet_id is not None:
        return [site.accelerator_subnet_id]
    zones = pool.zones or tuple(site.subnet_ids)
    return [site.subnet_ids[zone] for zone in zones]


def _interface(interface: NetworkInterface) -> dict[str, Any]:
    return {
        "networkCardIndex": interface.network_card_index,
        "deviceIndex": interface.device_index,
        "interfaceType": str(interface.interface_type),
    }


def _requirements(pool: KarpenterPool) -> list[dict[str, Any]]:
    values: dict[str, Sequence[str]] = {
        "node.kubernetes.io/instance-type": [row.name for row in pool.rows],
        "kubernetes.io/arch": sorted({str(row.architecture) for row in pool.rows}),
        "kubernetes.io/os": ["linux"],
        "karpenter.sh/capacity-type": [str(kind) for kind in pool.capacity_types],
    }
    if pool.zones:
        values["topology.kubernetes.io/zone"] = pool.zones
    return [
        {"key": key, "operator": "In", "values": list(allowed)} for key, allowed in values.items()
    ]


def _limits(pool: KarpenterPool) -> dict[str, str]:
    limits = {}
    if pool.max_devices is not None:
        limits[DEVICE_RESOURCES[pool.device_kind]] = str(pool.max_devices)
    if pool.max_vcpus is not None:
        limits["cpu"] = str(pool.max_vcpus)
    return limits


def _budgets(pool: KarpenterPool) -> list[dict[str, Any]]:
    """Return how many nodes may be disrupted at once; of running training, none.

    An empty node of a drifted class still goes as an empty one, so a new image arrives job by job.
    """
    budgets: list[dict[str, Any]] = [{"nodes": NODES_AT_A_TIME}]
    if pool.workload is Workload.TRAINING:
        budgets.append({"nodes": "0", "reasons": ["Drifted", "Underutilized"]})
    return budgets


def _hours(hours: int | None) -> str:
    return "Never" if hours is None else f"{hours}h"
