"""Tables of an environment's file that join several specifications."""

from typing import Self, cast

from pydantic import BaseModel, ConfigDict, model_validator

from llm_constructs.specs.controllers import Controllers
from llm_constructs.specs.data_lake import LakeReplication, LakeRetention
from llm_constructs.specs.eks import Cluster
from llm_constructs.specs.hyperpod import HyperPod
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.karpenter_pool import KarpenterPool
from llm_constructs.specs.mirror import Mirror
from llm_constructs.specs.network import Capability, Domain, ExistingVpc, FlowLogs, NewVpc
from llm_constructs.specs.node_group import ReservedNodeGroup, SystemNodes
from llm_constructs.specs.problem import Problem, SpecificationError
from llm_constructs.specs.prometheus import PrometheusMetrics
from llm_constructs.specs.team import Team, TeamPlan


class Table(BaseModel):
    """A table of an environment's file: closed, immutable, and described by its docstrings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class NetworkTable(Table):
    """The VPC: either one to make or one that exists, and what hangs on it."""

    vpc: NewVpc | None = None
    """A VPC to make."""
    existing_vpc: ExistingVpc | None = None
    """A VPC to use as it is."""
    endpoints_for: tuple[Capability, ...] = ()
    """Capabilities whose interface endpoints are made even though this file does not turn them on:
    for stacks of other applications in the same VPC, or ahead of time."""
    flow_logs: FlowLogs = FlowLogs()
    """The flow logs of a VPC to make; those of an existing one are its owner's."""
    domain: Domain | None = None
    """The public domain and its TLS certificate. Left out: no certificate."""

    @model_validator(mode="after")
    def _one_vpc(self) -> Self:
        if (self.vpc is None) == (self.existing_vpc is None):
            given = "both" if self.vpc else "neither"
            problem = Problem(
                "",
                f"{given} of [network.vpc] and [network.existing_vpc]",
                "The platform runs in exactly one VPC.",
                "Keep one of the two tables.",
            )
            raise SpecificationError("network", [problem])
        return self

    @property
    def chosen_vpc(self) -> NewVpc | ExistingVpc:
        """Whichever VPC it is; :meth:`_one_vpc` sees to it that it is one."""
        return self.vpc or cast("ExistingVpc", self.existing_vpc)


class DataTable(Table):
    """The S3 data lake."""

    retention: LakeRetention = LakeRetention()
    """How long objects are kept."""
    replication: LakeReplication | None = None
    """A copy in a second region. Left out: none."""


class EksTable(Table):
    """An EKS cluster with its controllers and nodes."""

    cluster: Cluster = Cluster()
    """The cluster itself."""
    system_nodes: SystemNodes = SystemNodes()
    """The nodes of the cluster's own controllers."""
    pools: tuple[KarpenterPool, ...] = ()
    """Nodes that come and go with the pods that need them."""
    groups: tuple[ReservedNodeGroup, ...] = ()
    """Nodes on reserved accelerators."""
    controllers: Controllers = Controllers()
    """Controllers that not every cluster needs."""
    prometheus: PrometheusMetrics = PrometheusMetrics()
    """The metrics of pods, by which model servers scale."""
    mirror: Mirror | None = None
    """Charts as files and images from the account's ECR, for a network without NAT gateways. Left
    out: both come from public registries."""
    teams: tuple[Team, ...] = ()
    """Teams that share the cluster by quotas. Left out: no queues, first come, first served."""

    @property
    def managed_system_nodes(self) -> SystemNodes | None:
        """The system nodes, ``None`` with EKS Auto Mode, where there are none."""
        return None if self.cluster.is_automatic else self.system_nodes

    @property
    def device_kinds(self) -> frozenset[DeviceKind]:
        """The kinds of accelerators that nodes may have, and ``none`` where some have none."""
        rows = [pool.rows[0] for pool in self.pools] + [group.row for group in self.groups]
        return frozenset(row.device_kind for row in rows)

    @property
    def needs_neuron_topology(self) -> bool:
        """Whether nodes may have several Neuron devices, which pods must get side by side."""
        rows = [row for pool in self.pools for row in pool.rows]
        rows += [group.row for group in self.groups]
        return any(
            row.device_kind is DeviceKind.NEURON and row.accelerator_count > 1 for row in rows
        )

    def team_plan(self, hyperpod: HyperPod | None = None) -> TeamPlan:
        """Return the teams beside what the pools and groups can give, and those of ``hyperpod`` if
        the cluster orchestrates it.

        Raises :class:`SpecificationError` with everything that does not fit together.
        """
        return TeamPlan(
            teams=self.teams,
            pools=self.pools,
            groups=self.groups,
            namespaces=self.cluster.namespaces,
            hyperpod_groups=hyperpod.groups if hyperpod else (),
            governed=hyperpod is not None and hyperpod.governs_tasks,
        )
