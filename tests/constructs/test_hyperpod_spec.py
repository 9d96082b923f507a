"""Which HyperPod clusters, groups and training plans are refused, and with what remedy."""

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.hyperpod_regions import HYPERPOD_REGIONS, offered_regions
from llm_constructs.specs.hyperpod_site import HyperPodSite
from llm_constructs.specs.image_updates import ImageUpdates
from llm_constructs.specs.instance_group import DeepHealthCheck, InstanceGroup
from llm_constructs.specs.instance_type import CapacityOption, DeviceKind, SageMakerUse
from llm_constructs.specs.lifecycle import Lifecycle, SlurmAccount, UnixUser
from llm_constructs.specs.lifecycle_settings import NodeRole
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.region import REGIONS, Jurisdiction
from llm_constructs.specs.slurm import AccountingDatabase, SlurmSettings
from llm_constructs.specs.training_plan import TrainingPlan

ARN = "arn:aws:sagemaker:us-east-2:111111111111:training-plan/trn2"
SECRET = "arn:aws:secretsmanager:us-east-2:111111111111:secret:slurm-AbCdEf"
START = datetime(2027, 1, 11, 11, 30, tzinfo=UTC)


def group(**fields: Any) -> InstanceGroup:
    return InstanceGroup(**{"name": "trn2", "instance_type": "trn2.48xlarge", "count": 2, **fields})


def controller(**fields: Any) -> InstanceGroup:
    given_fields = {
        "name": "controller",
        "role": NodeRole.CONTROLLER,
        "instance_type": "m7i.2xlarge",
        "count": 1,
    }
    return InstanceGroup(**{**given_fields, **fields})


def plan(**fields: Any) -> TrainingPlan:
    return TrainingPlan(**{"arn": ARN, **fields})


def database(**fields: Any) -> AccountingDatabase:
    return AccountingDatabase(**{"endpoint": "db.internal", "secret_arn": SECRET, **fields})


def slurm(*groups: InstanceGroup, **fields: Any) -> HyperPod:
    return HyperPod(groups=(controller(), *(groups or (group(),))), **fields)


def eks(*groups: InstanceGroup, **fields: Any) -> HyperPod:
    return HyperPod(orchestrator=Orchestrator.EKS, groups=groups or (group(),), **fields)


def site(cluster: HyperPod | None = None, **fields: Any) -> HyperPodSite:
    around = {
        "account": "111111111111",
        "region": "us-east-2",
        "zones": ("us-east-2a", "us-east-2b"),
        "accelerator_zone": "us-east-2b",
        "kubernetes_version": "1.34",
        "has_file_system": True,
    }
    return HyperPodSite(cluster=cluster or slurm(), **{**around, **fields})


