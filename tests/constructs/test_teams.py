"""Teams' quotas against what pools can give, and Kueue's objects for them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import aws_cdk as cdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.capacity_block import CapacityBlock
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.instance_type import CapacityOption
from llm_constructs.specs.karpenter_pool import CapacityType, KarpenterPool
from llm_constructs.specs.node_group import ReservedNodeGroup
from llm_constructs.specs.pool_supply import supply_of_group, supply_of_hyperpod, supply_of_pool
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.team import Preemption, Team, TeamPlan, TeamQuota
from llm_constructs.team_queues import (
    TeamQueues,
    cluster_queue,
    flavor,
    local_queue,
    priority_class,
)
from tests.constructs.eks import cluster_in
from tests.constructs.references import predecessors
from tests.constructs.synthesis import synthesised

CPUS = KarpenterPool(
    name="general", instance_families=("m7g",), max_vcpus=128, ami_version="v20260903"
)
GPUS = KarpenterPool(
    name="gpus",
    instance_types=("g6e.2xlarge", "g6e.12xlarge"),
    max_devices=8,
    ami_version="v20260903",
)
BLOCK = ReservedNodeGroup(
    name="block",
    instance_type="trn2.48xlarge",
    nodes=2,
    zone="us-east-2b",
    ami_release="1.36.3-20260903",
    capacity_block=CapacityBlock(
        reservation_id="cr-0123456789abcdef0",
        start=datetime(2027, 1, 11, 11, 30, tzinfo=UTC),
        end=datetime(2027, 1, 25, 11, 30, tzinfo=UTC),
    ),
)
ACCELERATED = [
    row
    for row in INSTANCE_TYPES.values()
    if row.accelerator_count
    and CapacityOption.ON_DEMAND in row.capacity_options
    and not row.ultraserver_sizes
]


def team(
    name: str = "research", *, namespaces: Iterable[str] = ("training",), **given: Any
) -> Team:
    quotas = given.pop("quotas", (TeamQuota(pool="gpus", devices=4),))
    return Team(name=name, namespaces=tuple(namespaces), quotas=quotas, **given)


def plan(*teams: Team) -> TeamPlan:
    return TeamPlan(
        teams=teams, pools=(CPUS, GPUS), groups=(BLOCK,), namespaces=("serving", "training")
    )


def refusal(*teams: Team) -> str:
    with pytest.raises(SpecificationError) as caught:
        plan(*teams)
    return str(caught.value)


@pytest.mark.parametrize(
    ("quota", "told"),
    [
        (TeamQuota(pool="gpus", devices=9), "gpus together can give pods 8 at most"),
        (TeamQuota(pool="gpus", devices=1, vcpus=10_000), "quotas.gpus.vcpus"),
        (TeamQuota(pool="gpus", devices=1, memory_gib=100_000), "quotas.gpus.memory_gib"),
        (TeamQuota(pool="gpus", vcpus=8), "Say how many devices belong to the team"),
        (TeamQuota(pool="general", vcpus=129), "Lower the teams' quotas"),
        (TeamQuota(pool="general", vcpus=8, devices=1), "nodes of this pool have no accelerators"),
        (TeamQuota(pool="general"), "Say how many vcpus belong to the team"),
        (TeamQuota(pool="block", devices=33), "block together can give pods 32 at most"),
        (TeamQuota(pool="h100", devices=1), "Choose from general, gpus, block"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_no_node_can_give_is_refused(quota: TeamQuota, told: str) -> None:
    assert told in refusal(team(quotas=(quota,)))


def test_teams_cannot_have_more_together_than_there_is() -> None:
    told = refusal(
        team("one", quotas=(TeamQuota(pool="gpus", devices=5),)),
        team("two", namespaces=["serving"], quotas=(TeamQuota(pool="gpus", devices=4),)),
    )
    assert "quotas.gpus.devices = 9" in told


def test_names_and_namespaces_belong_to_one_team() -> None:
    told = refusal(team("one"), team("one", namespaces=["training", "elsewhere"]))
    assert "Several teams have this name" in told
    assert "Several teams claim it" in told
    assert "elsewhere" in told


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"name": "Research"}, "name"),
        ({"namespaces": ("a", "a")}, "namespaces"),
        ({"quotas": ()}, "quotas"),
        ({"quotas": (TeamQuota(pool="x", devices=1), TeamQuota(pool="x", vcpus=1))}, "quotas"),
    ],
)
def test_a_team_that_says_nothing_is_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        team(**settings)
    assert {problem.field for problem in caught.value.problems} == {field}


@pytest.mark.parametrize("field", ["devices", "vcpus", "memory_gib"])
def test_shares_are_not_negative(field: str) -> None:
    amounts: dict[str, Any] = {field: -1}
    with pytest.raises(SpecificationError, match=f"{field} = -1"):
        TeamQuota(pool="gpus", **amounts)


@given(
    row=st.sampled_from(ACCELERATED),
    nodes=st.integers(1, 16),
    cut=st.floats(0, 1, allow_nan=False),
)
def test_shares_of_all_devices_never_exceed_the_pool(row: Any, nodes: int, cut: float) -> None:
    pool = KarpenterPool(
        name="pool",
        instance_types=(row.name,),
        capacity_types=(CapacityType.ON_DEMAND,),
        max_devices=row.accelerator_count * nodes,
        ami_version="v20260903",
    )
    devices = row.accelerator_count * nodes
    first = int(devices * cut)
    split = TeamPlan(
        teams=(
            team("one", quotas=(TeamQuota(pool="pool", devices=first),)),
            team(
                "two",
                namespaces=["serving"],
                quotas=(TeamQuota(pool="pool", devices=devices - first),),
            ),
        ),
        pools=(pool,),
        namespaces=("serving", "training"),
    )
    supply = supply_of_pool(pool)
    shares = [split.share(each.quotas[0]) for each in split.teams]
    assert sum(share.devices for share in shares) == supply.devices == devices
    assert sum(share.cpu_millis for share in shares) <= supply.cpu_millis
    assert supply.cpu_millis == row.allocatable().cpu_millis * nodes


def test_a_pool_gives_what_its_best_type_gives_within_its_limit() -> None:
    supply = supply_of_pool(GPUS)
    small, large = INSTANCE_TYPES["g6e.2xlarge"], INSTANCE_TYPES["g6e.12xlarge"]
    assert supply.devices == 8
    assert supply.cpu_millis == max(
        small.allocatable().cpu_millis * 8, large.allocatable().cpu_millis * 2
    )
    assert supply_of_group(BLOCK).devices == 32


def test_a_limit_of_vcpus_counts_for_accelerators_too() -> None:
    limited = KarpenterPool(
        name="gpus",
        instance_types=("g6e.2xlarge",),
        max_devices=8,
        max_vcpus=20,
        ami_version="v20260903",
    )
    assert supply_of_pool(limited).devices == 2


def queue(made: TeamPlan, name: str) -> dict[str, Any]:
    (chosen,) = [each for each in made.teams if each.name == name]
    return dict(cluster_queue(chosen, made))


def test_every_flavor_of_a_queue_says_something_of_every_resource() -> None:
    made = plan(
        team(quotas=(TeamQuota(pool="gpus", devices=4), TeamQuota(pool="block", devices=16))),
        team("apps", namespaces=["serving"], quotas=(TeamQuota(pool="general", vcpus=8),)),
    )
    for name in ("research", "apps"):
        (group,) = queue(made, name)["spec"]["resourceGroups"]
        assert {each["name"] for each in group["flavors"]} == {"general", "gpus", "block"}
        for each in group["flavors"]:
            assert [entry["name"] for entry in each["resources"]] == group["coveredResources"]


def test_a_team_borrows_only_what_it_may_and_uses_its_own_first() -> None:
    made = plan(
        team(borrows=False, lends=False),
        team("apps", namespaces=["serving"], quotas=(TeamQuota(pool="block", devices=1),)),
    )
    (own,) = queue(made, "research")["spec"]["resourceGroups"][0]["flavors"]
    assert own["name"] == "gpus"
    assert {(entry["borrowingLimit"], entry["lendingLimit"]) for entry in own["resources"]} == {
        ("0", "0")
    }
    first, second = queue(made, "apps")["spec"]["resourceGroups"][0]["flavors"]
    assert (first["name"], second["name"]) == ("block", "gpus")
    assert {entry["nominalQuota"] for entry in second["resources"]} == {"0"}
    assert all("borrowingLimit" not in entry for entry in second["resources"])


def test_a_team_gets_back_what_it_lent_and_stops_its_own_jobs_only_if_it_may() -> None:
    made = plan(team(preemption=Preemption.NEVER))
    assert queue(made, "research")["spec"]["preemption"] == {
        "withinClusterQueue": "Never",
        "reclaimWithinCohort": "Any",
    }


def test_a_job_without_need_for_devices_never_takes_a_node_with_devices() -> None:
    made: Any = flavor(supply_of_pool(GPUS), "llm-test")
    assert made["spec"]["nodeLabels"] == {"karpenter.sh/nodepool": "gpus"}
    assert [taint["key"] for taint in made["spec"]["nodeTaints"]] == ["nvidia.com/gpu"]
    assert "tolerations" not in made["spec"]


def test_reserved_nodes_are_known_by_their_group() -> None:
    made: Any = flavor(supply_of_group(BLOCK), "llm-test")
    assert made["spec"]["nodeLabels"] == {"eks.amazonaws.com/nodegroup": "llm-test-block"}


def test_a_job_that_names_no_queue_is_in_its_namespaces_own() -> None:
    made: Any = local_queue(team(), "training")
    assert made["metadata"] == {"name": "default", "namespace": "training"}
    assert made["spec"] == {"clusterQueue": "research"}


def test_jobs_without_a_class_lie_between_the_two_classes() -> None:
    urgent: Any = priority_class("urgent")
    background: Any = priority_class("background")
    assert urgent["value"] > 0 > background["value"]


def test_objects_go_before_what_they_refer_to_and_names_may_repeat() -> None:
    made = TeamPlan(
        teams=(
            team("general", quotas=(TeamQuota(pool="general", vcpus=8),)),
            team("training", namespaces=["serving"], quotas=(TeamQuota(pool="gpus", devices=1),)),
        ),
        pools=(CPUS, GPUS),
        namespaces=("serving", "training"),
    )

    def build(stack: cdk.Stack) -> None:
        TeamQueues(stack, "Teams", cluster=cluster_in(stack), plan=made, after=[])

    template = synthesised(build)
    applied = {
        key: json.loads(body["Properties"]["Manifest"])[0]
        for key, body in template.of_type("Custom::AWSCDK-EKS-KubernetesResource").items()
    }
    by_kind: dict[str, set[str]] = {}
    for key, each in applied.items():
        by_kind.setdefault(each["kind"], set()).add(key)
    assert {kind: len(keys) for kind, keys in by_kind.items()} == {
        "WorkloadPriorityClass": 2,
        "ResourceFlavor": 2,
        "ClusterQueue": 2,
        "LocalQueue": 2,
    }
    for queue in by_kind["ClusterQueue"]:
        assert by_kind["ResourceFlavor"] <= predecessors(template, queue)
    for queue in by_kind["LocalQueue"]:
        assert by_kind["ClusterQueue"] & predecessors(template, queue)


def hyperpod_group(name: str, count: int = 2) -> InstanceGroup:
    return InstanceGroup(name=name, instance_type="trn2.48xlarge", count=count)


def test_groups_of_hyperpod_are_shared_like_any_pool() -> None:
    quota = TeamQuota(pool="trn2", devices=16)
    shared = TeamPlan(
        teams=(team(quotas=(quota,)),),
        namespaces=("training",),
        hyperpod_groups=(hyperpod_group("trn2"),),
    )
    made: Any = flavor(shared.supplies["trn2"], "llm-test")
    assert made["spec"] == {
        "nodeLabels": {"sagemaker.amazonaws.com/instance-group-name": "trn2"},
    }
    assert shared.supplies["trn2"].devices == 32
    assert shared.share(quota).cpu_millis == shared.supplies["trn2"].cpu_millis // 2


def test_of_several_types_the_least_counts() -> None:
    mixed = InstanceGroup(
        name="p5", instance_type="p5.48xlarge", fallback_types=("p5en.48xlarge",), count=3
    )
    least = min(row.allocatable().memory_mib for row in mixed.rows)
    assert supply_of_hyperpod(mixed).memory_mib == 3 * least


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("gpus", "A pool or group of [eks] and a group of [training] have this name"),
        ("Trn2", "Kueue names kinds of nodes in lower case"),
    ],
)
def test_a_group_of_hyperpod_that_kueue_cannot_tell_is_refused(group: str, said: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        TeamPlan(
            teams=(team(quotas=(TeamQuota(pool=group, devices=1),)),),
            pools=(GPUS,),
            namespaces=("training",),
            hyperpod_groups=(hyperpod_group(group),),
        )
    assert said in str(caught.value)
