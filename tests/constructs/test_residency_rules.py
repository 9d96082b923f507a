"""Ways out of the jurisdiction, each planted in a resource that could have it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.residency_rules import (
    ResidencyPromise,
    leaving,
    leaving_copies,
    leaving_stack,
)
from llm_constructs.specs.region import REGIONS, Jurisdiction
from llm_constructs.specs.residency import Residency

EU = ResidencyPromise(jurisdiction=Jurisdiction.EU)
EU_REGION = ResidencyPromise(jurisdiction=Jurisdiction.EU, models=Residency.REGION)
EU_GLOBAL = ResidencyPromise(jurisdiction=Jurisdiction.EU, models=Residency.GLOBAL)


def found(kind: str, properties: dict[str, Any], promise: ResidencyPromise = EU) -> list[str]:
    return [f"{it.location}: {it.reason} {it.remedy}" for it in leaving(kind, properties, promise)]


def policy(*resources: object) -> dict[str, Any]:
    return {"PolicyDocument": {"Statement": [{"Resource": list(resources)}]}}


def function(**variables: object) -> dict[str, Any]:
    return {"Environment": {"Variables": variables}}


def board(*widgets: dict[str, Any]) -> dict[str, Any]:
    return {"DashboardBody": json.dumps({"widgets": list(widgets)})}


BILL = {"expression": "SEARCH('{AWS/Billing,Currency} MetricName=\"x\"', 'Maximum', 60)"}
TABLE = "AWS::DynamoDB::GlobalTable"

PLANTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "replica of a table": (
        TABLE,
        {"Replicas": [{"Region": "eu-west-1"}, {"Region": "us-east-1"}]},
        "Replicas.1.Region: It names us-east-1",
    ),
    "replica of a secret": (
        "AWS::SecretsManager::Secret",
        {"ReplicaRegions": [{"Region": "eu-west-2"}]},
        "names eu-west-2, outside the jurisdiction eu",
    ),
    "key of another region": (
        "AWS::Logs::LogGroup",
        {"KmsKeyId": "arn:aws:kms:us-west-2:111111111111:key/1"},
        "KmsKeyId: It names us-west-2",
    ),
    "topic of another region": (
        "AWS::CloudWatch::Alarm",
        {"AlarmActions": ["arn:aws:sns:us-east-1:111111111111:alarms"]},
        "AlarmActions.0: It names us-east-1",
    ),
    "parameter of another region": (
        "AWS::IAM::Policy",
        policy("arn:aws:ssm:ap-southeast-1:111111111111:parameter/x"),
        "names ap-southeast-1",
    ),
    "output of a stack elsewhere": (
        "AWS::IAM::Policy",
        policy({"Fn::GetStackOutput": {"StackName": "x", "Region": "us-west-2"}}),
        "Fn::GetStackOutput.Region: It names us-west-2",
    ),
    "name cut by a token": (
        "AWS::Lambda::Function",
        function(
            URL={"Fn::Join": ["", ["https://", {"Ref": "Api"}, ".execute-api.us-", "east-1."]]}
        ),
        "names us-east-1",
    ),
    "key of a document": (
        "AWS::Lambda::Function",
        function(SETTINGS=json.dumps({"regions": {"sa-east-1": 1}})),
        "names sa-east-1",
    ),
    "endpoint of another region": (
        "AWS::EC2::VPCEndpoint",
        {"ServiceName": "com.amazonaws.ap-northeast-1.s3"},
        "names ap-northeast-1",
    ),
    "image of another region": (
        "AWS::SageMaker::Model",
        {"PrimaryContainer": {"Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/vllm:1"}},
        "names us-east-1",
    ),
    "region of another cloud": (
        "AWS::Lambda::Function",
        function(REGION="cn-north-1"),
        "names cn-north-1",
    ),
    "zone of another region": ("AWS::EC2::Subnet", {"AvailabilityZone": "us-east-2b"}, "us-east-2"),
    "object of the cluster": (
        "Custom::AWSCDK-EKS-KubernetesResource",
        {"Manifest": '[{"spec":{"region":"ca-central-1"}}]'},
        "names ca-central-1",
    ),
    "global profile": (
        "AWS::Lambda::Function",
        function(MODEL="global.anthropic.claude-sonnet-4-6"),
        "A global profile leaves the jurisdiction eu",
    ),
    "profile of another jurisdiction": (
        "AWS::Lambda::Function",
        function(MODELS='{"fast":"us.amazon.nova-2-lite-v1:0"}'),
        "begin with us. are computed outside the jurisdiction eu",
    ),
    "profile of many countries": (
        "AWS::IAM::Policy",
        policy("arn:aws:bedrock:eu-west-1:1:inference-profile/apac.amazon.nova-pro-v1:0"),
        "begin with apac.",
    ),
    "any profile": (
        "AWS::IAM::Policy",
        policy("arn:aws:bedrock:eu-west-1:111111111111:inference-profile/*"),
        "pattern of profiles",
    ),
    "any global profile": (
        "AWS::IAM::Policy",
        policy("arn:aws:bedrock:eu-west-1:111111111111:inference-profile/global.*"),
        "pattern of profiles",
    ),
    "models of any region": (
        "AWS::IAM::Policy",
        policy("arn:aws:bedrock:*::foundation-model/amazon.nova-2-lite-v1:0"),
        "is of any region",
    ),
    "models without a region": (
        "AWS::IAM::Policy",
        policy(
            {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":bedrock:::foundation-model/x"]]}
        ),
        "without a region",
    ),
    "buckets of any region": (
        "AWS::IAM::Policy",
        policy("arn:aws:kms:us-*:111111111111:key/*"),
        "is of any region",
    ),
    "graph of another region": (
        "AWS::CloudWatch::Dashboard",
        board({"properties": {"region": "us-east-1", "metrics": [["AWS/Bedrock", "Invocations"]]}}),
        "names us-east-1",
    ),
    "graph beside the bill": (
        "AWS::CloudWatch::Dashboard",
        board(
            {"properties": {"region": "us-east-1", "metrics": [[BILL], ["AWS/Lambda", "Errors"]]}}
        ),
        "names us-east-1",
    ),
    "edge of the content network": ("AWS::CloudFront::Distribution", {}, "edge locations"),
    "accelerator": ("AWS::GlobalAccelerator::Accelerator", {}, "edge locations"),
    "API at the edge": ("AWS::ApiGateway::RestApi", {"Name": "x"}, "EndpointConfiguration.Types"),
    "firewall at the edge": ("AWS::WAFv2::WebACL", {"Scope": "CLOUDFRONT"}, "Scope"),
    "key for many regions": ("AWS::KMS::Key", {"MultiRegion": True}, "MultiRegion"),
    "accelerated uploads": (
        "AWS::S3::Bucket",
        {"AccelerateConfiguration": {"AccelerationStatus": "Enabled"}},
        "AccelerateConfiguration",
    ),
}


@pytest.mark.parametrize("way", PLANTED)
def test_each_way_out_is_found_with_its_place(way: str) -> None:
    kind, properties, expected = PLANTED[way]
    lines = found(kind, properties)
    assert any(expected in line for line in lines), lines


INSIDE: dict[str, tuple[str, dict[str, Any], ResidencyPromise]] = {
    "replica inside": (TABLE, {"Replicas": [{"Region": "eu-north-1"}]}, EU),
    "profile inside": ("AWS::Lambda::Function", function(M="eu.amazon.nova-pro-v1:0"), EU),
    "model of the region": (
        "AWS::Lambda::Function",
        function(M="amazon.nova-pro-v1:0"),
        EU_REGION,
    ),
    "profiles inside": (
        "AWS::IAM::Policy",
        policy("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.*"),
        EU,
    ),
    "what was allowed to be global": (
        "AWS::IAM::Policy",
        policy(
            "arn:aws:bedrock:::foundation-model/x",
            "arn:aws:bedrock:eu-west-1:1:inference-profile/global.anthropic.claude-sonnet-4-6",
        ),
        EU_GLOBAL,
    ),
    "bucket, role and the region itself": (
        "AWS::IAM::Policy",
        policy("arn:aws:s3:::b/*", "arn:aws:iam::1:role/*", {"Ref": "AWS::Region"}, "*"),
        EU,
    ),
    "the bill": (
        "AWS::CloudWatch::Dashboard",
        board({"properties": {"region": "us-east-1", "metrics": [[BILL]]}}),
        EU,
    ),
    "API of the region": (
        "AWS::ApiGateway::RestApi",
        {"EndpointConfiguration": {"Types": ["REGIONAL"]}},
        EU,
    ),
    "words that are no regions": (
        "AWS::Lambda::Function",
        function(A="north-1", B="us-east", C="meta-east-1x", D="plus-east-100"),
        EU,
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_what_stays_inside_passes(case: str) -> None:
    assert found(*INSIDE[case]) == []


@pytest.mark.parametrize("model", ["eu.amazon.nova-pro-v1:0", "global.amazon.nova-pro-v1:0"])
def test_with_the_residency_region_every_profile_is_a_way_out(model: str) -> None:
    assert len(found("AWS::Lambda::Function", function(M=model), EU_REGION)) == 1


@given(region=st.sampled_from(sorted(REGIONS)), text=st.text(alphabet='{}":/.,_ ', max_size=4))
def test_every_region_is_recognised_wherever_it_stands(region: str, text: str) -> None:
    lines = found("AWS::Lambda::Function", function(X=f"{text}{region}{text}"))
    assert bool(lines) == (REGIONS[region] is not Jurisdiction.EU)
    assert all(re.search(rf"names {region},", line) for line in lines)


def test_a_stack_outside_is_told() -> None:
    assert [it.location for it in leaving_stack("us-east-1", EU)] == ["Region"]
    assert list(leaving_stack("eu-west-3", EU)) == []


BUCKETS = {"near": "eu-west-1", "far": "us-east-1", "Logical": "eu-west-3"}


def copies(target: object) -> list[str]:
    properties = {"ReplicationConfiguration": {"Rules": [{"Destination": {"Bucket": target}}]}}
    return [it.reason for it in leaving_copies(properties, BUCKETS, EU)]


@pytest.mark.parametrize(
    "target",
    [
        "arn:aws:s3:::near",
        {"Fn::GetAtt": ["Logical", "Arn"]},
        {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":s3:::near"]]},
    ],
)
def test_a_copy_to_a_bucket_inside_passes(target: object) -> None:
    assert copies(target) == []


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("arn:aws:s3:::far", "in us-east-1"),
        ("arn:aws:s3:::somebody-elses", "no stack of the environment"),
        ({"Fn::ImportValue": "Bucket"}, "no stack of the environment"),
    ],
)
def test_a_copy_to_elsewhere_is_told_although_no_arn_says_so(target: object, where: str) -> None:
    (reason,) = copies(target)
    assert where in reason
