"""Managed nodes on reservations as CloudFormation will see them."""

import email
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.node_config import node_user_data
from llm_constructs.reserved_nodes import ReservedNodes
from llm_constructs.service_key import VolumeKey
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.capacity_block import CapacityBlock
from llm_constructs.specs.instance_type import AmiType, CapacityOption
from llm_constructs.specs.node_group import ReservedNodeGroup
from tests.constructs.eks import cluster_in
from tests.constructs.synthesis import Template, synthesised

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"

BLOCK = ReservedNodeGroup(
    name="trn2-block",
    instance_type="trn2.48xlarge",
    nodes=4,
    zone="us-east-2b",
    ami_release="1.36.2-20261110",
    capacity_block=CapacityBlock(
        reservation_id="cr-0123456789abcdef0",
        start=datetime(2027, 1, 11, 11, 30, tzinfo=UTC),
        end=datetime(2027, 2, 8, 11, 30, tzinfo=UTC),
    ),
)
RESERVED = ReservedNodeGroup(
    name="p5-reserved",
    instance_type="p5.48xlarge",
    nodes=2,
    zone="us-east-2b",
    ami_release="1.36.2-20261110",
    reservation_group_arn="arn:aws:resource-groups:us-east-2:111111111111:group/p5",
)
SOLD_IN_BLOCKS = [
    row.name
    for row in INSTANCE_TYPES.values()
    if row.efa and row.accelerator and CapacityOption.CAPACITY_BLOCK in row.capacity_options
]


def template_of(*groups: ReservedNodeGroup) -> Template:
    def build(stack: cdk.Stack) -> None:
        cluster = cluster_in(stack)
        key = VolumeKey(stack, "VolumeKey", description="Encrypts volumes")
        subnet = ec2.Subnet.from_subnet_id(stack, "Subnet", "subnet-f")
        for number, group in enumerate(groups):
            ReservedNodes(
                stack,
                f"Group{number}",
                cluster=cluster,
                group=group,
                subnet=subnet,
                volume_key=key,
                tags={"owner": "ml"},
            )

    return synthesised(build)


@pytest.fixture(scope="module")
def block() -> Template:
    return template_of(BLOCK)


@pytest.fixture(scope="module")
def reserved() -> Template:
    return template_of(RESERVED)


def launch_data(template: Template) -> dict[str, Any]:
    data: dict[str, Any] = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    return data


def test_a_block_is_bought_as_a_block(block: Template) -> None:
    data = launch_data(block)
    assert data["InstanceMarketOptions"] == {"MarketType": "capacity-block"}
    assert data["InstanceType"] == "trn2.48xlarge"
    target = data["CapacityReservationSpecification"]["CapacityReservationTarget"]
    assert target == {"CapacityReservationId": "cr-0123456789abcdef0"}
    group = block.only("AWS::EKS::Nodegroup")
    assert group["CapacityType"] == "CAPACITY_BLOCK"
    assert "InstanceTypes" not in group


def test_on_demand_reservations_are_reached_through_their_group(reserved: Template) -> None:
    data = launch_data(reserved)
    assert "InstanceMarketOptions" not in data
    assert data["CapacityReservationSpecification"]["CapacityReservationTarget"] == {
        "CapacityReservationResourceGroupArn": RESERVED.reservation_group_arn
    }
    assert reserved.only("AWS::EKS::Nodegroup")["CapacityType"] == "ON_DEMAND"
    assert reserved.of_type("AWS::Scheduler::Schedule") == {}


@pytest.mark.parametrize("name", ["block", "reserved"])
def test_reserved_nodes_never_ask_for_a_placement_group(
    name: str, request: pytest.FixtureRequest
) -> None:
    template: Template = request.getfixturevalue(name)
    assert "Placement" not in launch_data(template)
    assert template.of_type("AWS::EC2::PlacementGroup") == {}


