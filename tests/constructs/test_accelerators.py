"""The catalogue agrees with AWS's enumerations, and what is derived from it with itself."""

import json
from functools import cache
from importlib.resources import files

import botocore.session
import pytest
from botocore.model import StringShape
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.specs.accelerators import (
    FAMILIES,
    INSTANCE_TYPES,
    REFUSED_FAMILIES,
    known_families,
    known_types,
)
from llm_constructs.specs.instance_type import (
    AMI_DRIVER_BRANCH,
    DEVICE_RESOURCES,
    EFA_LABEL,
    EFA_RESOURCE,
    AmiType,
    Architecture,
    CapacityOption,
    DeviceKind,
    EfaLayout,
    InstanceType,
    InterfaceType,
    SageMakerUse,
    Taint,
)
from llm_constructs.specs.problem import Problems, SpecificationError
from llm_constructs.specs.region import REGIONS

ROWS = tuple(INSTANCE_TYPES.values())
SAGEMAKER_SHAPES = {
    SageMakerUse.HYPERPOD: "ClusterInstanceType",
    SageMakerUse.TRAINING: "TrainingInstanceType",
    SageMakerUse.PROCESSING: "ProcessingInstanceType",
    SageMakerUse.ENDPOINT: "ProductionVariantInstanceType",
}
rows = st.sampled_from(ROWS)
efa_rows = st.sampled_from([row for row in ROWS if row.efa])


@cache
def enumeration(service: str, shape: str) -> frozenset[str]:
    model = botocore.session.Session().get_service_model(service)
    found = model.shape_for(shape)
    assert isinstance(found, StringShape)
    return frozenset(found.enum)


@cache
def priced_regions() -> dict[str, set[str]]:
    source = files("cfnlint.data.schemas.extensions") / "aws_ec2_instance/instancetype_enum.json"
    content = json.loads(source.read_text(encoding="utf-8"))
    return {region: set(content[region]["enum"]) for region in REGIONS}


def names(row: InstanceType) -> str:
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_ec2_knows_the_type(row: InstanceType) -> None:
    assert row.name in enumeration("ec2", "InstanceType")


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_sagemaker_accepts_the_type_exactly_where_the_catalogue_says(row: InstanceType) -> None:
    accepted = {
        use
        for use, shape in SAGEMAKER_SHAPES.items()
        if f"ml.{row.name}" in enumeration("sagemaker", shape)
    }
    assert row.sagemaker_uses == accepted
    assert row.sagemaker_name == (f"ml.{row.name}" if accepted else None)


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_training_plans_offer_the_type_exactly_where_the_catalogue_says(row: InstanceType) -> None:
    sold = f"ml.{row.name}" in enumeration("sagemaker", "ReservedCapacityInstanceType")
    assert (CapacityOption.TRAINING_PLAN in row.capacity_options) == sold


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_the_regions_are_those_with_a_price(row: InstanceType) -> None:
    priced = {region for region, types in priced_regions().items() if row.name in types}
    assert row.regions == priced
    assert row.has_on_demand_price == bool(priced)


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_eks_knows_the_ami_type_and_it_fits_the_type(row: InstanceType) -> None:
    assert row.ami_type in enumeration("eks", "AMITypes")
    assert row.ami_type.device_kind is row.device_kind
    assert row.ami_type.architecture is row.architecture


def test_every_ami_type_of_the_platform_exists_in_eks() -> None:
    assert set(AmiType) <= enumeration("eks", "AMITypes")


def test_every_family_that_was_asked_for_has_a_row() -> None:
    accelerated = "g5 g6 g6e p4d p4de p5 p5e p5en p6-b200 p6-b300 p6e-gb200 trn1 trn1n trn2 inf2"
    assert {*accelerated.split(), "m7i", "m7g", "c6id", "c6i"} <= set(FAMILIES)


def test_no_family_is_both_known_and_refused() -> None:
    assert not set(FAMILIES) & set(REFUSED_FAMILIES)


@pytest.mark.parametrize("family", REFUSED_FAMILIES)
def test_a_refused_family_exists_in_ec2_and_is_refused_with_its_own_reason(family: str) -> None:
    name = next(name for name in enumeration("ec2", "InstanceType") if name.startswith(family))
    problems = Problems("node group")
    assert known_types([name], problems, "instance_type") == ()
    with pytest.raises(SpecificationError, match=REFUSED_FAMILIES[family][1]):
        problems.raise_if_any()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("p5.24xlarge", "Choose from p5.4xlarge, p5.48xlarge."),
        ("p9.48xlarge", "Choose a type of g5, g6"),
        ("", "Choose a type of g5, g6"),
    ],
)
def test_an_unknown_type_is_refused_with_the_known_ones(name: str, remedy: str) -> None:
    problems = Problems("node group")
    known_types([name], problems, "instance_type")
    with pytest.raises(SpecificationError, match=remedy):
        problems.raise_if_any()


