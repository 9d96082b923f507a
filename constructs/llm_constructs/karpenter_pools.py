"""The node pools of a cluster, as Karpenter's objects."""

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.karpenter import Karpenter
from llm_constructs.node_pools import NodeSite, node_class, node_pool
from llm_constructs.specs.karpenter_pool import KarpenterPool


class KarpenterPools(Construct):
    """A NodePool and an EC2NodeClass for each of ``pools``.

    Pools are deleted before their classes, and both before Karpenter, which must still be there to
    terminate their nodes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        karpenter: Karpenter,
        pools: Sequence[KarpenterPool],
        site: NodeSite,
    ) -> None:
        super().__init__(scope, construct_id)
        for pool in pools:
            group = self._placement_group(pool)
            name = _pascal_case(pool.name)
            template = cluster.kubectl.apply(
                self,
                f"{name}Class",
                node_class(
                    pool, site, placement_group=group.placement_group_name if group else None
                ),
                after=[karpenter.installed],
            )
            cluster.kubectl.apply(
                self, f"{name}Pool", node_pool(pool), after=[karpenter.installed, template]
            )

    def _placement_group(self, pool: KarpenterPool) -> ec2.PlacementGroup | None:
        if not pool.placement_group:
            return None
        return ec2.PlacementGroup(
            self,
            f"{_pascal_case(pool.name)}PlacementGroup",
            strategy=ec2.PlacementGroupStrategy.CLUSTER,
        )


def _pascal_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
