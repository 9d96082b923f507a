"""Custom resources as they are deployed: the CDK's framework and our functions, on real events."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.fake_bedrock.server import FakeBedrock
from tests.local.conftest import EARLIER_LOGGING, EARLIER_MODE, Deployment
from tests.local.probe_stack import ProbeStack

GATEWAY = "llm-local-gateway"
RECORDS = "/llm-constructs/bedrock"


def physical_ids(deployment: Deployment, resource_type: str) -> dict[str, str]:
    """Return the ids of the gateway stack's resources of a type, by their logical ids."""
    client = deployment.client("cloudformation")
    found = client.describe_stack_resources(StackName=GATEWAY)["StackResources"]
    return {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for each in found
        if each["ResourceType"] == resource_type
    }


def lines(deployment: Deployment, group: str) -> list[str]:
    """Return what was logged in the gateway's one log group of this name."""
    logs = deployment.client("logs")
    groups = physical_ids(deployment, "AWS::Logs::LogGroup")
    (name,) = [found for logical_id, found in groups.items() if logical_id.startswith(group)]
    return [event["message"] for event in logs.filter_log_events(logGroupName=name)["events"]]


def test_the_settings_of_the_file_are_in_force(
    local_cloud: Deployment, bedrock: FakeBedrock
) -> None:
    logging = bedrock.account.logging
    assert bedrock.account.mode == "none"
    assert logging is not None
    groups = physical_ids(local_cloud, "AWS::Logs::LogGroup").values()
    buckets = physical_ids(local_cloud, "AWS::S3::Bucket").values()
    assert logging["s3Config"]["bucketName"] in buckets
    assert logging["cloudWatchConfig"]["logGroupName"] in groups
    role = logging["cloudWatchConfig"]["roleArn"].rsplit("/", 1)[-1]
    trust = local_cloud.client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    assert "bedrock.amazonaws.com" in json.dumps(trust)
    switches = {key for key, value in logging.items() if value is True}
    assert switches == {"textDataDeliveryEnabled"}


@pytest.mark.parametrize(
    ("setting", "earlier"),
    [("invocation-logging", EARLIER_LOGGING), ("data-retention", {"mode": EARLIER_MODE})],
)
def test_what_was_in_force_before_is_recorded(
    local_cloud: Deployment, setting: str, earlier: dict[str, Any]
) -> None:
    parameters = local_cloud.client("ssm")
    record = parameters.get_parameter(Name=f"{RECORDS}/{setting}")["Parameter"]["Value"]
    assert json.loads(record)["previous"] == earlier
    assert f"stack/{GATEWAY}/" in json.loads(record)["owner"]


def test_the_framework_handed_the_event_to_the_function(local_cloud: Deployment) -> None:
    framework = lines(local_cloud, "DataRetentionSettingProviderFrameworkLogs")
    function = lines(local_cloud, "DataRetentionSettingProviderFunctionLogs")
    assert any("[provider-framework] executing user function" in line for line in framework)
    written = {"setting": "data-retention", "request": "Create", "outcome": "written"}
    assert written in [json.loads(line) for line in function if line.startswith("{")]


def test_a_second_stack_is_refused_and_told_who_has_the_setting(
    local_cloud: Deployment, bedrock: FakeBedrock, probe: ProbeStack
) -> None:
    functions = physical_ids(local_cloud, "AWS::Lambda::Function")
    (framework,) = [
        name
        for logical_id, name in functions.items()
        if "DataRetentionSettingProviderFra" in logical_id
    ]
    arn = local_cloud.client("lambda").get_function(FunctionName=framework)["Configuration"]
    properties = {
        "ServiceToken": arn["FunctionArn"],
        "Configuration": json.dumps({"mode": "default"}),
    }

    state = probe.create({"Type": "Custom::BedrockSetting", "Properties": properties})

    assert state == "ROLLBACK_COMPLETE"
    assert "it is managed by DataRetentionSetting" in probe.reasons
    assert bedrock.account.mode == "none"


def test_only_who_is_allowed_changes_a_setting(
    local_cloud: Deployment, bedrock: FakeBedrock
) -> None:
    before = bedrock.account.logging
    with user(local_cloud, "bedrock:GetAccountDataRetention") as reader:
        assert reader.get_account_data_retention()["mode"] == "none"
        with pytest.raises(ClientError, match="AccessDenied"):
            reader.put_account_data_retention(mode="default")
        with pytest.raises(ClientError, match="AccessDenied"):
            reader.delete_model_invocation_logging_configuration()
    assert bedrock.account.mode == "none"
    assert bedrock.account.logging == before


def test_who_may_not_pass_a_role_cannot_let_bedrock_write_with_it(
    local_cloud: Deployment, bedrock: FakeBedrock
) -> None:
    before = bedrock.account.logging
    assert before is not None
    change = {**before, "textDataDeliveryEnabled": False}
    to_s3_alone = {key: value for key, value in change.items() if key != "cloudWatchConfig"}
    with user(local_cloud, "bedrock:PutModelInvocationLoggingConfiguration") as writer:
        with pytest.raises(ClientError, match=r"iam:PassRole on resource: .*LogGroupRole"):
            writer.put_model_invocation_logging_configuration(loggingConfig=change)
        assert bedrock.account.logging == before
        writer.put_model_invocation_logging_configuration(loggingConfig=to_s3_alone)
    assert bedrock.account.logging == to_s3_alone
    bedrock.account.logging = before


@contextmanager
def user(deployment: Deployment, action: str) -> Iterator[Any]:
    """Yield a client of Bedrock's control plane for a user who may do one thing."""
    iam, name, access = deployment.client("iam"), "auditor", deployment.cloud.access
    iam.create_user(UserName=name)
    allowed = {"Effect": "Allow", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    try:
        yield boto3.client(
            "bedrock",
            endpoint_url=access.endpoint,
            verify=access.certificate,
            region_name=access.region,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="own")
        iam.delete_user(UserName=name)


def test_a_function_that_breaks_down_fails_its_resource_at_once(
    probe: ProbeStack, broken_function: str
) -> None:
    resource = {"Type": "Custom::Probe", "Properties": {"ServiceToken": broken_function}}
    assert probe.create(resource) == "ROLLBACK_COMPLETE"
    assert "The client is missing." in probe.reasons


@pytest.fixture
def broken_function(local_cloud: Deployment) -> Iterator[str]:
    """The ARN of a function that ends with an error before it has answered."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr(
            "probe.py", "def handler(*_):\n    raise OSError('The client is missing.')\n"
        )
    functions, name = local_cloud.client("lambda"), "probe"
    arn = functions.create_function(
        FunctionName=name,
        Runtime="python3.14",
        Handler="probe.handler",
        Role=functions.list_functions()["Functions"][0]["Role"],
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    yield arn
    functions.delete_function(FunctionName=name)
    # Lambda made it, and the environment's end shall be clean.
    local_cloud.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{name}")