def test_a_family_stands_for_all_of_its_sizes() -> None:
    problems = Problems("pool")
    assert known_families(["g6e"], problems, "instance_families") == FAMILIES["g6e"]
    known_families(["z9"], problems, "instance_families")
    with pytest.raises(SpecificationError, match="no such family"):
        problems.raise_if_any()


@pytest.mark.parametrize("row", [row for row in ROWS if row.accelerator], ids=names)
def test_eks_images_carry_a_driver_that_knows_the_device(row: InstanceType) -> None:
    assert row.accelerator
    floor = row.accelerator.driver_floor
    assert (floor is None) == (row.device_kind is DeviceKind.NEURON)
    assert floor is None or floor <= AMI_DRIVER_BRANCH


@pytest.mark.parametrize(
    ("name", "cpu", "memory"),
    [
        ("c6id.32xlarge", 127_610, 234_021),
        ("c7gd.2xlarge", 7_910, 14_103),
        ("g5.12xlarge", 47_810, 173_400),
        ("g6.xlarge", 3_920, 14_162),
        ("g6e.48xlarge", 191_450, 1_449_132),
        ("inf2.48xlarge", 191_450, 718_987),
        ("p4d.24xlarge", 95_690, 1_082_712),
        ("p5.4xlarge", 15_890, 240_830),
        ("p5en.48xlarge", 191_450, 1_937_332),
        ("trn1.32xlarge", 127_610, 481_894),
        ("trn2.48xlarge", 191_450, 1_938_410),
    ],
)
def test_the_estimate_of_what_is_allocatable_is_karpenters(
    name: str, cpu: int, memory: int
) -> None:
    allocatable = INSTANCE_TYPES[name].allocatable()
    assert (allocatable.cpu_millis, allocatable.memory_mib) == (cpu, memory)


@given(row=rows)
def test_less_is_allocatable_than_the_node_has(row: InstanceType) -> None:
    left = row.allocatable()
    assert 0 < left.cpu_millis < row.vcpus * 1000
    assert 0 < left.memory_mib < row.memory_gib * 1024


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("g6e.8xlarge", 1),
        ("g6e.24xlarge", 2),
        ("g6e.48xlarge", 4),
        ("p4d.24xlarge", 4),
        ("p5.48xlarge", 32),
        ("p5e.48xlarge", 32),
        ("p5en.48xlarge", 16),
        ("p6-b200.48xlarge", 8),
        ("p6-b300.48xlarge", 16),
        ("trn1.32xlarge", 8),
        ("trn1n.32xlarge", 16),
        ("trn2.48xlarge", 16),
    ],
)
def test_a_node_has_one_address_and_all_of_its_efa_devices(name: str, count: int) -> None:
    first, *others = INSTANCE_TYPES[name].network_interfaces(efa=True)
    assert first.interface_type is InterfaceType.INTERFACE
    assert [other.interface_type for other in others] == [InterfaceType.EFA_ONLY] * count


def test_on_p5_the_first_card_carries_the_address_and_an_efa_device() -> None:
    interfaces = INSTANCE_TYPES["p5.48xlarge"].network_interfaces(efa=True)
    places = [(each.network_card_index, each.device_index) for each in interfaces]
    assert places == [(0, 0), (0, 1), *((card, 0) for card in range(1, 32))]


def test_on_p6_b300_the_first_card_has_no_efa() -> None:
    interfaces = INSTANCE_TYPES["p6-b300.48xlarge"].network_interfaces(efa=True)
    places = [(each.network_card_index, each.device_index) for each in interfaces]
    assert places == [(card, 0) for card in range(17)]


@given(row=efa_rows)
def test_no_two_interfaces_share_a_place_and_the_first_is_the_primary_one(
    row: InstanceType,
) -> None:
    interfaces = row.network_interfaces(efa=True)
    places = [(each.network_card_index, each.device_index) for each in interfaces]
    assert len(set(places)) == len(places)
    assert places[0] == (0, 0)
    assert all(device in (0, 1) for _, device in places)


