"""Whether a cluster has nodes that a model server's pods can run on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from llm_constructs.specs.instance_type import Architecture, DeviceKind
from llm_constructs.specs.karpenter_pool import KarpenterPool, Workload
from llm_constructs.specs.model_server import TEMPORARY_GIB, ModelServer
from llm_constructs.specs.node_group import ReservedNodeGroup, SystemNodes
from llm_constructs.specs.problem import Problems

IMAGES_GIB: Final = 50
"""GiB of a root volume that the system and the images of the node's pods take."""


ROUTER_ARCHITECTURE: Final = Architecture.AMD64
"""The one architecture that the router's image is built for.

https://hub.docker.com/r/vllm/vllm-router
"""


@dataclass(frozen=True, kw_only=True)
class ModelPlacement:
    """The nodes of a cluster, as model servers look at them."""

    pools: Sequence[KarpenterPool] = ()
    groups: Sequence[ReservedNodeGroup] = ()
    system_nodes: SystemNodes | None = None

    def check(self, problems: Problems, server: ModelServer, *, field: str) -> None:
        """Note every reason for which no node of its pool would ever take a pod of ``server``."""
        pool = self.pool(server)
        group = self.group(server)
        if pool is not None:
            self._check_pool(problems, server, pool, field)
        elif group is not None:
            self._check_group(problems, server, group, field)
        else:
            names = [*(it.name for it in self.pools), *(it.name for it in self.groups)]
            problems.add(
                f"{field}.pool",
                server.pool,
                "The cluster has no pool or group of this name, and pods would wait for ever.",
                f"Choose one of {', '.join(names)}." if names else "Add it to [[eks.pools]].",
            )

        problems.require(
            not server.prefix_routing or self._has_nodes_for_routers,
            f"{field}.prefix_routing",
            True,
            f"The router's image is built for {ROUTER_ARCHITECTURE}, and the cluster has no nodes "
            "of it without accelerators.",
            'Add a pool with a family such as "m7i", or set prefix_routing = false.',
        )

    @property
    def _has_nodes_for_routers(self) -> bool:
        rows = [row for pool in self.pools for row in pool.rows]
        if self.system_nodes is not None:
            rows.append(self.system_nodes.row)
        return any(
            row.device_kind is DeviceKind.NONE and row.architecture is ROUTER_ARCHITECTURE
            for row in rows
        )

    def check_together(
        self, problems: Problems, servers: Iterable[ModelServer], *, field: str
    ) -> None:
        """Note every pool and group that is too small for all of its ``servers`` together."""
        by_nodes: dict[str, list[ModelServer]] = {}
        for server in servers:
            by_nodes.setdefault(server.pool, []).append(server)
        for name, models in by_nodes.items():
            devices = self._devices(name)
            if devices is not None:
                _check_together(problems, models, devices, field=field)

    def _devices(self, name: str) -> int | None:
        """Return the most devices of a pool or group; ``None`` where there is none."""
        for pool in self.pools:
            if pool.name == name:
                return pool.max_devices or 0
        for group in self.groups:
            if group.name == name:
                return group.nodes * group.row.accelerator_count
        return None

    def pool(self, server: ModelServer) -> KarpenterPool | None:
        """Return the pool that ``server`` names, if it is one."""
        return next((pool for pool in self.pools if pool.name == server.pool), None)

    def group(self, server: ModelServer) -> ReservedNodeGroup | None:
        """Return the reserved group that ``server`` names, if it is one."""
        return next((group for group in self.groups if group.name == server.pool), None)

    def _check_pool(
        self, problems: Problems, server: ModelServer, pool: KarpenterPool, field: str
    ) -> None:
        types = [row.name for row in pool.rows]
        _check_type(problems, server, types, field)
        _check_efa(problems, server, has_efa=pool.efa, field=field)
        problems.require(
            pool.workload != Workload.TRAINING,
            f"{field}.pool",
            server.pool,
            "It is for training, whose jobs would wait for the model's copies to go.",
            'Make a pool with workload = "serving".',
        )
        # Nodes are whole: of 12 devices, a type with 8 gives 8.
        most = pool.max_devices or 0
        devices = most - most % server.row.accelerator_count
        problems.require(
            server.most_devices <= devices,
            f"{field}.scaling.maximum",
            server.scaling.maximum,
            f"In a rollout its copies take {server.most_devices} devices, and whole nodes below "
            f"the pool's limit of {most} have {devices}.",
            "Lower it, or raise the pool's max_devices.",
        )
        _check_disk(problems, server, pool.volume_gib, field)

    def _check_group(
        self, problems: Problems, server: ModelServer, group: ReservedNodeGroup, field: str
    ) -> None:
        _check_type(problems, server, [group.instance_type], field)
        _check_efa(problems, server, has_efa=group.efa, field=field)
        devices = group.nodes * group.row.accelerator_count
        problems.require(
            server.most_devices <= devices,
            f"{field}.scaling.maximum",
            server.scaling.maximum,
            f"In a rollout its copies take {server.most_devices} devices; the group has {devices}.",
            "Lower it, or reserve more nodes.",
        )
        # A minute for what comes before and after: see model_server_pod.
        answering = (group.drain_minutes - 1) * 60
        problems.require(
            group.capacity_block is None or server.drain_seconds <= answering,
            f"{field}.drain_seconds",
            server.drain_seconds,
            f"Nodes of {group.name} leave its Capacity Block {group.drain_minutes} minutes before "
            "EC2 takes them, which would cut answers off.",
            f"Lower it to {max(0, answering)}, or raise drain_minutes of the group.",
        )
        _check_disk(problems, server, group.volume_gib, field)


