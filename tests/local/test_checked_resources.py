"""What the emulator refuses, and what it keeps, beyond what it emulates."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.local.conftest import Deployment

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


class Stacks:
    """Stacks of one resource, made as CloudFormation's own clients make them."""

    def __init__(self, deployment: Deployment) -> None:
        self._client = deployment.client("cloudformation")
        self._name = f"probe-{uuid4().hex[:8]}"

    def create(self, resource: dict[str, Any], **outputs: Any) -> str:
        """Create a stack; return its state."""
        self._client.create_stack(
            StackName=self._name, TemplateBody=self._template(resource, outputs)
        )
        return self._settled()

    def update(self, resource: dict[str, Any]) -> str:
        """Update the stack; return its state."""
        self._client.update_stack(StackName=self._name, TemplateBody=self._template(resource, {}))
        return self._settled()

    def delete(self) -> None:
        """Delete the stack, where there is one."""
        self._client.delete_stack(StackName=self._name)

    @property
    def physical_id(self) -> str:
        """The resource's id."""
        found = self._client.describe_stack_resources(StackName=self._name)["StackResources"]
        return str(found[0]["PhysicalResourceId"])

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        stack = self._client.describe_stacks(StackName=self._name)["Stacks"][0]
        return {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}

    @property
    def reasons(self) -> str:
        """Why anything failed."""
        events = self._client.describe_stack_events(StackName=self._name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    def _settled(self) -> str:
        for _ in range(600):
            stack = self._client.describe_stacks(StackName=self._name)["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                return str(stack["StackStatus"])
        pytest.fail(f"{self._name} does not settle: {stack['StackStatus']}")

    @staticmethod
    def _template(resource: dict[str, Any], outputs: dict[str, Any]) -> str:
        shown = {name: {"Value": value} for name, value in outputs.items()}
        return json.dumps({"Resources": {"Probe": resource}, "Outputs": shown})


@pytest.fixture
def stacks(local_cloud: Deployment) -> Iterator[Stacks]:
    made = Stacks(local_cloud)
    yield made
    made.delete()


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
    stacks: Stacks, resource: dict[str, Any], reason: str
) -> None:
    assert stacks.create(resource) == "ROLLBACK_COMPLETE"
    assert reason in stacks.reasons


def test_a_type_that_does_not_exist_is_refused_at_once(stacks: Stacks) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="Unrecognized resource types"):
        stacks.create({**FILE_SYSTEM, "Type": "AWS::FSx::FileSistem"})


def test_a_create_only_property_replaces_what_nothing_emulates(stacks: Stacks) -> None:
    assert stacks.create(FILE_SYSTEM) == "CREATE_COMPLETE"
    first = stacks.physical_id
    assert first.startswith("fs-")

    assert stacks.update(changed(FILE_SYSTEM, StorageCapacity=2400)) == "UPDATE_COMPLETE"
    assert stacks.physical_id == first

    assert stacks.update(changed(FILE_SYSTEM, SubnetIds=["subnet-2"])) == "UPDATE_COMPLETE"
    assert stacks.physical_id != first


def test_an_update_is_checked_too(stacks: Stacks) -> None:
    assert stacks.create(FILE_SYSTEM) == "CREATE_COMPLETE"
    assert stacks.update(changed(FILE_SYSTEM, Lustre={})) == "UPDATE_ROLLBACK_COMPLETE"
    assert "'Lustre' was unexpected" in stacks.reasons


def test_a_weak_reference_reads_another_stacks_output(
    local_cloud: Deployment, stacks: Stacks
) -> None:
    name = "DirectoryTable"
    reference = {"StackName": "llm-local-gateway", "Region": "us-west-2", "OutputName": name}
    state = stacks.create(FILE_SYSTEM, Found={"Fn::GetStackOutput": reference})
    assert state == "CREATE_COMPLETE"
    assert stacks.outputs == {"Found": local_cloud.cloud.output("gateway", name)}


def test_a_weak_reference_to_nothing_fails(stacks: Stacks) -> None:
    reference = {"StackName": "llm-local-gateway", "OutputName": "Nothing"}
    tags = [{"Key": "table", "Value": {"Fn::GetStackOutput": reference}}]
    assert stacks.create(changed(FILE_SYSTEM, Tags=tags)) == "ROLLBACK_COMPLETE"
    assert "The stack llm-local-gateway has no output Nothing." in stacks.reasons


def test_the_custom_resource_emptied_the_default_security_group(local_cloud: Deployment) -> None:
    client = local_cloud.client("ec2")
    groups = client.describe_security_groups()["SecurityGroups"]
    (vpc,) = [
        it["VpcId"] for it in client.describe_vpcs()["Vpcs"] if it["CidrBlock"] == "10.60.0.0/16"
    ]
    (default,) = [it for it in groups if it["VpcId"] == vpc and it["GroupName"] == "default"]
    assert default["IpPermissions"] == default["IpPermissionsEgress"] == []
