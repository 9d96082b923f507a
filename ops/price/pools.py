"""What nodes that come and go cost at most, and what was paid beforehand."""

from collections.abc import Iterator
from decimal import Decimal

from config import Environment
from llm_constructs.specs.instance_type import InstanceType
from llm_constructs.specs.karpenter_pool import KarpenterPool
from ops.price.estimate import HOURS, Quantity
from ops.price.rates import Rates


def ceilings(environment: Environment, rates: Rates) -> Iterator[Quantity]:
    """Yield each pool at its limit for a whole month, on demand, with its costliest type.

    A pool of which any type has no known price is given with that type, so that it has none either.
    """
    for pool in environment.eks.pools if environment.eks else ():
        candidates = [(row, nodes) for row in pool.rows if (nodes := _nodes(pool, row))]
        if not candidates:
            continue
        row, nodes = max(
            candidates, key=lambda pair: _cost(pair[0], pair[1], environment.region, rates)
        )
        what = f"{nodes} nodes {row.name}"
        yield Quantity(
            f"pool {pool.name}",
            what,
            f"{row.name}-hour",
            Decimal(nodes * HOURS),
            environment.region,
        )


def paid_beforehand(environment: Environment) -> Iterator[str]:
    """Yield a sentence for each block and plan, which were paid when they were bought."""
    for group in environment.eks.groups if environment.eks else ():
        block = group.capacity_block
        if block is not None:
            yield (
                f"eks.groups.{group.name}: {group.nodes} nodes {group.instance_type} from "
                f"{block.start:%Y-%m-%d} to {block.end:%Y-%m-%d} were paid when the Capacity Block "
                "was bought."
            )
    for member in environment.training.groups if environment.training else ():
        if member.training_plan is not None:
            yield (
                f"training.groups.{member.name}: {member.count} nodes {member.instance_type} were "
                "paid when the training plan was bought."
            )


def _nodes(pool: KarpenterPool, row: InstanceType) -> int:
    if pool.max_devices is not None:
        return pool.max_devices // row.accelerator_count if row.accelerator_count else 0
    return (pool.max_vcpus or 0) // row.vcpus


def _cost(row: InstanceType, nodes: int, region: str, rates: Rates) -> Decimal:
    rate = rates.rate(f"{row.name}-hour", region)
    return rate.usd * nodes if rate else Decimal("Infinity")