def test_a_block_has_no_nodes_until_it_starts_and_none_when_it_is_reclaimed(
    block: Template,
) -> None:
    assert block.only("AWS::EKS::Nodegroup")["ScalingConfig"] == {
        "MinSize": 0,
        "DesiredSize": 0,
        "MaxSize": 4,
    }
    sizes = {
        schedule["ScheduleExpression"]: json.loads(schedule["Target"]["Input"])
        for schedule in block.properties("AWS::Scheduler::Schedule")
    }
    # 30 minutes of EC2's notice and 15 of draining before the end.
    up, down = sizes["at(2027-01-11T11:30:00)"], sizes["at(2027-02-08T10:45:00)"]
    assert up["ScalingConfig"] == {"MinSize": 0, "DesiredSize": 4, "MaxSize": 4}
    assert down["ScalingConfig"] == {"MinSize": 0, "DesiredSize": 0, "MaxSize": 4}
    group = block.only("AWS::EKS::Nodegroup")
    assert {size["NodegroupName"] for size in (up, down)} == {group["NodegroupName"]}
    assert {size["ClusterName"] for size in (up, down)} == {"test"}


def test_a_block_that_has_begun_has_its_nodes_at_once_and_leaves_in_time() -> None:
    assert BLOCK.capacity_block is not None
    begun = replace(BLOCK, capacity_block=replace(BLOCK.capacity_block, begun=True))
    template = template_of(begun)
    assert template.only("AWS::EKS::Nodegroup")["ScalingConfig"]["DesiredSize"] == 4
    schedule = template.only("AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "at(2027-02-08T10:45:00)"
    assert json.loads(schedule["Target"]["Input"])["ScalingConfig"]["DesiredSize"] == 0


def test_both_volumes_of_bottlerocket_are_encrypted() -> None:
    """The system's own would be made as the image has it, which is not encrypted."""
    group = replace(
        RESERVED, ami_type=AmiType.BOTTLEROCKET_X86_64_NVIDIA, ami_release="1.50.0-1a2b3c4d"
    )
    mappings = launch_data(template_of(group))["BlockDeviceMappings"]
    assert [mapping["DeviceName"] for mapping in mappings] == ["/dev/xvda", "/dev/xvdb"]
    assert mappings[1]["Ebs"]["VolumeSize"] == group.volume_gib
    for mapping in mappings:
        assert mapping["Ebs"]["Encrypted"] is True
        assert "KmsKeyId" in mapping["Ebs"]


def test_the_schedule_may_change_one_node_group(block: Template) -> None:
    (statement,) = [
        statement
        for policy in block.properties("AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "eks:UpdateNodegroupConfig"
    ]
    (group,) = block.of_type("AWS::EKS::Nodegroup")
    assert statement["Resource"] == {"Fn::GetAtt": [group, "Arn"]}


def test_updates_need_no_more_nodes_than_are_reserved(reserved: Template) -> None:
    group = reserved.only("AWS::EKS::Nodegroup")
    assert group["UpdateConfig"] == {"MaxUnavailable": 1, "UpdateStrategy": "MINIMAL"}
    assert group["ReleaseVersion"] == "1.36.2-20261110"
    assert group["NodeRepairConfig"] == {"Enabled": True}
    assert group["Subnets"] == ["subnet-f"]


@pytest.fixture(scope="module")
def launch_data_by_type() -> dict[str, dict[str, Any]]:
    """What nodes of each type with EFA are launched with, all beside one cluster."""
    blocks = (
        replace(BLOCK, name=f"block-{number}", instance_type=name, unlisted_region=True)
        for number, name in enumerate(SOLD_IN_BLOCKS)
    )
    made = template_of(*blocks).properties("AWS::EC2::LaunchTemplate")
    return {it["LaunchTemplateData"]["InstanceType"]: it["LaunchTemplateData"] for it in made}


@pytest.mark.parametrize("name", SOLD_IN_BLOCKS)
def test_every_card_gets_its_efa_and_the_first_one_its_address(
    name: str, launch_data_by_type: dict[str, dict[str, Any]]
) -> None:
    data = launch_data_by_type[name]
    interfaces = data["NetworkInterfaces"]
    row = INSTANCE_TYPES[name]
    assert row.efa is not None
    with_address = [i for i in interfaces if i["InterfaceType"] == "interface"]
    assert [(i["NetworkCardIndex"], i["DeviceIndex"]) for i in with_address] == [(0, 0)]
    cards = [i["NetworkCardIndex"] for i in interfaces if i["InterfaceType"] == "efa-only"]
    assert len(set(cards)) == len(cards) == row.efa.interfaces
    assert all("SubnetId" not in interface for interface in interfaces)
    assert all(len(interface["Groups"]) == 2 for interface in interfaces)
    assert "SecurityGroupIds" not in data


def test_without_efa_the_template_names_the_groups_itself() -> None:
    data = launch_data(template_of(replace(RESERVED, efa=False)))
    assert "NetworkInterfaces" not in data
    assert len(data["SecurityGroupIds"]) == 2


def test_image_labels_and_taint_follow_from_the_type(block: Template, reserved: Template) -> None:
    neuron, nvidia = (template.only("AWS::EKS::Nodegroup") for template in (block, reserved))
    assert neuron["AmiType"] == "AL2023_x86_64_NEURON"
    assert neuron["Taints"][0]["Key"] == "aws.amazon.com/neuron"
    assert nvidia["AmiType"] == "AL2023_x86_64_NVIDIA"
    assert nvidia["Taints"] == [{"Key": "nvidia.com/gpu", "Value": "true", "Effect": "NO_SCHEDULE"}]
    assert nvidia["Labels"]["vpc.amazonaws.com/efa.present"] == "true"


def test_nodes_and_volumes_are_tagged_for_the_bill(block: Template) -> None:
    tags = {
        spec["ResourceType"]: {tag["Key"]: tag["Value"] for tag in spec["Tags"]}
        for spec in launch_data(block)["TagSpecifications"]
    }
    assert set(tags) == {"instance", "volume"}
    assert all(each["owner"] == "ml" for each in tags.values())


@pytest.mark.parametrize(
    ("joins_disks", "fast_image_pull", "spec"),
    [
        (True, False, {"instance": {"localStorage": {"strategy": "RAID0"}}}),
        (False, True, {"featureGates": {"FastImagePull": True}}),
        (
            True,
            True,
            {
                "instance": {"localStorage": {"strategy": "RAID0"}},
                "featureGates": {"FastImagePull": True},
            },
        ),
    ],
)
def test_a_node_config_says_what_is_unlike_the_image(
    joins_disks: bool, fast_image_pull: bool, spec: dict[str, Any]
) -> None:
    text = node_user_data(joins_disks=joins_disks, fast_image_pull=fast_image_pull)
    message = email.message_from_string(text or "")
    part = message.get_payload(0)
    assert isinstance(part, email.message.Message)
    assert part.get_content_type() == "application/node.eks.aws"
    config = json.loads(str(part.get_payload()))
    assert config["kind"] == "NodeConfig"
    assert config["spec"] == spec


def test_images_are_pulled_in_parallel_where_the_group_says_so() -> None:
    encoded = launch_data(template_of(replace(BLOCK, fast_image_pull=True)))["UserData"]
    assert encoded["Fn::Base64"] == node_user_data(joins_disks=True, fast_image_pull=True)


def test_user_data_is_left_out_where_disks_stay_apart(block: Template) -> None:
    encoded = launch_data(block)["UserData"]["Fn::Base64"]
    assert encoded == node_user_data(joins_disks=True, fast_image_pull=False)
    apart = launch_data(template_of(replace(BLOCK, raid0=False)))
    assert "UserData" not in apart


def test_a_schedule_that_fails_is_told_to_somebody() -> None:
    described: list[AlarmDescription] = []

    def build(stack: cdk.Stack) -> None:
        cluster = cluster_in(stack)
        for number, group in enumerate((BLOCK, RESERVED)):
            nodes = ReservedNodes(
                stack,
                f"Group{number}",
                cluster=cluster,
                group=group,
                subnet=ec2.Subnet.from_subnet_id(stack, f"Subnet{number}", "subnet-f"),
                volume_key=VolumeKey(stack, f"VolumeKey{number}", description="Encrypts volumes"),
                tags={},
            )
            described.extend(nodes.alarms)

    template = synthesised(build)
    # A group on reservations that a resource group names knows none of their ids.
    alarm, unused = described
    assert (alarm.severity, unused.severity) == (Severity.PAGE, Severity.TICKET)
    assert unused.name == "ReservationUnused"
    assert all((RUNBOOKS / f"{it.runbook}.md").exists() for it in described)
    (schedules,) = template.of_type("AWS::Scheduler::ScheduleGroup")
    groups = [schedule["GroupName"] for schedule in template.properties("AWS::Scheduler::Schedule")]
    assert groups == [{"Ref": schedules}] * 2