UPDATES = ImageUpdates(schedule="cron(0 3 ? * SUN *)")
USERS = Lifecycle(users=(UnixUser(name="ada", uid=2001),))
ACCOUNTS = Lifecycle(
    accounts=(SlurmAccount(name="research", description="research", organization="ml"),)
)

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    # Groups
    "a name with an underscore": (lambda: group(name="trn_2"), "1 to 63 letters, digits"),
    "a name of 64 characters": (lambda: group(name="a" * 64), "1 to 63 letters, digits"),
    "an unknown type": (lambda: group(instance_type="trn9.48xlarge"), "Choose a type of"),
    "trn2u": (lambda: group(instance_type="trn2u.48xlarge"), "Choose trn2.48xlarge"),
    "a type that HyperPod lacks": (
        lambda: group(instance_type="inf2.xlarge"),
        "HyperPod does not have this type. Choose from .*trn2.48xlarge",
    ),
    "a negative count": (lambda: group(count=-1), "0 to 6758 nodes"),
    "too many nodes": (lambda: group(count=6759), "Divide the nodes"),
    "a minimum above the count": (lambda: group(minimum=3), "between 0 and count, which is 2"),
    "a negative minimum": (lambda: group(minimum=-1), "between 0 and count"),
    "two controllers in a group": (lambda: controller(count=2), "one controller"),
    "no controller in its group": (lambda: controller(count=0), "one controller.*Give 1."),
    "a controller with accelerators": (
        lambda: controller(instance_type="p5.48xlarge"),
        "Choose a CPU type",
    ),
    "a partition of a controller": (
        lambda: controller(partition="all"),
        "belongs to no partition. Leave it out",
    ),
    "an illegal partition": (lambda: group(partition="trn 2"), "Give a name such as trn2."),
    "no volume": (lambda: group(volume_gb=0), "1 to 16384 GB"),
    "a volume too large": (lambda: group(volume_gb=16385), "1 to 16384 GB"),
    "three threads": (lambda: group(threads_per_core=3), "Give 1 or 2"),
    "two threads on Graviton": (
        lambda: group(instance_type="m7g.xlarge", threads_per_core=2),
        "run one thread each. Give 1",
    ),
    "health checks without devices": (
        lambda: group(instance_type="m7i.xlarge", deep_health_checks=("InstanceStress",)),
        "m7i.xlarge has none. Leave it out.",
    ),
    "connectivity without EFA": (
        lambda: group(instance_type="g5.xlarge", deep_health_checks=("InstanceConnectivity",)),
        "over EFA.*choose a larger size",
    ),
    "a check of the API alone": (
        lambda: group(deep_health_checks=("MultiNodeTrainingValidation",)),
        "exists in the API only. Choose from InstanceStress",
    ),
    "a check twice": (
        lambda: group(deep_health_checks=("InstanceStress", "InstanceStress")),
        "named twice",
    ),
    "an illegal release": (lambda: group(image_release="latest"), "Write it as 1.2.3."),
    "an illegal image": (lambda: group(ami_id="ami-xyz"), "Write it as ami-"),
    "an image and a release": (
        lambda: group(ami_id="ami-0123456789abcdef0", image_release="1.2.3"),
        "Leave ami_id or image_release out.",
    ),
    "updates of an image of one's own": (
        lambda: group(ami_id="ami-0123456789abcdef0", updates=UPDATES),
        "change ami_id instead",
    ),
    "a plan for a type without plans": (
        lambda: group(instance_type="g6e.48xlarge", training_plan=plan()),
        "not sold for g6e.48xlarge.*choose one of .*trn2.48xlarge",
    ),
    "UltraServers without a plan": (
        lambda: group(instance_type="p6e-gb200.36xlarge", count=9),
        "Buy a training plan",
    ),
    "half an UltraServer": (
        lambda: group(instance_type="p6e-gb200.36xlarge", count=10, training_plan=plan()),
        "Give a multiple of 9.",
    ),
    "more nodes than the plan": (
        lambda: group(count=3, training_plan=plan(nodes=2)),
        "The training plan has 2 instances.",
    ),
    "spot within a plan": (
        lambda: group(instance_type="p5.48xlarge", spot=True, training_plan=plan()),
        "never spot",
    ),
    "spot that is not sold": (lambda: group(spot=True), "trn2.48xlarge has no spot capacity"),
    "a type twice": (lambda: group(fallback_types=("trn2.48xlarge",)), "Name each type once."),
    "fallbacks of another kind": (
        lambda: group(fallback_types=("p5.48xlarge",)),
        "Make a group for each kind.",
    ),
    "fallbacks of another size": (
        lambda: group(instance_type="g6e.48xlarge", fallback_types=("g6e.12xlarge",)),
        "Make a group for each kind.",
    ),
    "fallbacks within a plan": (
        lambda: group(
            instance_type="p5.48xlarge", fallback_types=("p5en.48xlarge",), training_plan=plan()
        ),
        "instances of one type",
    ),
    "a region for a zone": (lambda: group(zone="us-east-2"), "Give a name such as us-east-2a"),
    # Updates
    "neither schedule nor patching": (ImageUpdates, "Give schedule or patching."),
    "schedule and patching": (
        lambda: ImageUpdates(schedule="cron(0 3 ? * SUN *)", patching="WhenIdle"),  # type: ignore[arg-type]
        "exactly one of them",
    ),
    "a rate": (lambda: ImageUpdates(schedule="rate(7 days)"), "Write it as cron"),
    "a cron list": (lambda: ImageUpdates(schedule="cron(0 3,4 ? * SUN *)"), "no lists"),
    "patching that drains": (
        lambda: ImageUpdates(patching="DrainFirst"),  # type: ignore[arg-type]
        "Choose from WhenIdle, WhenAllIdle.",
    ),
    "patching in batches": (
        lambda: ImageUpdates(patching="WhenIdle", batch_percent=50),  # type: ignore[arg-type]
        "or give a schedule",
    ),
    "an empty batch": (lambda: replace(UPDATES, batch_percent=0), "Give 1 to 100."),
    "a wait of hours": (lambda: replace(UPDATES, wait_seconds=7200), "Give 0 to 3600."),
    "eleven alarms": (
        lambda: replace(UPDATES, rollback_alarms=tuple("abcdefghijk")),
        "composite alarm",
    ),
    # Plans
    "a capacity block for a plan": (lambda: plan(arn="cr-0123456789abcdef0"), "eks.groups"),
    "a reserved capacity for a plan": (
        lambda: plan(arn="arn:aws:sagemaker:us-east-2:111111111111:reserved-capacity/x"),
        "list-training-plans",
    ),
    "nonsense for a plan": (lambda: plan(arn="trn2"), "Write it as arn:aws:sagemaker"),
    "a zone id": (lambda: plan(zone="use2-az1"), "not an id such as use2-az1"),
    "a zone of another region": (lambda: plan(zone="us-west-2a"), "Copy zone and ARN"),
    "a plan of nothing": (lambda: plan(nodes=0), "TotalInstanceCount"),
    "a time of no zone": (
        lambda: plan(end=datetime(2027, 1, 1)),
        "Write it as 2027-01-11T11:30:00Z.",
    ),
    "an end before the start": (lambda: plan(start=START, end=START), "Copy both times"),
    # Slurm
    "an unknown strategy": (
        lambda: SlurmSettings(strategy="Mine"),  # type: ignore[arg-type]
        "Choose from Managed, Merge, Overwrite.",
    ),
    "a strategy for the legacy file": (
        lambda: SlurmSettings(strategy="Merge", legacy_file=True),  # type: ignore[arg-type]
        "set legacy_file = false",
    ),
    "a database for the legacy file": (
        lambda: SlurmSettings(accounting=database(), legacy_file=True),
        "Set legacy_file = false",
    ),
    "a URL for a host": (lambda: database(endpoint="mysql://db"), "without a scheme"),
    "a name for a secret": (lambda: database(secret_arn="slurm"), "not the ARN of a secret"),
    "an alias for a key": (lambda: database(key_arn="alias/slurm"), "an alias says nothing"),
    "a hyphen in a schema": (lambda: database(name="slurm-acct"), r"letters, digits, \$ and _"),
    "port 0": (lambda: database(port=0), "MySQL's is 3306."),
    # Clusters
    "a cluster's name with an underscore": (lambda: slurm(name="llm_dev"), "Leave it out, or"),
    "no groups": (lambda: HyperPod(groups=()), "A cluster has 1 to 100 groups."),
    "101 groups": (
        lambda: eks(*(group(name=f"g{number}") for number in range(101))),
        "1 to 100 groups",
    ),
    "two groups of a name": (lambda: slurm(group(), group()), "Give each a name of its own."),
    "Slurm without a controller": (
        lambda: HyperPod(groups=(group(),)),
        'Give exactly one group role = "controller"',
    ),
    "Slurm with two controllers": (
        lambda: slurm(controller(name="second"), group()),
        "here are 2",
    ),
    "Slurm without compute": (
        lambda: HyperPod(groups=(controller(),)),
        'Add a group with role = "compute"',
    ),
    "Slurm with HyperPod's Karpenter": (lambda: slurm(auto_scaling=True), "auto_scaling = false"),
    "Slurm with tiered storage": (
        lambda: slurm(tiered_storage_percent=20),
        "write checkpoints to the file system",
    ),
    "Slurm with spot": (
        lambda: slurm(group(instance_type="p5.48xlarge", spot=True)),
        r"groups\.trn2\.spot",
    ),
    "Slurm with a release": (
        lambda: slurm(group(image_release="1.2.3")),
        r"groups\.trn2\.image_release",
    ),
    "Slurm with fallbacks": (
        lambda: slurm(group(instance_type="p5.48xlarge", fallback_types=("p5en.48xlarge",))),
        r"groups\.trn2\.fallback_types",
    ),
    "EKS with Slurm's settings": (lambda: eks(slurm=SlurmSettings()), r"Remove \[training.slurm\]"),
    "EKS with Slurm's accounts": (lambda: eks(lifecycle=ACCOUNTS), "They are Slurm's"),
    "EKS with a controller": (lambda: eks(group(), controller()), r"groups\.controller\.role"),
    "EKS with a partition": (lambda: eks(group(partition="a")), r"groups\.trn2\.partition"),
    "tiered storage of 101 %": (lambda: eks(tiered_storage_percent=101), "Give 1 to 100"),
    "tiered storage of nothing": (lambda: eks(tiered_storage_percent=0), "leave it out for none"),
    "a relative mount path": (lambda: slurm(mount_path="fsx"), "Write something like /fsx."),
    "a mount over HyperPod's files": (
        lambda: slurm(mount_path="/opt/sagemaker/fsx"),
        "keeps its own files there",
    ),
    "an odd retention": (
        lambda: slurm(log_retention_days=42),
        "The nearest is 30; all are 1, 3, 5",
    ),
    "two groups that share a plan of too few": (
        lambda: slurm(
            group(training_plan=plan(nodes=3)), group(name="more", training_plan=plan(nodes=3))
        ),
        "ask for 4 nodes together, and it has 3",
    ),
    "two types that share a plan": (
        lambda: slurm(
            group(training_plan=plan()),
            group(name="p5", instance_type="p5.48xlarge", training_plan=plan()),
        ),
        "Give each type a plan of its own.",
    ),
    # Sites
    "GovCloud": (
        lambda: site(region="us-gov-west-1", zones=("us-gov-west-1a",)),
        "GovCloud.* train on the EKS cluster's own nodes",
    ),
    "GovCloud all the same": (
        lambda: site(slurm(unlisted_region=True), region="us-gov-east-1"),
        "GovCloud",
    ),
    "a region without HyperPod": (lambda: site(region="ca-west-1"), "training.unlisted_region"),
    "Trainium2 in Oregon": (
        lambda: site(region="us-west-2"),
        "Known are us-east-2. If AWS sells",
    ),
    "EC2's region for Trainium2": (lambda: site(region="ap-south-2"), "no price for HyperPod"),
    "an unpriced type": (
        lambda: site(slurm(group(instance_type="p5e.48xlarge"))),
        "No region's prices have it.",
    ),
    "a zone without a subnet": (
        lambda: site(
            slurm(controller(name="login", role=NodeRole.LOGIN, zone="us-east-2c"), group())
        ),
        "no subnet in this zone. Choose one of us-east-2a, us-east-2b",
    ),
    "accelerators beside the file system's zone": (
        lambda: site(slurm(group(zone="us-east-2a"))),
        "The accelerator subnet lies in us-east-2b",
    ),
    "accelerators without their subnet": (
        lambda: site(accelerator_zone=None),
        "Set the network's accelerator_zone.",
    ),
    "a plan of another region": (
        lambda: site(slurm(group(training_plan=plan(arn=ARN.replace("us-east-2", "us-east-1"))))),
        "Buy capacity here",
    ),
    "a plan of another account": (
        lambda: site(slurm(group(training_plan=plan(arn=ARN.replace("1111", "2222"))))),
        "plans are not shared",
    ),
    "a plan of another zone": (
        lambda: site(slurm(group(training_plan=plan(zone="us-east-2a")))),
        "training-move-zone.md",
    ),
    "EKS without a cluster": (lambda: site(eks(), kubernetes_version=None), r"Add \[eks\]"),
    "Kubernetes that HyperPod does not list": (
        lambda: site(eks(), kubernetes_version="1.36"),
        "lists 1.28 to 1.34.*unlisted_kubernetes = true",
    ),
    "homes on no file system": (
        lambda: site(slurm(lifecycle=USERS), has_file_system=False),
        r"Add \[lustre\], or leave users out.",
    ),
    "homes beside the file system": (
        lambda: site(slurm(lifecycle=USERS, mount_path="/shared")),
        "Write /shared/home.",
    ),
    "a secret of another region": (
        lambda: site(
            slurm(
                slurm=SlurmSettings(
                    accounting=database(secret_arn=SECRET.replace("us-east-2", "us-east-1"))
                )
            )
        ),
        "Name a secret of the cluster's region.",
    ),
}
"""What is illegal, how it is tried, and what the refusal says."""


