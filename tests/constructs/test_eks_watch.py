"""What is watched on a cluster depends on what measures it."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_logs as logs

from llm_constructs.eks_watch import (
    ClusterMetrics,
    describe_alarms,
    describe_queries,
    describe_signals,
)
from llm_constructs.reserved_nodes import ReservedNodes
from llm_constructs.specs.eks import Cluster, GpuMonitoring
from llm_constructs.specs.observability import Audience
from tests.constructs.eks import cluster_in
from tests.constructs.synthesis import ENVIRONMENT, app
from tests.constructs.test_reserved_nodes import BLOCK, RESERVED

METRICS = ClusterMetrics("test")


def titles(monitoring: GpuMonitoring) -> set[str]:
    return {it.title for it in describe_signals(METRICS, monitoring)}


def test_accelerators_are_shown_only_where_something_measures_them() -> None:
    added = titles(GpuMonitoring.METRICS) - titles(GpuMonitoring.NODE_REPAIR)
    assert added == {
        *("GPUs in use", "GPU power", "Neuron cores in use", "Neuron errors"),
        *("EFA traffic of nodes", "EFA packets dropped"),
    }


def test_the_cluster_describes_by_its_own_setting() -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    cluster = cluster_in(stack, Cluster(gpu_monitoring=GpuMonitoring.METRICS))
    assert "GPUs in use" in {it.title for it in cluster.signals}
    assert {it.name for it in cluster.alarms} == {
        *("EksNodesFailed", "EksNodesUnseen", "EksPodsUnschedulable", "EksServerErrors"),
        *("EksGpusIdle", "EksNeuronCoresIdle"),
    }
    assert {it.name for it in cluster.queries} == {"who changed what", "who was refused"}


def test_every_line_is_that_of_an_alarm_which_there_is() -> None:
    names = {it.name for it in describe_alarms(METRICS, GpuMonitoring.METRICS)}
    lines = {it.alarm for it in describe_signals(METRICS, GpuMonitoring.METRICS) if it.alarm}
    assert lines
    assert lines <= names


def test_idle_accelerators_ring_only_where_something_measures_them() -> None:
    names = {it.name for it in describe_alarms(METRICS, GpuMonitoring.NODE_REPAIR)}
    assert not {name for name in names if name.endswith("Idle")}


def test_the_audit_log_is_asked_for_people_and_not_for_controllers() -> None:
    group = logs.LogGroup.from_log_group_name(cdk.Stack(cdk.App(), "Test"), "Group", "g")
    changes, _ = describe_queries(group)
    assert 'filter user.username not like "system:"' in changes.statements


@pytest.mark.parametrize(
    ("group", "audiences"),
    [(BLOCK, [Audience.TRAINING, Audience.CAPACITY]), (RESERVED, [])],
    ids=["a block", "reservations"],
)
def test_the_use_of_a_capacity_block_is_shown(group: object, audiences: list[Audience]) -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    cluster = cluster_in(stack)
    nodes = ReservedNodes(
        stack,
        "Nodes",
        cluster=cluster,
        group=group,  # type: ignore[arg-type]
        subnet=cluster.vpc.private_subnets[0],
        volume_key=cluster.key,
        tags={},
    )
    assert [it.audience for it in nodes.signals] == audiences
