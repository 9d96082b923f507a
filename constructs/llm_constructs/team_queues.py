"""Kueue's objects for teams: kinds of nodes, quotas, queues and priorities."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from constructs import Construct, IDependable

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.specs.pool_supply import NodeSource, PoolSupply
from llm_constructs.specs.team import Preemption, Team, TeamPlan

API_VERSION: Final = "kueue.x-k8s.io/v1beta2"

COHORT: Final = "teams"
"""The circle in which teams lend to each other. There is one."""

DEFAULT_QUEUE: Final = "default"
"""The name of each namespace's queue, which jobs without the label of a queue go to as well.

https://kueue.sigs.k8s.io/docs/tasks/manage/enforce_job_management/setup_default_local_queue/
"""

PRIORITIES: Final[Mapping[str, tuple[int, str]]] = {
    "urgent": (1000, "Before everything else of the team; stops its other jobs if it must."),
    "background": (-1000, "When nothing else of the team waits; the first to be stopped."),
}
"""Priority classes by name. A job without one lies between them, at 0."""

_PREEMPTION: Final = {Preemption.NEVER: "Never", Preemption.LOWER_PRIORITY: "LowerPriority"}


class TeamQueues(Construct):
    """A ResourceFlavor for each pool that is shared, a ClusterQueue for each team, a LocalQueue for
    each namespace of a team, and the priority classes.

    They are deleted in the opposite order, as Kueue's finalizers ask for, and all before Kueue.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        plan: TeamPlan,
        after: Sequence[IDependable],
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster = cluster
        # Scopes of their own, for names in them are the environment's, and teams, pools and
        # namespaces may share one.
        flavors, queues, local_queues = (
            Construct(self, kind) for kind in ("Flavors", "Queues", "LocalQueues")
        )
        for name in PRIORITIES:
            self._apply(self, f"{name.capitalize()}Priority", priority_class(name), after)
        for supply in plan.used_supplies:
            self._apply(flavors, supply.name, flavor(supply, cluster.name), after)
        for team in plan.teams:
            queue = self._apply(queues, team.name, cluster_queue(team, plan), [*after, flavors])
            for namespace in team.namespaces:
                made = local_queue(team, namespace)
                self._apply(local_queues, namespace, made, [*after, queue])

    def _apply(
        self,
        scope: Construct,
        construct_id: str,
        made: KubernetesObject,
        after: Sequence[IDependable],
    ) -> IDependable:
        return self._cluster.kubectl.apply(scope, construct_id, made, after=after)


def flavor(supply: PoolSupply, cluster: str) -> KubernetesObject:
    """Return the nodes of one pool or group as Kueue knows them.

    Jobs that are admitted to it are bound to its nodes, and a job that does not tolerate their
    taints is not admitted: one without need for a device never takes a node with devices.
    """
    # A managed group's name holds the cluster's, for it is unique in the account.
    group = f"{cluster}-{supply.name}"
    value = group if supply.source is NodeSource.MANAGED_GROUP else supply.name
    spec: dict[str, Any] = {"nodeLabels": {supply.source.value: value}}
    if supply.taints:
        spec["nodeTaints"] = [
            {"key": taint.key, "value": taint.value, "effect": taint.effect}
            for taint in supply.taints
        ]
    return _object("ResourceFlavor", supply.name, spec)


def cluster_queue(team: Team, plan: TeamPlan) -> KubernetesObject:
    """Return a team's queue with its quotas, and of 0 on what it may only borrow."""
    own = {quota.pool: plan.share(quota).quantities() for quota in team.quotas}
    offered = [s for s in plan.used_supplies if s.name in own or team.borrows]
    # Its own first: Kueue takes the first kind of nodes that fits.
    supplies = sorted(offered, key=lambda supply: supply.name not in own)
    covered = list(dict.fromkeys(key for supply in supplies for key in supply.quantities()))
    return _object(
        "ClusterQueue",
        team.name,
        {
            "cohortName": COHORT,
            "namespaceSelector": {
                "matchExpressions": [
                    {
                        "key": "kubernetes.io/metadata.name",
                        "operator": "In",
                        "values": list(team.namespaces),
                    }
                ]
            },
            "queueingStrategy": "BestEffortFIFO",
            "preemption": {
                "withinClusterQueue": _PREEMPTION[team.preemption],
                # What it lent it gets back, whatever runs there.
                "reclaimWithinCohort": "Any",
            },
            "resourceGroups": [
                {
                    "coveredResources": covered,
                    "flavors": [
                        {
                            "name": supply.name,
                            "resources": [
                                _quota(resource, own.get(supply.name, {}), team)
                                for resource in covered
                            ],
                        }
                        for supply in supplies
                    ],
                }
            ],
        },
    )


def local_queue(team: Team, namespace: str) -> KubernetesObject:
    """Return the queue that jobs of ``namespace`` wait in."""
    return _object("LocalQueue", DEFAULT_QUEUE, {"clusterQueue": team.name}, namespace=namespace)


def priority_class(name: str) -> KubernetesObject:
    """Return the priority class of :data:`PRIORITIES` with this name."""
    value, description = PRIORITIES[name]
    return {
        "apiVersion": API_VERSION,
        "kind": "WorkloadPriorityClass",
        "metadata": {"name": name},
        "value": value,
        "description": description,
    }


def _quota(resource: str, own: Mapping[str, str], team: Team) -> dict[str, str]:
    quota = {"name": resource, "nominalQuota": own.get(resource, "0")}
    if not team.borrows:
        quota["borrowingLimit"] = "0"
    if not team.lends:
        quota["lendingLimit"] = "0"
    return quota


def _object(
    kind: str, name: str, spec: Mapping[str, Any], *, namespace: str | None = None
) -> KubernetesObject:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