@pytest.mark.parametrize("case", REFUSED)
def test_what_hyperpod_refuses_is_refused_with_a_remedy(case: str) -> None:
    build, message = REFUSED[case]
    with pytest.raises(SpecificationError) as refused:
        build()
    told = str(refused.value)
    assert re.search(message, told), told
    for problem in refused.value.problems:
        assert problem.reason.endswith("."), problem
        assert problem.remedy.endswith("."), problem


def test_every_problem_of_a_group_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as refused:
        group(name="", count=-1, volume_gb=0, threads_per_core=4, zone="here")
    assert {problem.field for problem in refused.value.problems} == {
        *("name", "count", "volume_gb", "threads_per_core", "zone")
    }


def test_overrides_admit_what_the_lists_do_not_know() -> None:
    sold = group(instance_type="p5e.48xlarge", unlisted_region=True)
    assert site(slurm(sold)).cluster.groups[1] == sold
    assert site(slurm(sold, unlisted_region=True), region="ca-west-1").region == "ca-west-1"
    assert site(eks(unlisted_kubernetes=True), kubernetes_version="1.36").kubernetes_version


def test_checks_fit_the_type_unless_somebody_chooses() -> None:
    def checks(**fields: Any) -> tuple[DeepHealthCheck, ...]:
        return group(**fields).effective_deep_health_checks

    assert checks() == tuple(DeepHealthCheck)
    assert checks(instance_type="g5.xlarge") == (DeepHealthCheck.INSTANCE_STRESS,)
    assert checks(instance_type="m7i.xlarge") == ()
    assert checks(deep_health_checks=()) == ()


