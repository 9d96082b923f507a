"""Mistakes in finished templates that no other check notices."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from llm_constructs.template_rules import RULES, violations_of
from stacks.checks import add_checks

LUSTRE = "AWS::FSx::FileSystem"
PERSISTENT = {"DeploymentType": "PERSISTENT_2", "PerUnitStorageThroughput": 250}


def lustre(capacity: object = 2400, version: str = "2.15", **settings: Any) -> dict[str, Any]:
    return {
        "FileSystemType": "LUSTRE",
        "FileSystemTypeVersion": version,
        "StorageCapacity": capacity,
        "KmsKeyId": "key",
        "LustreConfiguration": {**PERSISTENT, **settings},
    }


def dashboard(body: object) -> dict[str, Any]:
    return {"DashboardBody": body}


def violations(kind: str, properties: dict[str, Any]) -> list[str]:
    return [
        f"{violation.location}: {violation.reason} {violation.remedy}"
        for rule in RULES[kind]
        for violation in rule(properties)
    ]


WIDGET = {"type": "text", "properties": {"markdown": "x"}}

BATCH = "AWS::Batch::ComputeEnvironment"


def launched_by(**template: Any) -> dict[str, Any]:
    return {"ComputeResources": {"LaunchTemplate": {"LaunchTemplateId": "lt-1", **template}}}


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no version": (BATCH, launched_by(), "LaunchTemplate.Version: .* the first for ever"),
    "the default version": (BATCH, launched_by(Version="$Default"), "LaunchTemplate.Version"),
    "size": (LUSTRE, lustre(3600), "StorageCapacity: .* nearest: 2400 or 4800"),
    "type": (LUSTRE, lustre(DeploymentType="PERSISTENT_9"), "LustreConfiguration.DeploymentType"),
    "no type": (
        LUSTRE,
        {"FileSystemType": "LUSTRE", "StorageCapacity": 1200},
        "LustreConfiguration.DeploymentType",
    ),
    "throughput": (
        LUSTRE,
        lustre(PerUnitStorageThroughput=200),
        "LustreConfiguration.PerUnitStorageThroughput",
    ),
    "efa": (
        LUSTRE,
        lustre(19200, version="2.12", EfaEnabled=True),
        "LustreConfiguration.EfaEnabled",
    ),
    "efa size": (LUSTRE, lustre(2400, EfaEnabled=True), "StorageCapacity: .* nearest: 19200"),
    "iops": (
        LUSTRE,
        lustre(MetadataConfiguration={"Mode": "USER_PROVISIONED", "Iops": 2000}),
        "LustreConfiguration.MetadataConfiguration.Iops",
    ),
    "relative path": (
        "AWS::FSx::DataRepositoryAssociation",
        {"FileSystemPath": "datasets"},
        "FileSystemPath: 'datasets' is relative.* Write /datasets",
    ),
    "nodes": (
        "AWS::EKS::Nodegroup",
        {"ScalingConfig": {"MinSize": 3, "MaxSize": 2, "DesiredSize": 2}},
        "ScalingConfig.MinSize: MinSize is 3, which is more than MaxSize, 2",
    ),
    "desired nodes": (
        "AWS::EKS::Nodegroup",
        {"ScalingConfig": {"MinSize": 1, "MaxSize": 2, "DesiredSize": 5}},
        "ScalingConfig.DesiredSize",
    ),
    "group": (
        "AWS::AutoScaling::AutoScalingGroup",
        {"MinSize": "10", "MaxSize": "9"},
        "MinSize is 10, which is more than MaxSize, 9",
    ),
    "target": (
        "AWS::ApplicationAutoScaling::ScalableTarget",
        {"MinCapacity": 4, "MaxCapacity": 1},
        "MinCapacity",
    ),
    "dashboard text": ("AWS::CloudWatch::Dashboard", dashboard('{"widgets": ['), "not JSON"),
    "dashboard list": ("AWS::CloudWatch::Dashboard", dashboard("[]"), "no list of widgets"),
    "widget": (
        "AWS::CloudWatch::Dashboard",
        dashboard(json.dumps({"widgets": [WIDGET, {"type": "metric"}]})),
        "Widget 1 has no type or no properties",
    ),
}

ANYBODY = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*"}]}
SOMEBODY = {"Statement": [{**ANYBODY["Statement"][0], "Condition": {"Bool": {"a": "b"}}}]}
LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
CLUSTER = {
    "Version": "1.36",
    "EncryptionConfig": [{}],
    "ResourcesVpcConfig": {"EndpointPublicAccess": False},
}
LAUNCH = {"MetadataOptions": {"HttpTokens": "required"}}

WRONG |= {
    "clear lustre": (LUSTRE, {**lustre(), "KmsKeyId": None}, "KmsKeyId: .* a key of AWS's"),
    "no such version": ("AWS::EKS::Cluster", {**CLUSTER, "Version": "1.19"}, "Version: '1.19'"),
    "clear secrets": ("AWS::EKS::Cluster", {**CLUSTER, "EncryptionConfig": []}, "etcd"),
    "public API server": (
        "AWS::EKS::Cluster",
        {**CLUSTER, "ResourcesVpcConfig": {}},
        "EndpointPublicAccess: Everybody",
    ),
    "no such type": (
        "AWS::EKS::Nodegroup",
        {"InstanceTypes": ["m7g.huge"]},
        "InstanceTypes: The catalogue has no m7g.huge",
    ),
    "variable": (
        "AWS::Lambda::Function",
        {"Environment": {"Variables": {"1_KEY": "x"}}},
        "Environment.Variables.1_KEY: Lambda takes",
    ),
    "month": (
        "AWS::Scheduler::Schedule",
        {"ScheduleExpression": "at(2027-13-11T11:30:00)"},
        "ScheduleExpression: .* is neither",
    ),
    "fields": ("AWS::Events::Rule", {"ScheduleExpression": "cron(0 25 * *)"}, "is neither"),
    "rate": ("AWS::Events::Rule", {"ScheduleExpression": "rate(0 days)"}, "is neither"),
    "words": ("AWS::Events::Rule", {"ScheduleExpression": "every day"}, "is neither"),
    "clear table": ("AWS::DynamoDB::Table", {"SSESpecification": {}}, "KMSMasterKeyId: A key of"),
    "clear queue": ("AWS::SQS::Queue", {}, "KmsMasterKeyId"),
    "clear bucket": ("AWS::S3::Bucket", {}, "BucketEncryption"),
    "clear disk": (
        "AWS::EC2::LaunchTemplate",
        {"LaunchTemplateData": {**LAUNCH, "BlockDeviceMappings": [{"Ebs": {}}]}},
        "BlockDeviceMappings.0.Ebs.Encrypted: The disk",
    ),
    "metadata": ("AWS::EC2::LaunchTemplate", {"LaunchTemplateData": {}}, "HttpTokens: One request"),
    "key of anybody": ("AWS::KMS::Key", {"KeyPolicy": ANYBODY}, "KeyPolicy.Statement.0.Principal"),
    "queue of anybody": (
        "AWS::SQS::QueuePolicy",
        {"PolicyDocument": {"Statement": {"Effect": "Allow", "Principal": "*"}}},
        "PolicyDocument.Statement.0.Principal: Everybody",
    ),
    "open method": (
        "AWS::ApiGateway::Method",
        {"HttpMethod": "ANY", "AuthorizationType": "NONE"},
        "AuthorizationType: Nobody is asked",
    ),
    "open address": ("AWS::Lambda::Url", {"AuthType": "NONE"}, "AuthType: Everybody"),
    "impatient": (LOAD_BALANCER, {}, "may be silent for 60 s"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_its_place(mistake: str) -> None:
    kind, properties, expected = WRONG[mistake]
    found = violations(kind, properties)
    assert any(re.search(expected, line) for line in found), found


GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "a version": (BATCH, launched_by(Version={"Fn::GetAtt": ["A", "LatestVersionNumber"]})),
    "no template": (BATCH, {"ComputeResources": {"Type": "FARGATE"}}),
    "file system": (LUSTRE, lustre()),
    "efa": (LUSTRE, lustre(38400, EfaEnabled=True, PerUnitStorageThroughput=1000)),
    "windows": (LUSTRE, {"FileSystemType": "WINDOWS", "StorageCapacity": 32}),
    "token": (LUSTRE, lustre({"Ref": "Capacity"})),
    "bounds": ("AWS::AutoScaling::AutoScalingGroup", {"MinSize": "0", "MaxSize": "0"}),
    "unknown bounds": (
        "AWS::AutoScaling::AutoScalingGroup",
        {"MinSize": {"Ref": "A"}, "MaxSize": "1"},
    ),
    "no bounds": ("AWS::EKS::Nodegroup", {}),
    "dashboard": (
        "AWS::CloudWatch::Dashboard",
        dashboard(
            {
                "Fn::Join": [
                    "",
                    [
                        '{"widgets":[{"type":"text","properties":{"markdown":"',
                        {"Ref": "AWS::Region"},
                        '"},"x":0,"y":',
                        {"Ref": "Row"},
                        "}]}",
                    ],
                ]
            }
        ),
    ),
}

GOOD |= {
    "scratch": (
        LUSTRE,
        {
            "FileSystemType": "LUSTRE",
            "FileSystemTypeVersion": "2.15",
            "StorageCapacity": 1200,
            "LustreConfiguration": {"DeploymentType": "SCRATCH_2"},
        },
    ),
    "cluster": ("AWS::EKS::Cluster", CLUSTER),
    "API server for some": (
        "AWS::EKS::Cluster",
        {**CLUSTER, "ResourcesVpcConfig": {"PublicAccessCidrs": ["192.0.2.0/24"]}},
    ),
    "types": ("AWS::EKS::Nodegroup", {"InstanceTypes": ["m7g.large", {"Ref": "Type"}]}),
    "variables": ("AWS::Lambda::Function", {"Environment": {"Variables": {"A_1": "x"}}}),
    "moment": ("AWS::Scheduler::Schedule", {"ScheduleExpression": "at(2027-01-11T11:30:00)"}),
    "cron": ("AWS::Events::Rule", {"ScheduleExpression": "cron(0 3 ? * SUN *)"}),
    "hourly": ("AWS::Events::Rule", {"ScheduleExpression": "rate(1 hour)"}),
    "event": ("AWS::Events::Rule", {"EventPattern": {}}),
    "table": ("AWS::DynamoDB::Table", {"SSESpecification": {"KMSMasterKeyId": {"Ref": "Key"}}}),
    "disk": (
        "AWS::EC2::LaunchTemplate",
        {"LaunchTemplateData": {**LAUNCH, "BlockDeviceMappings": [{"Ebs": {"Encrypted": True}}]}},
    ),
    "key of some": ("AWS::KMS::Key", {"KeyPolicy": SOMEBODY}),
    "policy not yet known": ("AWS::KMS::Key", {"KeyPolicy": {"Ref": "Policy"}}),
    "open reading": ("AWS::ApiGateway::Method", {"HttpMethod": "GET", "AuthorizationType": "NONE"}),
    "address": ("AWS::Lambda::Url", {"AuthType": "AWS_IAM"}),
    "network load balancer": (LOAD_BALANCER, {"Type": "network"}),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_right_or_not_yet_known_passes(case: str) -> None:
    kind, properties = GOOD[case]
    assert violations(kind, properties) == []


def test_a_violation_fails_the_synthesis(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    add_checks(app)
    stack = cdk.Stack(app, "Test")
    cdk.CfnResource(stack, "FileSystem", type=LUSTRE, properties=lustre(3600))

    with contextlib.suppress(RuntimeError):
        app.synth()

    plugins = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    (ours,) = [plugin for plugin in plugins if plugin["pluginName"] == "LlmPlatform"]
    (violation,) = ours["violations"]
    assert ours["conclusion"] == "failure"
    assert violation["ruleName"] == "LegalFileSystem"
    assert violation["violatingConstructs"][0]["constructPath"] == "Test/FileSystem"


def bucket(*keys: str) -> dict[str, Any]:
    tags = [{"Key": key, "Value": "x"} for key in keys]
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketEncryption": {"a": 1}, "Tags": tags}}


def test_a_resource_without_the_tags_of_the_others_is_told() -> None:
    resources = {"A": bucket("owner", "layer"), "B": bucket("owner", "layer"), "C": bucket("layer")}
    ((logical_id, kind, violation),) = violations_of(resources)
    assert (logical_id, kind) == ("C", "AWS::S3::Bucket")
    assert violation.reason == "It lacks owner, which the others have."


def test_names_of_single_resources_and_untagged_templates_are_no_mistake() -> None:
    named = [{"Key": "Name", "Value": "a"}]
    resources = {
        "A": {"Type": "AWS::EC2::VPC", "Properties": {"Tags": named}},
        "B": {"Type": "AWS::EC2::VPC", "Properties": {"Tags": [{**named[0], "Value": "b"}]}},
        "C": {"Type": "AWS::EC2::VPC"},
    }
    assert list(violations_of(resources)) == []