def _check_together(
    problems: Problems, servers: Sequence[ModelServer], devices: int, *, field: str
) -> None:
    taken = sum(server.least_devices for server in servers)
    problems.require(
        taken <= devices,
        field,
        servers[0].pool,
        f"The copies that always run take {taken} devices, and there are {devices} at most.",
        "Allow or reserve more there, or lower scaling.minimum.",
    )
    # Under load copies come and go, but a rollout has to end at quiet times.
    rollout = max(server.rollout_devices for server in servers)
    problems.require(
        taken > devices or taken + rollout <= devices,
        field,
        servers[0].pool,
        f"The copies that always run take {taken} devices of {devices} at most, and a rollout "
        f"{rollout} more, for a new copy answers before an old one goes: it would never end.",
        "Allow or reserve more there, or lower scaling.minimum.",
    )


def _check_type(problems: Problems, server: ModelServer, types: list[str], field: str) -> None:
    problems.require(
        server.instance_type in types,
        f"{field}.instance_type",
        server.instance_type,
        f"{server.pool} has no nodes of this type.",
        f"Choose {' or '.join(types)}, or add the type there.",
    )


def _check_efa(problems: Problems, server: ModelServer, *, has_efa: bool, field: str) -> None:
    problems.require(
        has_efa or not server.efa,
        f"{field}.efa",
        True,
        f"The nodes of {server.pool} have no EFA interfaces.",
        "Set efa = true there, or choose another pool.",
    )


def _check_disk(problems: Problems, server: ModelServer, volume_gib: int, field: str) -> None:
    """Note what copies on a node without local disks have no room for."""
    copies = max(1, server.parallelism.copies_per_node)
    needed = copies * (server.scratch_gib + TEMPORARY_GIB) + IMAGES_GIB
    problems.require(
        server.row.local_nvme_gb > 0 or needed <= volume_gib,
        f"{field}.instance_type",
        server.instance_type,
        f"Files and images of {copies} copies need {needed} GiB of its disk, and nodes of "
        f"{server.pool} have {volume_gib}.",
        "Raise volume_gib there, or choose a smaller type.",
    )