def test_a_node_that_is_alone_on_slurm_is_tested_alone() -> None:
    alone = group(count=1)
    assert slurm(alone).checks_on_start(alone) == (DeepHealthCheck.INSTANCE_STRESS,)
    assert slurm(group()).checks_on_start(group()) == tuple(DeepHealthCheck)
    assert eks(alone).checks_on_start(alone) == tuple(DeepHealthCheck)
    connected = group(count=1, deep_health_checks=("InstanceConnectivity",))
    assert eks(connected).checks_on_start(connected) == ("InstanceConnectivity",)
    with pytest.raises(SpecificationError, match="and this group has one"):
        slurm(connected)


def test_a_compute_group_is_a_partition_of_its_own_name() -> None:
    assert group().partitions == ("trn2",)
    assert group(partition="all").partitions == ("all",)
    assert controller().partitions == ()


def test_people_are_told_three_days_before_a_plan_ends() -> None:
    assert plan().notice_at is None
    assert plan(end=START).notice_at == START - timedelta(days=3)


def test_hyperpod_is_offered_exactly_where_prices_and_the_registry_say() -> None:
    data = files("cfnlint.data.schemas")
    prices = json.loads(
        (data / "extensions/aws_sagemaker_cluster/instancetype_enum.json").read_text("utf-8")
    )
    registry = {
        region
        for region in REGIONS
        if (source := data / f"providers/{region}.json").is_file()
        and "AWS::SageMaker::Cluster" in json.loads(source.read_text("utf-8"))
    }
    assert registry == HYPERPOD_REGIONS
    for row in INSTANCE_TYPES.values():
        if SageMakerUse.HYPERPOD in row.sagemaker_uses:
            known = {r for r in registry if f"ml.{row.name}" in prices[r]["enum"]}
            assert offered_regions(row) == known, row.name


