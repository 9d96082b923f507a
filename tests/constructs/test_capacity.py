"""Which nodes are refused and why, and when nodes of a Capacity Block run."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.capacity import (
    ClusterCapacity,
    ComputeProfile,
    KarpenterPool,
    ReservedNodeGroup,
    SystemNodes,
)
from llm_constructs.specs.capacity_block import (
    RECLAIM_NOTICE,
    ULTRASERVER_RECLAIM_NOTICE,
    BlockSchedule,
    CapacityBlock,
)
from llm_constructs.specs.instance_type import AmiType, CapacityOption, DeviceKind
from llm_constructs.specs.karpenter_pool import CapacityType, Consolidation, Workload
from llm_constructs.specs.node_location import zone_region
from llm_constructs.specs.problem import Problem, SpecificationError

START = datetime(2026, 12, 1, 11, 30, tzinfo=UTC)
END = START + timedelta(days=7)
RESERVATION = "cr-0123456789abcdef0"
GROUP_ARN = "arn:aws:resource-groups:us-east-2:111111111111:group/p5"
PLAN_ARN = "arn:aws:sagemaker:us-east-2:111111111111:training-plan/p5"
ULTRASERVER: dict[str, Any] = {
    "instance_type": "p6e-gb200.36xlarge",
    "nodes": 18,
    "zone": "us-east-1-dfw-2a",
    "efa": False,
    "unlisted_region": True,
}
ODCR: dict[str, Any] = {"capacity_block": None, "reservation_group_arn": GROUP_ARN}
CPU: dict[str, Any] = {
    "instance_types": (),
    "instance_families": ("c6i",),
    "max_devices": None,
    "max_vcpus": 64,
}
RESERVED: dict[str, Any] = {
    "capacity_types": (CapacityType.RESERVED,),
    "reservation_ids": (RESERVATION,),
}
EFA_POOL: dict[str, Any] = {
    "instance_types": ("g6e.48xlarge",),
    "zones": ("us-east-2a",),
    "max_devices": 64,
}
BOTTLEROCKET: dict[str, Any] = {
    "ami_type": AmiType.BOTTLEROCKET_X86_64_NVIDIA,
    "ami_release": "1.50.0-1a2b3c4d",
}


def block(**fields: Any) -> CapacityBlock:
    return CapacityBlock(
        **{"reservation_id": RESERVATION, "start": START, "end": END, **fields},
    )


def group(**fields: Any) -> ReservedNodeGroup:
    return ReservedNodeGroup(
        **{
            "name": "p5",
            "instance_type": "p5.48xlarge",
            "nodes": 4,
            "zone": "us-east-2a",
            "ami_release": "1.36.2-20261110",
            "capacity_block": block(),
            **fields,
        }
    )


def pool(**fields: Any) -> KarpenterPool:
    return KarpenterPool(
        **{
            "name": "serving",
            "instance_types": ("g6e.xlarge", "g6e.2xlarge"),
            "max_devices": 8,
            "ami_version": "v20261110",
            **fields,
        }
    )


def system(**fields: Any) -> SystemNodes:
    return SystemNodes(**fields)


def cluster(**fields: Any) -> ClusterCapacity:
    return ClusterCapacity(
        **{
            "region": "us-east-2",
            "zones": ("us-east-2a", "us-east-2b"),
            "accelerator_zone": "us-east-2a",
            "system_nodes": SystemNodes(),
            **fields,
        }
    )


def auto(**fields: Any) -> ClusterCapacity:
    return cluster(**{"profile": ComputeProfile.AUTO_MODE, "system_nodes": None, **fields})


Make = Callable[..., object]

REFUSALS: dict[str, tuple[Make, dict[str, Any], str]] = {
    # Capacity Blocks
    "the id of a block for that of its reservation": (
        block,
        {"reservation_id": "cb-0123456789abcdef0"},
        "reservation_id = .* Give the block's cr- id",
    ),
    "a training plan for EC2 capacity": (
        block,
        {"reservation_id": PLAN_ARN},
        "Use it for HyperPod, or buy a Capacity Block",
    ),
    "something else for a reservation": (
        block,
        {"reservation_id": "p5"},
        "not the id of a capacity reservation",
    ),
    "a start without an offset": (
        block,
        {"start": START.replace(tzinfo=None)},
        "start = '2026-12-01T11:30:00': .* as in 2026-12-01T11:30:00Z",
    ),
    "a block that ends before it starts": (block, {"end": START}, "the two are not swapped"),
    # System nodes
    "accelerators for controllers": (
        system,
        {"instance_type": "g6.xlarge"},
        "Choose a CPU type such as m7g.large",
    ),
    "an unknown type for system nodes": (
        system,
        {"instance_type": "t3.large"},
        "no such family.*Choose a type of",
    ),
    "fewer system nodes at most than at least": (
        system,
        {"minimum": 5},
        "minimum = 5: .* Lower it, or raise maximum",
    ),
    "more system nodes than a group has": (system, {"maximum": 500}, "nodes that Karpenter brings"),
    "a root volume too small for the controllers": (
        system,
        {"volume_gib": 8},
        "need at least 20 GiB. Raise it",
    ),
    "a GPU image on CPU nodes": (
        system,
        {"instance_type": "m7i.large", "ami_type": AmiType.AL2023_X86_64_NVIDIA},
        "nvidia driver finds no device on m7i.large.*Choose AL2023_x86_64_STANDARD",
    ),
    "a release that is no release": (
        system,
        {"ami_release": "latest"},
        "does not pin one release.*Give a release such as",
    ),
    # Reserved groups: image
    "an Arm image on x86": (
        group,
        {"ami_type": AmiType.AL2023_ARM_64_NVIDIA},
        "arm64 image, and p5.48xlarge has amd64.*Choose AL2023_x86_64_NVIDIA",
    ),
    "an image without a driver": (
        group,
        {"ami_type": AmiType.AL2023_X86_64},
        "no driver for the nvidia devices of p5.48xlarge",
    ),
    "a Neuron image on GPUs": (
        group,
        {"instance_type": "p5en.48xlarge", "ami_type": AmiType.AL2023_X86_64_NEURON},
        "no driver for the nvidia devices of p5en.48xlarge",
    ),
    "a GPU image on Trainium": (
        group,
        {"instance_type": "trn2.48xlarge", "ami_type": AmiType.AL2023_X86_64_NVIDIA},
        "no driver for the neuron devices.*Choose AL2023_x86_64_NEURON",
    ),
    "Bottlerocket on Trainium": (
        group,
        {
            "instance_type": "trn1.32xlarge",
            "zone": "us-west-2b",
            **BOTTLEROCKET,
            "ami_type": AmiType.BOTTLEROCKET_X86_64,
        },
        "no driver for the neuron devices of trn1.32xlarge",
    ),
    "parallel pulls to disks that stay apart": (
        group,
        {"fast_image_pull": True, "raid0": False},
        "root volume, which is too slow for it",
    ),
    "parallel pulls on Bottlerocket": (
        group,
        {**BOTTLEROCKET, "fast_image_pull": True},
        "fast_image_pull .* join them",
    ),
    "Amazon Linux 2": (group, {"ami_type": "AL2_x86_64_GPU"}, "Choose its AL2023 counterpart"),
    "an image of one's own": (group, {"ami_type": "CUSTOM"}, "EKS does not patch it"),
    "Windows": (group, {"ami_type": "WINDOWS_CORE_2022_x86_64"}, "runs on Windows"),
    "an image for another standard": (
        group,
        {**BOTTLEROCKET, "ami_type": "BOTTLEROCKET_x86_64_FIPS"},
        "builds on no such image.*Choose from AL2023",
    ),
    "an image that is not pinned": (
        group,
        {"ami_release": "1.36"},
        "ami_release = '1.36': .* Give a release such as",
    ),
    "a release of Amazon Linux for Bottlerocket": (
        group,
        {"ami_type": "BOTTLEROCKET_x86_64_NVIDIA"},
        "ami_release = '1.36.2-20261110': .* Give a version of Bottlerocket with its commit",
    ),
    "a release of Bottlerocket for Amazon Linux": (
        group,
        {"ami_release": "1.50.0-1a2b3c4d"},
        "ami_release = '1.50.0-1a2b3c4d': .* Give a release such as 1.36",
    ),
    "joined disks on Bottlerocket": (
        group,
        {**BOTTLEROCKET, "raid0": True},
        "Only Amazon Linux takes the NodeConfig",
    ),
    "joined disks without disks": (
        group,
        {**ODCR, "instance_type": "inf2.48xlarge", "efa": False, "raid0": True},
        "inf2.48xlarge has no local disks",
    ),
    "a root volume too small for accelerator software": (
        group,
        {"volume_gib": 50},
        "at least 100 GiB. Raise it, even",
    ),
    # Reserved groups: type and place
    "a size that does not exist": (
        group,
        {"instance_type": "p5.24xlarge"},
        "Choose from p5.4xlarge, p5.48xlarge",
    ),
    "a GPU that the images have no driver for": (
        group,
        {"instance_type": "g7e.48xlarge"},
        "needs NVIDIA driver 595.*Choose g6e",
    ),
    "a fraction of a GPU": (
        group,
        {"instance_type": "g6f.large"},
        "fraction of a GPU.*share its GPU",
    ),
    "a type that nobody sells yet": (
        group,
        {"instance_type": "trn2u.48xlarge"},
        "Choose trn2.48xlarge",
    ),
    "reserved CPU capacity": (
        group,
        {**ODCR, "instance_type": "c6i.xlarge", "efa": False},
        "CPU capacity needs no reservation.*use a Karpenter pool",
    ),
    "a region without the type": (
        group,
        {"instance_type": "trn2.48xlarge", "zone": "us-west-2a"},
        "does not know it in us-west-2.*Known are ap-south-2, us-east-2.*unlisted_region",
    ),
    "a region for a type without prices": (
        group,
        {**ULTRASERVER, "unlisted_region": False},
        "no price in any region: ask AWS",
    ),
    "a zone's id for its name": (group, {"zone": "use2-az1"}, "not an id such as use2-az1"),
    "a name that Kubernetes refuses": (group, {"name": "P5_Train"}, "such as p5-training"),
    "no node": (group, {"nodes": 0}, "outside its block it scales to 0"),
    "more nodes than a block has": (group, {"nodes": 65}, "Make one group for each block"),
    "more nodes than a group has": (
        group,
        {**ODCR, "nodes": 451},
        "Split it into several groups",
    ),
    "part of an UltraServer": (
        group,
        {**ULTRASERVER, "nodes": 10},
        "whole UltraServers of 9 or 18 instances.*Give a multiple of 9",
    ),
    # Reserved groups: capacity
    "no capacity": (group, {"capacity_block": None}, "Give capacity_block or reservation_group"),
    "a block and a reservation": (
        group,
        {"reservation_group_arn": GROUP_ARN},
        "capacity_block = 'cr-.*on exactly one of them",
    ),
    "a block for a type without blocks": (
        group,
        {"instance_type": "g6e.48xlarge"},
        "not sold for g6e.48xlarge.*a type that has blocks: p4d.24xlarge",
    ),
    "a reservation for a type that only has blocks": (
        group,
        {
            **ULTRASERVER,
            "capacity_block": None,
            "reservation_group_arn": GROUP_ARN.replace("us-east-2", "us-east-1"),
        },
        "no on-demand capacity that could be reserved",
    ),
    "a reservation for its resource group": (
        group,
        {"capacity_block": None, "reservation_group_arn": RESERVATION},
        "Put the reservation into a resource group",
    ),
    "a training plan for a resource group": (
        group,
        {"capacity_block": None, "reservation_group_arn": PLAN_ARN},
        "reserve EC2 capacity for this node group",
    ),
    "another ARN for a resource group": (
        group,
        {"capacity_block": None, "reservation_group_arn": "arn:aws:s3:::bucket"},
        "Write it as arn:aws:resource-groups",
    ),
    "a resource group of another region": (
        group,
        {**ODCR, "zone": "us-west-2a"},
        "group lies in us-east-2, and the zone in us-west-2",
    ),
    "a placement group on reserved capacity": (
        group,
        {"placement_group": True},
        "InsufficientInstanceCapacity.*blocks lie in one UltraCluster",
    ),
    "EFA on a type without it": (
        group,
        {**ODCR, "instance_type": "inf2.48xlarge"},
        "inf2.48xlarge has no EFA. Set efa = false",
    ),
    "EFA on a size without it": (
        group,
        {**ODCR, "instance_type": "g6e.4xlarge"},
        "or choose g6e.8xlarge or g6e.12xlarge",
    ),
    "EFA of an unknown layout": (
        group,
        {**ULTRASERVER, "efa": True},
        "layout of EFA interfaces of p6e-gb200.36xlarge is not published",
    ),
    "a drain longer than the block": (
        group,
        {"drain_minutes": 8 * 24 * 60},
        "No time is left in the block.*Drain for a shorter time",
    ),
    "a drain after the end": (group, {"drain_minutes": -1}, "after EC2 has taken their nodes"),
    # Karpenter pools
    "a pool of any type": (
        pool,
        {"instance_types": ()},
        "Name instance_types or instance_families",
    ),
    "a pool of an unknown type": (pool, {"instance_types": ("g6e.metal",)}, "no such size"),
    "a pool of an unknown family": (
        pool,
        {"instance_types": (), "instance_families": ("g4dn",)},
        "instance_families = 'g4dn': .*no such family",
    ),
    "a family and one of its sizes": (
        pool,
        {"instance_families": ("g6e",)},
        "Types of g6e are named, and the whole family",
    ),
    "GPUs and Neuron devices in a pool": (
        pool,
        {"instance_types": ("g6e.xlarge", "inf2.xlarge")},
        r"different devices \(neuron, nvidia\).*Make a pool for each",
    ),
    "UltraServers from Karpenter": (
        pool,
        {
            **RESERVED,
            "instance_types": ("p6e-gb200.36xlarge",),
        },
        "dynamic resource allocation.*reserved node group",
    ),
    "no capacity type": (pool, {"capacity_types": ()}, "Name reserved, spot or on-demand"),
    "on-demand before spot": (
        pool,
        {"capacity_types": (CapacityType.ON_DEMAND, CapacityType.SPOT)},
        r"takes no other order. Write \['spot', 'on-demand'\]",
    ),
    "spot of a type that has none": (
        pool,
        {"instance_types": ("p6-b200.48xlarge",)},
        "No spot capacity is known for p6-b200.48xlarge. Leave spot out",
    ),
    "reserved capacity without a reservation": (
        pool,
        {"capacity_types": (CapacityType.RESERVED,)},
        "no reservation is named.*take reserved out",
    ),
    "a reservation that is never used": (
        pool,
        {"reservation_ids": (RESERVATION,)},
        "Add reserved as the first",
    ),
    "a placement group and reservations in a pool": (
        pool,
        {**RESERVED, "placement_group": True, "zones": ("us-east-2a",)},
        "InsufficientInstanceCapacity.*reservations carry a group",
    ),
    "a placement group across zones": (
        pool,
        {"placement_group": True, "zones": ("us-east-2a", "us-east-2b")},
        "the pool may use 2 zones",
    ),
    "EFA across zones": (
        pool,
        {**EFA_POOL, "efa": True, "zones": ()},
        "the pool may use all zones",
    ),
    "EFA in a pool of a type without it": (
        pool,
        {**EFA_POOL, "efa": True, "instance_types": ("g6e.4xlarge", "g6e.8xlarge")},
        "g6e.4xlarge has no EFA. Leave the types out",
    ),
    "EFA of two layouts in a pool": (
        pool,
        {**EFA_POOL, "efa": True, "instance_types": ("g6e.24xlarge", "g6e.48xlarge")},
        "different network cards.*Make a pool for each: g6e.24xlarge; g6e.48xlarge",
    ),
    "a zone that is a region": (pool, {"zones": ("us-east-2",)}, "not a region"),
    "a zone twice": (pool, {"zones": ("us-east-2a", "us-east-2a")}, "Name each once"),
    "accelerators without a limit": (
        pool,
        {"max_devices": None},
        "max_devices = None: .*launch nodes without end",
    ),
    "CPU nodes without a limit": (
        pool,
        {**CPU, "max_vcpus": None},
        "Give the most vCPUs that may run",
    ),
    "a limit below one node": (
        pool,
        {"instance_types": ("g6e.48xlarge",), "max_devices": 4},
        "no node could ever be launched. Allow at least 8",
    ),
    "devices of CPU nodes": (pool, {**CPU, "max_devices": 8}, "CPU types have no devices"),
    "moving running training": (
        pool,
        {
            "workload": Workload.TRAINING,
            "consolidation": Consolidation.WHEN_EMPTY_OR_UNDERUTILIZED,
        },
        "Choose WhenEmpty for training",
    ),
    "training on nodes that expire": (
        pool,
        {"workload": Workload.TRAINING, "expire_after_hours": 72},
        "takes its running training with it",
    ),
    "nodes that expire at once": (pool, {"expire_after_hours": 0}, "expire as they start"),
    "a negative wait": (pool, {"consolidate_after_minutes": -1}, "Give 0 for at once"),
    "an image of a pool that is not pinned": (
        pool,
        {"ami_version": "latest"},
        "a new one would replace every node at once",
    ),
    "a weight that Karpenter does not have": (pool, {"weight": 0}, "weights from 1 to 100"),
    "a root volume too small for a pool": (pool, {"volume_gib": 20}, "at least 100 GiB. Raise it"),
    # The cluster as a whole
    "an unknown region": (
        cluster,
        {"region": "us-east-9", "zones": (), "system_nodes": None, "profile": "auto-mode"},
        "not a region that the platform knows",
    ),
    "system nodes that the region does not have": (
        cluster,
        {"region": "eu-south-1", "zones": ("eu-south-1a",), "accelerator_zone": None},
        "system_nodes.instance_type = 'm7g.large': .*does not know it in eu-south-1",
    ),
    "a name given twice": (
        cluster,
        {"pools": (pool(name="p5"),), "groups": (group(),)},
        "Give each a name of its own",
    ),
    "a reservation given twice": (
        cluster,
        {"groups": (group(), group(name="second"))},
        "Give the reservation to one of them",
    ),
    "Karpenter without system nodes": (
        cluster,
        {"system_nodes": None},
        "cannot run on the nodes that it brings itself",
    ),
    "a group in a zone without a subnet": (
        cluster,
        {"groups": (group(zone="us-east-2c"),)},
        "groups.p5.zone = 'us-east-2c': .*no subnet in this zone",
    ),
    "a group in another region": (
        cluster,
        {"groups": (group(zone="us-west-2a"),)},
        "lies in us-west-2, and the cluster in us-east-2",
    ),
    "a group beside the accelerator subnet": (
        cluster,
        {"groups": (group(zone="us-east-2b"),)},
        "accelerator subnet lies in us-east-2a. Reserve capacity there",
    ),
    "a group without an accelerator subnet": (
        cluster,
        {"accelerator_zone": None, "groups": (group(),)},
        "Set the network's accelerator_zone to this zone",
    ),
    "a pool's type that the region does not have": (
        cluster,
        {"pools": (pool(instance_types=("p4de.24xlarge",)),)},
        "pools.serving.instance_types = 'p4de.24xlarge': .*does not know it in us-east-2",
    ),
    "a pool's family that the region does not have": (
        cluster,
        {
            "region": "eu-west-1",
            "zones": ("eu-west-1a",),
            "accelerator_zone": None,
            "pools": (pool(instance_types=(), instance_families=("g6e",)),),
        },
        "pools.serving.instance_families = 'g6e': .*Known are ap-northeast-1",
    ),
    "a pool with an image that nobody chose": (
        cluster,
        {"pools": (pool(ami_version=None),)},
        "a driver that nobody tested. Pin one",
    ),
    "system nodes with Auto Mode": (
        auto,
        {"system_nodes": SystemNodes()},
        "runs the cluster's controllers outside",
    ),
    "reserved groups with Auto Mode": (
        auto,
        {"groups": (group(),)},
        "no CNI and device plugins of its own.*name the reservation in a pool",
    ),
    "EFA with Auto Mode": (
        auto,
        {"pools": (pool(**EFA_POOL, efa=True, ami_version=None),)},
        "NCCL would fall back to TCP",
    ),
    "placement groups with Auto Mode": (
        auto,
        {"pools": (pool(**EFA_POOL, placement_group=True, ami_version=None),)},
        "knows no placement groups",
    ),
    "a chosen image with Auto Mode": (
        auto,
        {"pools": (pool(),)},
        "chooses the image and its driver",
    ),
    "nodes that outlive Auto Mode": (
        auto,
        {"pools": (pool(ami_version=None, expire_after_hours=720),)},
        "after 504 hours at most",
    ),
}


def refusal(make: Make, fields: dict[str, Any]) -> tuple[Problem, ...]:
    with pytest.raises(SpecificationError) as refused:
        make(**fields)
    return refused.value.problems


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_for_one_reason_with_a_remedy(name: str) -> None:
    make, fields, message = REFUSALS[name]
    (problem,) = refusal(make, fields)
    assert re.search(message, str(problem)), str(problem)
    assert problem.reason.endswith(".")
    assert problem.remedy.endswith(".")


def test_far_more_than_forty_combinations_are_refused_in_words_of_their_own() -> None:
    sentences = {
        (problem.reason, problem.remedy)
        for make, fields, _ in REFUSALS.values()
        for problem in refusal(make, fields)
    }
    assert len(sentences) > 85


def test_everything_that_is_wrong_is_told_at_once() -> None:
    problems = refusal(
        group,
        {
            "instance_type": "g6e.4xlarge",
            "zone": "us-east-2",
            "placement_group": True,
            "nodes": 0,
            "ami_type": AmiType.AL2023_ARM_64,
        },
    )
    assert sorted(problem.field for problem in problems) == [
        "ami_type",
        "ami_type",
        "capacity_block",
        "efa",
        "nodes",
        "placement_group",
        "zone",
    ]


def test_a_group_on_a_block_starts_empty_and_can_grow_to_its_block() -> None:
    made = group()
    assert (made.desired_nodes, made.nodes) == (0, 4)
    assert made.schedule
    assert [size.desired for size in made.schedule.sizes()] == [4, 0]


def test_a_group_on_reservations_runs_from_the_start_without_an_end() -> None:
    made = group(**ODCR)
    assert (made.desired_nodes, made.schedule) == (4, None)


def test_a_group_derives_its_nodes_from_the_catalogue() -> None:
    made = group(instance_type="trn2.48xlarge")
    assert made.effective_ami_type == AmiType.AL2023_X86_64_NEURON
    assert made.joins_disks
    assert len(made.network_interfaces()) == 17
    assert [taint.key for taint in made.taints()] == ["aws.amazon.com/neuron"]
    assert "vpc.amazonaws.com/efa.present" in made.labels()


def test_disks_are_joined_where_there_are_disks_and_amazon_linux() -> None:
    assert not group(**BOTTLEROCKET).joins_disks
    assert not group(**ODCR, instance_type="inf2.48xlarge", efa=False).joins_disks
    assert not group(raid0=False).joins_disks
    assert pool().joins_disks
    assert not pool(**CPU).joins_disks


def test_an_ultraserver_runs_in_a_local_zone_of_its_region() -> None:
    made = group(**ULTRASERVER)
    assert made.effective_ami_type == AmiType.AL2023_ARM_64_NVIDIA
    assert made.schedule
    assert made.schedule.reclaimed_at == END - timedelta(hours=1)


def test_a_pool_derives_its_nodes_from_the_catalogue() -> None:
    made = pool(**EFA_POOL, efa=True)
    assert made.device_kind is DeviceKind.NVIDIA
    assert len(made.network_interfaces()) == 5
    assert [taint.key for taint in made.taints()] == ["nvidia.com/gpu"]
    assert "vpc.amazonaws.com/efa.present" in made.labels()
    assert "vpc.amazonaws.com/efa.present" not in pool().labels()


def test_a_pool_of_a_family_has_all_of_its_sizes_and_no_other() -> None:
    made = pool(instance_types=("g6.xlarge",), instance_families=("g6e",))
    assert {row.family for row in made.rows} == {"g6", "g6e"}
    assert len(made.rows) == 9


def test_a_pool_can_mix_processors_but_not_devices() -> None:
    made = pool(**{**CPU, "instance_families": ("m7g", "m7i")})
    assert {row.architecture for row in made.rows} == {"amd64", "arm64"}


def test_system_nodes_get_the_image_for_their_processors() -> None:
    assert SystemNodes().effective_ami_type == AmiType.AL2023_ARM_64
    assert SystemNodes(instance_type="m7i.large").effective_ami_type == AmiType.AL2023_X86_64
    chosen = SystemNodes(ami_type=AmiType.BOTTLEROCKET_ARM_64)
    assert chosen.effective_ami_type == AmiType.BOTTLEROCKET_ARM_64


def test_a_whole_cluster_fits_together() -> None:
    made = cluster(
        pools=(
            pool(),
            pool(name="cpu", **CPU),
            pool(name="reserved", **{**RESERVED, "reservation_ids": ("cr-aaaaaaaa",)}),
            pool(name="fast", **EFA_POOL, efa=True, placement_group=True),
        ),
        groups=(group(), group(name="odcr", **ODCR)),
    )
    assert len(made.pools) + len(made.groups) == 6


def test_values_that_were_not_read_from_a_file_are_held_to_the_same_rules() -> None:
    (problem,) = refusal(pool, {"workload": "training", "expire_after_hours": 72})
    assert problem.field == "expire_after_hours"
    assert cluster(profile="karpenter", pools=(pool(consolidation="WhenEmpty"),))


def test_auto_mode_takes_pools_without_what_it_cannot_do() -> None:
    made = auto(pools=(pool(ami_version=None, **RESERVED, expire_after_hours=504),))
    assert made.pools[0].reservation_ids == (RESERVATION,)


def test_a_type_beyond_the_catalogues_regions_can_be_insisted_on() -> None:
    assert group(instance_type="trn2.48xlarge", zone="us-west-2a", unlisted_region=True)
    insisted = pool(instance_types=("p4de.24xlarge",), unlisted_region=True)
    assert cluster(pools=(insisted,)).pools == (insisted,)


@pytest.mark.parametrize(
    ("zone", "region"),
    [
        ("us-east-2a", "us-east-2"),
        ("us-gov-west-1b", "us-gov-west-1"),
        ("ap-southeast-5c", "ap-southeast-5"),
        ("us-east-1-dfw-2a", "us-east-1"),
        ("us-east-2", None),
        ("use2-az1", None),
        ("", None),
    ],
)
def test_the_region_of_a_zone_is_in_its_name(zone: str, region: str | None) -> None:
    assert zone_region(zone) == region


def test_a_configuration_file_is_read_into_the_same_value() -> None:
    read = TypeAdapter(ReservedNodeGroup).validate_python(
        {
            "name": "p5",
            "instance_type": "p5.48xlarge",
            "nodes": 4,
            "zone": "us-east-2a",
            "ami_release": "1.36.2-20261110",
            "capacity_block": {
                "reservation_id": RESERVATION,
                "start": "2026-12-01T11:30:00Z",
                "end": END,
            },
        }
    )
    assert read == group()


def test_a_configuration_file_is_refused_in_the_same_words() -> None:
    with pytest.raises(ValidationError, match="Give the most devices"):
        TypeAdapter(KarpenterPool).validate_python({"name": "g", "instance_types": ["g6.xlarge"]})


every_ami = st.sampled_from(AmiType)
accelerated = st.sampled_from([row.name for row in INSTANCE_TYPES.values() if row.accelerator])


@given(name=accelerated, ami=every_ami)
def test_an_image_is_accepted_exactly_if_processor_and_driver_fit(name: str, ami: AmiType) -> None:
    row = INSTANCE_TYPES[name]
    fits = (ami.architecture, ami.device_kind) == (row.architecture, row.device_kind)
    try:
        group(instance_type=name, ami_type=ami)
    except SpecificationError as refused:
        problems = [problem for problem in refused.problems if problem.field == "ami_type"]
        assert bool(problems) != fits
        assert all(row.ami_type in problem.remedy for problem in problems)
    else:
        assert fits


@given(
    name=accelerated,
    on_block=st.booleans(),
    efa=st.booleans(),
    placement=st.booleans(),
    nodes=st.sampled_from([1, 9, 18, 27, 64, 65]),
)
def test_what_is_accepted_is_sold_and_can_be_launched(
    name: str, on_block: bool, efa: bool, placement: bool, nodes: int
) -> None:
    row = INSTANCE_TYPES[name]
    option = CapacityOption.CAPACITY_BLOCK if on_block else CapacityOption.CAPACITY_RESERVATION
    possible = (
        option in row.capacity_options
        and not placement
        and (row.efa is not None or not efa)
        and (nodes <= 64 or not on_block)
        and (not row.ultraserver_sizes or nodes % 9 == 0)
    )
    fields = {
        **({} if on_block else ODCR),
        "instance_type": name,
        "efa": efa,
        "placement_group": placement,
        "nodes": nodes,
        "unlisted_region": True,
    }
    if possible:
        assert len(group(**fields).network_interfaces()) == (
            1 + row.efa.interfaces if efa and row.efa else 0
        )
    else:
        assert refusal(group, fields)


moments = st.datetimes(
    min_value=datetime(2026, 1, 1),
    max_value=datetime(2030, 1, 1),
    timezones=st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)
lengths = st.timedeltas(min_value=timedelta(days=1), max_value=timedelta(days=182))
drains = st.integers(0, 12 * 60).map(lambda minutes: timedelta(minutes=minutes))


@st.composite
def schedules(draw: st.DrawFn) -> BlockSchedule:
    start = draw(moments)
    bought = block(start=start, end=start + draw(lengths))
    return BlockSchedule(bought, draw(st.integers(1, 64)), draw(st.booleans()), draw(drains))


@given(schedule=schedules())
def test_nodes_come_only_when_the_block_has_started(schedule: BlockSchedule) -> None:
    up, _ = schedule.sizes()
    assert timedelta(0) <= up.at - schedule.block.start < timedelta(minutes=1)
    assert schedule.desired_at(schedule.block.start - timedelta(microseconds=1)) == 0
    assert schedule.desired_at(up.at) == schedule.nodes


@given(schedule=schedules())
def test_nodes_of_a_block_that_has_begun_come_at_once_and_leave_in_time(
    schedule: BlockSchedule,
) -> None:
    begun = replace(schedule, block=replace(schedule.block, begun=True))
    assert begun.first_size == schedule.nodes
    assert begun.sizes() == schedule.sizes()[1:]
    assert begun.desired_at(schedule.scale_down_at) == 0
    assert begun.desired_at(schedule.scale_down_at - timedelta(minutes=1)) == schedule.nodes


@given(schedule=schedules())
def test_nodes_have_drained_before_ec2_reclaims_them(schedule: BlockSchedule) -> None:
    notice = ULTRASERVER_RECLAIM_NOTICE if schedule.ultraserver else RECLAIM_NOTICE
    _, down = schedule.sizes()
    spare = schedule.block.end - down.at - notice - schedule.drain
    assert timedelta(0) <= spare < timedelta(minutes=1)
    assert schedule.desired_at(down.at) == 0
    assert schedule.desired_at(schedule.block.end) == 0


@given(schedule=schedules(), share=st.floats(0, 1, exclude_max=True))
def test_all_nodes_run_at_every_moment_in_between(schedule: BlockSchedule, share: float) -> None:
    moment = schedule.scale_up_at + schedule.usable * share
    expected = schedule.nodes if moment < schedule.scale_down_at else 0
    assert schedule.desired_at(moment) == expected
    assert schedule.usable > timedelta(hours=10)


@given(schedule=schedules())
def test_scheduled_actions_are_on_whole_minutes_in_utc(schedule: BlockSchedule) -> None:
    for size in schedule.sizes():
        assert (size.at.second, size.at.microsecond) == (0, 0)
        assert size.at.utcoffset() == timedelta(0)


@given(schedule=schedules(), hours=st.integers(-12, 14))
def test_the_offset_in_which_a_time_is_written_changes_nothing(
    schedule: BlockSchedule, hours: int
) -> None:
    elsewhere = timezone(timedelta(hours=hours))
    bought = block(
        start=schedule.block.start.astimezone(elsewhere),
        end=schedule.block.end.astimezone(elsewhere),
    )
    moved = BlockSchedule(bought, schedule.nodes, schedule.ultraserver, schedule.drain)
    assert moved.sizes() == schedule.sizes()


@pytest.mark.parametrize(
    ("ultraserver", "expected"),
    [(False, END - timedelta(minutes=45)), (True, END - timedelta(minutes=75))],
)
def test_nodes_leave_45_minutes_before_the_end_and_ultraservers_75(
    ultraserver: bool, expected: datetime
) -> None:
    schedule = BlockSchedule(block(), 4, ultraserver, timedelta(minutes=15))
    assert schedule.scale_down_at == expected
