"""What the emulator refuses, and what it keeps, beyond what it emulates."""

from typing import Any

import pytest

from tests.local.conftest import Deployment
from tests.local.probe_stack import ProbeStack

FILE_SYSTEM: dict[str, Any] = {
    "Type": "AWS::FSx::FileSystem",
    "Properties": {
        "FileSystemType": "LUSTRE",
        "StorageCapacity": 1200,
        "SubnetIds": ["subnet-1"],
        "LustreConfiguration": {"DeploymentType": "SCRATCH_2"},
    },
}
QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": True}}


def changed(resource: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {**resource, "Properties": {**resource["Properties"], **properties}}


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (changed(FILE_SYSTEM, StorageCapacityy=1), "'StorageCapacityy' was unexpected"),
        (changed(FILE_SYSTEM, StorageCapacity="much"), "#/StorageCapacity"),
        (changed(FILE_SYSTEM, DNSName="own"), "#/DNSName: is read-only"),
        ({"Type": "AWS::FSx::FileSystem", "Properties": {}}, "is a required property"),
        # Types that ministack itself emulates are checked as well.
        (changed(QUEUE, VisibilityTimeoutt=30), "'VisibilityTimeoutt' was unexpected"),
        ({"Type": "AWS::DynamoDB::Table", "Properties": {}}, "'KeySchema' is a required property"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_properties_that_the_schema_refuses_fail_the_deployment(
    probe: ProbeStack, resource: dict[str, Any], reason: str
) -> None:
    assert probe.create(resource) == "ROLLBACK_COMPLETE"
    assert reason in probe.reasons


def test_a_type_that_does_not_exist_is_refused_at_once(probe: ProbeStack) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="Unrecognized resource types"):
        probe.create({**FILE_SYSTEM, "Type": "AWS::FSx::FileSistem"})


def test_a_create_only_property_replaces_what_nothing_emulates(probe: ProbeStack) -> None:
    assert probe.create(FILE_SYSTEM) == "CREATE_COMPLETE"
    first = probe.physical_id
    assert first.startswith("fs-")

    assert probe.update(changed(FILE_SYSTEM, StorageCapacity=2400)) == "UPDATE_COMPLETE"
    assert probe.physical_id == first

    assert probe.update(changed(FILE_SYSTEM, SubnetIds=["subnet-2"])) == "UPDATE_COMPLETE"
    assert probe.physical_id != first


def test_an_update_is_checked_too(probe: ProbeStack) -> None:
    assert probe.create(FILE_SYSTEM) == "CREATE_COMPLETE"
    assert probe.update(changed(FILE_SYSTEM, Lustre={})) == "UPDATE_ROLLBACK_COMPLETE"
    assert "'Lustre' was unexpected" in probe.reasons


def test_a_weak_reference_reads_another_stacks_output(
    local_cloud: Deployment, probe: ProbeStack
) -> None:
    name = "DirectoryTable"
    reference = {"StackName": "llm-local-gateway", "Region": "us-west-2", "OutputName": name}
    state = probe.create(FILE_SYSTEM, Found={"Fn::GetStackOutput": reference})
    assert state == "CREATE_COMPLETE"
    assert probe.outputs == {"Found": local_cloud.cloud.output("gateway", name)}


def test_a_weak_reference_to_nothing_fails(probe: ProbeStack) -> None:
    reference = {"StackName": "llm-local-gateway", "OutputName": "Nothing"}
    tags = [{"Key": "table", "Value": {"Fn::GetStackOutput": reference}}]
    assert probe.create(changed(FILE_SYSTEM, Tags=tags)) == "ROLLBACK_COMPLETE"
    assert "The stack llm-local-gateway has no output Nothing." in probe.reasons


def test_the_custom_resource_emptied_the_default_security_group(local_cloud: Deployment) -> None:
    client = local_cloud.client("ec2")
    groups = client.describe_security_groups()["SecurityGroups"]
    (vpc,) = [
        it["VpcId"] for it in client.describe_vpcs()["Vpcs"] if it["CidrBlock"] == "10.60.0.0/16"
    ]
    (default,) = [it for it in groups if it["VpcId"] == vpc and it["GroupName"] == "default"]
    assert default["IpPermissions"] == default["IpPermissionsEgress"] == []