ROWS = [row for row in INSTANCE_TYPES.values() if SageMakerUse.HYPERPOD in row.sagemaker_uses]


@given(
    row=st.sampled_from(ROWS),
    count=st.integers(0, 40),
    minimum=st.none() | st.integers(0, 40),
    planned=st.booleans(),
    spot=st.booleans(),
    threads=st.sampled_from([None, 1, 2]),
    checks=st.none() | st.lists(st.sampled_from(DeepHealthCheck), unique=True),
)
def test_what_is_accepted_can_be_made(
    row: Any,
    count: int,
    minimum: int | None,
    planned: bool,
    spot: bool,
    threads: int | None,
    checks: list[DeepHealthCheck] | None,
) -> None:
    try:
        made = group(
            instance_type=row.name,
            count=count,
            minimum=minimum,
            training_plan=plan() if planned else None,
            spot=spot,
            threads_per_core=threads,
            deep_health_checks=None if checks is None else tuple(checks),
        )
    except SpecificationError:
        return
    assert made.minimum is None or made.minimum <= made.count
    assert not planned or CapacityOption.TRAINING_PLAN in row.capacity_options
    assert planned or row.has_on_demand_price
    assert not (spot and planned)
    effective = made.effective_deep_health_checks
    assert not effective or row.device_kind is not DeviceKind.NONE
    assert DeepHealthCheck.INSTANCE_CONNECTIVITY not in effective or made.has_efa
    assert made.count % min(row.ultraserver_sizes, default=1) == 0