@given(interfaces=st.integers(1, 64), extra=st.integers(0, 1))
def test_a_layout_has_as_many_efa_devices_as_it_says(interfaces: int, extra: int) -> None:
    made = EfaLayout(interfaces, interfaces + extra).network_interfaces()
    assert len(made) == interfaces + 1
    assert max(each.network_card_index for each in made) == interfaces + extra - 1


@given(row=rows)
def test_without_efa_the_launch_template_lists_no_interfaces(row: InstanceType) -> None:
    assert row.network_interfaces(efa=False) == ()
    assert EFA_LABEL not in row.labels(efa=False)
    assert EFA_RESOURCE not in row.resources(efa=False)


def test_efa_on_a_type_without_it_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"inf2\.48xlarge has no EFA"):
        INSTANCE_TYPES["inf2.48xlarge"].network_interfaces(efa=True)


def test_a_pod_that_fills_a_training_node_requests_its_devices_and_efa() -> None:
    assert INSTANCE_TYPES["trn2.48xlarge"].resources(efa=True) == {
        "aws.amazon.com/neuron": 16,
        "vpc.amazonaws.com/efa": 16,
    }
    assert INSTANCE_TYPES["p5.48xlarge"].resources(efa=True) == {
        "nvidia.com/gpu": 8,
        "vpc.amazonaws.com/efa": 32,
    }
    assert INSTANCE_TYPES["m7i.large"].resources(efa=False) == {}


@pytest.mark.parametrize(
    ("name", "cores"),
    [("trn1.32xlarge", 32), ("trn2.48xlarge", 128), ("inf2.xlarge", 2), ("inf2.48xlarge", 24)],
)
def test_a_pod_that_shares_neuron_devices_requests_cores_as_karpenter_counts_them(
    name: str, cores: int
) -> None:
    resources = INSTANCE_TYPES[name].resources(efa=False, by_core=True)
    assert resources == {"aws.amazon.com/neuroncore": cores}


@given(row=rows.filter(lambda row: row.device_kind is not DeviceKind.NEURON))
def test_only_neuron_devices_have_cores_to_request(row: InstanceType) -> None:
    assert row.neuron_cores == 0
    with pytest.raises(ValueError, match="has no NeuronCores"):
        row.resources(efa=False, by_core=True)


@given(row=rows)
def test_nodes_with_devices_are_tainted_by_what_pods_request_and_others_are_not(
    row: InstanceType,
) -> None:
    expected = DEVICE_RESOURCES.get(row.device_kind)
    assert row.taints() == ((Taint(expected),) if expected else ())
    assert [taint.key for taint in row.taints()] == list(row.resources(efa=False))


def test_nodes_carry_the_labels_that_device_plugins_select() -> None:
    assert INSTANCE_TYPES["g6e.48xlarge"].labels(efa=True) == {
        "nvidia.com/gpu.present": "true",
        "vpc.amazonaws.com/efa.present": "true",
    }
    assert INSTANCE_TYPES["inf2.xlarge"].labels(efa=False) == {
        "aws.amazon.com/neuron.present": "true"
    }
    assert INSTANCE_TYPES["m7g.large"].labels(efa=False) == {}


@pytest.mark.parametrize(
    ("name", "ranks", "sizes"),
    [
        ("p5.48xlarge", 8, (1, 2, 4, 8)),
        ("g6.12xlarge", 4, (1, 2, 4)),
        ("g6.xlarge", 1, (1,)),
        ("trn1.32xlarge", 32, (1, 2, 4, 8, 16, 32)),
        ("trn2.48xlarge", 64, (1, 2, 4, 8, 16, 32, 64)),
        ("inf2.24xlarge", 12, (1, 2, 4)),
        ("m7i.large", 0, ()),
    ],
)
def test_replicas_fill_a_node_evenly(name: str, ranks: int, sizes: tuple[int, ...]) -> None:
    row = INSTANCE_TYPES[name]
    assert (row.ranks, row.tensor_parallel_sizes) == (ranks, sizes)


@given(row=rows)
def test_device_memory_is_that_of_all_devices(row: InstanceType) -> None:
    each = row.accelerator.memory_gib if row.accelerator else 0
    assert row.device_memory_gib == each * row.accelerator_count
    assert (row.accelerator is None) == (row.accelerator_count == 0)


def test_arm_is_only_what_graviton_and_grace_are() -> None:
    arm = {row.family for row in ROWS if row.architecture is Architecture.ARM64}
    assert arm == {"m7g", "c7gd", "p6e-gb200"}
