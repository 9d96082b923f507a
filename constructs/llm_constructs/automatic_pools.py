"""The node pools of a cluster whose nodes EKS Auto Mode runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_eks_v2 as eks
from constructs import Construct, IDependable

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.node_pools import NodeSite, node_pool
from llm_constructs.node_role import NodeRole
from llm_constructs.specs.karpenter_pool import KarpenterPool


class AutomaticPools(Construct):
    """A NodePool and a NodeClass for each of ``pools``, and the role of all their nodes.

    Their nodes carry network plugin, device plugins and drivers from EKS, so nothing has to be
    installed before them. ``installed`` is what add-ons and charts wait for, which run on them, and
    are deleted before.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        pools: Sequence[KarpenterPool],
        site: NodeSite,
    ) -> None:
        super().__init__(scope, construct_id)
        self.node_role = NodeRole(
            self,
            "NodeRole",
            description=f"Nodes that EKS brings to {cluster.name}",
            automatic=True,
        )
        access = eks.AccessEntry(
            self,
            "NodeAccess",
            cluster=cluster.cluster,
            principal=self.node_role.role_arn,
            # https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html
            access_policies=[
                eks.AccessPolicy.from_access_policy_name(
                    "AmazonEKSAutoNodePolicy", access_scope_type=eks.AccessScopeType.CLUSTER
                )
            ],
            access_entry_type=eks.AccessEntryType.EC2,
        )
        made = []
        for pool in pools:
            name = "".join(part.capitalize() for part in pool.name.split("-"))
            template = cluster.kubectl.apply(
                self,
                f"{name}Class",
                automatic_node_class(pool, site, role_name=self.node_role.role_name),
                after=[access],
            )
            made.append(
                cluster.kubectl.apply(
                    self, f"{name}Pool", automatic_node_pool(pool), after=[template]
                )
            )
        self.installed: Sequence[IDependable] = tuple(made)


def automatic_node_class(
    pool: KarpenterPool, site: NodeSite, *, role_name: str
) -> KubernetesObject:
    """Return the NodeClass of ``pool``, whose nodes have the role ``role_name``.

    EKS chooses image, interfaces and the instance metadata's options, and joins local disks.
    https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html
    """
    zones = pool.zones or tuple(site.subnet_ids)
    spec: dict[str, Any] = {
        "role": role_name,
        "subnetSelectorTerms": [{"id": site.subnet_ids[zone]} for zone in zones],
        "securityGroupSelectorTerms": [{"id": group} for group in site.security_group_ids],
        "ephemeralStorage": {
            "size": f"{pool.volume_gib}Gi",
            "kmsKeyID": site.volume_key_arn,
        },
        "networkPolicy": "DefaultAllow",
        "tags": {**site.tags, "Name": pool.name},
    }
    if pool.reservation_ids:
        spec["capacityReservationSelectorTerms"] = [{"id": id_} for id_ in pool.reservation_ids]
    return {
        "apiVersion": "eks.amazonaws.com/v1",
        "kind": "NodeClass",
        "metadata": {"name": pool.name},
        "spec": spec,
    }


def automatic_node_pool(pool: KarpenterPool) -> KubernetesObject:
    """Return the NodePool of ``pool``, Karpenter's own but for the class of its nodes."""
    made: Mapping[str, Any] = node_pool(pool)
    template = made["spec"]["template"]
    reference = {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": pool.name}
    given = {**template["spec"], "nodeClassRef": reference}
    if pool.expire_after_hours is None:
        # EKS replaces nodes after three weeks at most, and refuses `Never`.
        del given["expireAfter"]
    return {
        **made,
        "spec": {**made["spec"], "template": {**template, "spec": given}},
    }