@given(row=st.sampled_from(ROWS), region=st.sampled_from(sorted(REGIONS)))
def test_a_site_is_refused_exactly_where_nodes_are_not_sold(row: Any, region: str) -> None:
    if not row.has_on_demand_price:
        return
    cluster = eks(group(instance_type=row.name, count=9))
    zone = f"{region}a"
    fits = region in HYPERPOD_REGIONS and region in offered_regions(row)
    with nullcontext() if fits else pytest.raises(SpecificationError):
        site(cluster, region=region, zones=(zone,), accelerator_zone=zone)
    assert not (fits and REGIONS[region] is Jurisdiction.US_GOV)


@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=4), nodes=st.integers(1, 12))
def test_groups_never_ask_a_plan_for_more_than_it_has(counts: list[int], nodes: int) -> None:
    fits = sum(counts) <= nodes
    with nullcontext() if fits else pytest.raises(SpecificationError):
        slurm(
            *(
                group(name=f"g{number}", count=count, training_plan=plan(nodes=nodes))
                for number, count in enumerate(counts)
            )
        )


def test_a_file_is_read_into_the_same_value_and_refused_in_the_same_words() -> None:
    table = {
        "groups": [
            {
                "name": "controller",
                "role": "controller",
                "instance_type": "m7i.2xlarge",
                "count": 1,
            },
            {"name": "trn2", "instance_type": "trn2.48xlarge", "count": 2},
        ]
    }
    assert TypeAdapter(HyperPod).validate_python(table) == slurm()
    with pytest.raises(ValidationError, match='Add a group with role = "compute"'):
        TypeAdapter(HyperPod).validate_python({"groups": table["groups"][:1]})
