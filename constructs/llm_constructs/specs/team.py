"""Teams that share a cluster, and how much of it belongs to each."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.karpenter_pool import KarpenterPool
from llm_constructs.specs.node_group import ReservedNodeGroup
from llm_constructs.specs.pool_supply import (
    NodeSource,
    PoolSupply,
    supply_of_group,
    supply_of_hyperpod,
    supply_of_pool,
)
from llm_constructs.specs.problem import Problems

MOST_FLAVORS: Final = 64
"""Flavors in one resource group of a ClusterQueue.

https://github.com/kubernetes-sigs/kueue/blob/main/apis/kueue/v1beta2/clusterqueue_types.go
"""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


class Preemption(StrEnum):
    """What a team's job may do to other jobs of the same team."""

    NEVER = "never"
    """It waits until there is room."""
    LOWER_PRIORITY = "lower-priority"
    """It stops jobs of a lower priority class."""


@dataclass(frozen=True, kw_only=True)
class TeamQuota:
    """A team's share of one pool, reserved group or HyperPod group."""

    pool: str
    """The name of the pool, of the group, or of a HyperPod group that EKS orchestrates."""
    devices: int | None = None
    """Accelerators, on pools that have them."""
    vcpus: int | None = None
    """vCPUs. Left out: what lies beside the devices on a node."""
    memory_gib: int | None = None
    """GiB of memory. Left out: what lies beside the devices, or the vCPUs, on a node."""

    def __post_init__(self) -> None:
        problems = Problems(f"quota of {self.pool}")
        for field in ("devices", "vcpus", "memory_gib"):
            value: int | None = getattr(self, field)
            problems.require(
                value is None or value >= 0,
                field,
                value,
                "A share cannot be negative.",
                "Give 0 to have none, or leave it out.",
            )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class Team:
    """A team with its namespaces and quotas. Its jobs wait in a queue until the quota has room."""

    name: str
    """The team's name, and that of its queue."""
    quotas: tuple[TeamQuota, ...]
    """What belongs to the team, for each pool or group."""
    namespaces: tuple[str, ...] = ()
    """Namespaces of the cluster whose jobs are the team's. No two teams share one. Left out with
    HyperPod's task governance, which makes `hyperpod-ns-<team>`."""
    borrows: bool = True
    """Whether its jobs may also run on what other teams leave idle, until those want it back."""
    lends: bool = True
    """Whether other teams may use what this one leaves idle. It gets it back at once."""
    preemption: Preemption = Preemption.LOWER_PRIORITY
    """`never`, or `lower-priority`: jobs of the team stop its own jobs of a lower class."""

    def __post_init__(self) -> None:
        problems = Problems(f"team {self.name}")
        problems.require(
            _NAME.fullmatch(self.name) is not None,
            "name",
            self.name,
            "It names a queue, which takes lower-case letters, digits and hyphens.",
            "Give a name of at most 40 of them that starts with a letter, such as research.",
        )
        problems.require(
            bool(self.quotas),
            "quotas",
            [],
            "A team without any quota can only borrow, and would be stopped by everybody.",
            "Add [[eks.teams.quotas]] with a pool.",
        )
        for pool in _repeated(quota.pool for quota in self.quotas):
            problems.add(
                "quotas",
                pool,
                "The team has several quotas on this pool, and it is not clear which counts.",
                "Give one with the sum.",
            )
        for namespace in _repeated(self.namespaces):
            problems.add("namespaces", namespace, "It is named twice.", "Name it once.")
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class TeamPlan:
    """The teams of one cluster, beside what its pools and groups can give.

    Raises :class:`SpecificationError` with everything that does not fit together, in particular
    for quotas beyond what all nodes could ever hold: jobs within them would be let in and then
    wait for nodes that cannot come.
    """

    teams: tuple[Team, ...]
    """The teams."""
    pools: tuple[KarpenterPool, ...] = ()
    """The cluster's pools."""
    groups: tuple[ReservedNodeGroup, ...] = ()
    """The cluster's reserved groups."""
    namespaces: tuple[str, ...] = ()
    """The cluster's namespaces for workloads."""
    hyperpod_groups: tuple[InstanceGroup, ...] = ()
    """The groups of a HyperPod cluster whose nodes are the cluster's."""
    governed: bool = False
    """Whether HyperPod's task governance keeps the quotas; otherwise the platform's Kueue."""

    def __post_init__(self) -> None:
        problems = Problems("teams")
        self._check_names(problems)
        for team in self.teams:
            if self.governed:
                self._check_governed(problems, team)
            else:
                self._check_namespaces(problems, team)
            for quota in team.quotas:
                self._check_quota(problems, team, quota)
        if not any(quota.pool not in self.supplies for _, quota in self._quotas()):
            self._check_sums(problems)
        problems.raise_if_any()

    @cached_property
    def supplies(self) -> Mapping[str, PoolSupply]:
        """What each pool and group can give at most, by name."""
        return {supply.name: supply for supply in self._offered}

    @cached_property
    def _offered(self) -> tuple[PoolSupply, ...]:
        return (
            *map(supply_of_pool, self.pools),
            *map(supply_of_group, self.groups),
            *map(supply_of_hyperpod, self.hyperpod_groups),
        )

    def hyperpod_group(self, quota: TeamQuota) -> InstanceGroup:
        """Return the HyperPod group that ``quota`` is on.

        Raises :class:`StopIteration` when it is on other nodes, which no plan that is ``governed``
        has.
        """
        return next(group for group in self.hyperpod_groups if group.name == quota.pool)

    @property
    def used_supplies(self) -> tuple[PoolSupply, ...]:
        """The pools and groups that some team has a quota on, in the cluster's order."""
        used = {quota.pool for _, quota in self._quotas()}
        return tuple(supply for name, supply in self.supplies.items() if name in used)

    def share(self, quota: TeamQuota) -> PoolSupply:
        """Return what ``quota`` amounts to, with what it leaves out filled in."""
        return self.supplies[quota.pool].share(
            devices=quota.devices, vcpus=quota.vcpus, memory_gib=quota.memory_gib
        )

    def _quotas(self) -> Iterable[tuple[Team, TeamQuota]]:
        return ((team, quota) for team in self.teams for quota in team.quotas)

    def _check_names(self, problems: Problems) -> None:
        for name in _repeated(team.name for team in self.teams):
            problems.add(
                "name",
                name,
                "Several teams have this name, and they would share one queue.",
                "Give each a name of its own.",
            )
        for name in _repeated(supply.name for supply in self._offered):
            problems.add(
                "quotas",
                name,
                "A pool or group of [eks] and a group of [training] have this name, and a quota "
                "could be on either.",
                "Rename one of them.",
            )
        owners = [namespace for team in self.teams for namespace in set(team.namespaces)]
        for namespace in _repeated(owners):
            problems.add(
                "namespaces",
                namespace,
                "Several teams claim it, so nobody could say whose quota a job in it uses.",
                "Leave it to one team.",
            )
        problems.require(
            len(self.supplies) <= MOST_FLAVORS,
            "quotas",
            len(self.supplies),
            f"A queue of Kueue knows at most {MOST_FLAVORS} kinds of nodes.",
            "Join pools.",
        )

    def _check_governed(self, problems: Problems, team: Team) -> None:
        problems.require(
            not team.namespaces,
            f"{team.name}.namespaces",
            list(team.namespaces),
            f"HyperPod's task governance makes hyperpod-ns-{team.name} for the team's jobs, and "
            "counts no others.",
            "Leave it out, or set task_governance = false in [training.kubernetes].",
        )
        problems.require(
            team.lends or not team.borrows,
            f"{team.name}.borrows",
            True,
            "HyperPod's task governance has no team that borrows and does not lend.",
            "Set lends = true or borrows = false.",
        )
        for quota in team.quotas:
            supply = self.supplies.get(quota.pool)
            if supply is None:
                continue
            hyperpod = supply.source is NodeSource.HYPERPOD
            problems.require(
                hyperpod,
                f"{team.name}.quotas",
                quota.pool,
                "HyperPod's task governance shares HyperPod's own nodes alone, and there is one "
                "Kueue in a cluster.",
                "Name a group of [training], or set task_governance = false in "
                "[training.kubernetes].",
            )
            problems.require(
                not hyperpod or not self.hyperpod_group(quota).fallback_types,
                f"{team.name}.quotas",
                quota.pool,
                "Its nodes are of several types, and HyperPod's task governance counts by type.",
                "Leave the group's fallback_types out, or make a group for each type.",
            )

    def _check_namespaces(self, problems: Problems, team: Team) -> None:
        problems.require(
            bool(team.namespaces),
            f"{team.name}.namespaces",
            [],
            "Without a namespace nobody can submit a job for the team.",
            "Name at least one of [eks.cluster] namespaces.",
        )
        for quota in team.quotas:
            problems.require(
                quota.pool not in self.supplies or quota.pool == quota.pool.lower(),
                f"{team.name}.quotas",
                quota.pool,
                "Kueue names kinds of nodes in lower case.",
                "Rename the group.",
            )
        for namespace in team.namespaces:
            problems.require(
                namespace in self.namespaces,
                f"{team.name}.namespaces",
                namespace,
                "The cluster has no such namespace for workloads.",
                f"Choose from {', '.join(self.namespaces)}, or add it to [eks.cluster] namespaces.",
            )

    def _check_quota(self, problems: Problems, team: Team, quota: TeamQuota) -> None:
        field = f"{team.name}.quotas"
        supply = self.supplies.get(quota.pool)
        if supply is None:
            problems.add(
                field,
                quota.pool,
                "There is no pool or group of this name for teams to share.",
                f"Choose from {', '.join(self.supplies) or 'none: add a pool first'}.",
            )
            return
        if supply.device is None:
            problems.require(
                not quota.devices,
                f"{field}.{quota.pool}.devices",
                quota.devices,
                "The nodes of this pool have no accelerators.",
                "Give vcpus, or name a pool with accelerators.",
            )
        wanted = "vcpus" if supply.device is None else "devices"
        problems.require(
            getattr(quota, wanted) is not None,
            f"{field}.{quota.pool}.{wanted}",
            None,
            f"The pool is shared by {wanted}, and none are given.",
            f"Say how many {wanted} belong to the team.",
        )

    def _check_sums(self, problems: Problems) -> None:
        for name, supply in self.supplies.items():
            shares = [self.share(quota) for _, quota in self._quotas() if quota.pool == name]
            for field, total, offered in (
                ("devices", sum(share.devices for share in shares), supply.devices),
                (
                    "vcpus",
                    sum(share.cpu_millis for share in shares) / 1000,
                    supply.cpu_millis / 1000,
                ),
                ("memory_gib", sum(s.memory_mib for s in shares) / 1024, supply.memory_mib / 1024),
            ):
                problems.require(
                    total <= offered,
                    f"quotas.{name}.{field}",
                    round(total, 1),
                    f"All of {name} together can give pods {offered:g} at most, so jobs would be "
                    "let in and wait for nodes that never come.",
                    "Lower the teams' quotas, or raise the pool's limit.",
                )


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
