"""Fine-tuning as the tests of its constructs make it."""

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from llm_constructs.data_lake import DataLake
from llm_constructs.fine_tuning_pipeline import FineTuningPipelines
from llm_constructs.specs.fine_tuning import (
    BedrockFineTuning,
    FineTuning,
    LoggedMetric,
    SageMakerFineTuning,
)
from tests.constructs.existing_vpc import existing_vpc
from tests.constructs.synthesis import Template

BEDROCK = BedrockFineTuning(
    base_model="amazon.nova-micro-v1:0:128k",
    hyperparameters={"epochCount": "2", "learningRate": "0.00001"},
    training_hours=1,
)
SAGEMAKER = SageMakerFineTuning(
    repository="llm/fine-tuning",
    version="1.0.0",
    base_weights="qwen3-4b/2026-11-01/",
    instance_type="trn1.32xlarge",
    instances=2,
    hyperparameters={"epochs": "3"},
    quality=LoggedMetric(name="loss", pattern="eval_loss=([0-9.]+)", at_most=1.2),
)
APPROVED = FineTuning(bedrock=BEDROCK, sagemaker=SAGEMAKER, approvers=("lead@example.com",))
UNATTENDED = FineTuning(bedrock=BEDROCK, sagemaker=SAGEMAKER)


def pipelines(stack: cdk.Stack, fine_tuning: FineTuning = APPROVED) -> FineTuningPipelines:
    return FineTuningPipelines(
        stack,
        "FineTuning",
        fine_tuning=fine_tuning,
        name="test",
        # What is in the zip file is tested where it is built.
        code=lambda_.Code.from_bucket_v2(
            lambda_bucket(stack), "fine-tuning.zip", object_version="1"
        ),
        lake=DataLake(stack, "Lake"),
        vpc=existing_vpc(stack),
    )


def lambda_bucket(stack: cdk.Stack) -> Any:
    """Return a bucket that is there already."""
    return cdk.aws_s3.Bucket.from_bucket_name(stack, "Code", "code")


ATTRIBUTES = {
    "AWS::KMS::Key": "arn:aws:kms:us-east-1:111111111111:key/01234567-0123-0123-0123-0123456789ab",
    "AWS::IAM::Role": "arn:aws:iam::111111111111:role/{name}",
    "AWS::Lambda::Function": "arn:aws:lambda:us-east-1:111111111111:function:{name}",
    "AWS::EC2::SecurityGroup": "sg-0123456789abcdef0",
    "AWS::SNS::Topic": "arn:aws:sns:us-east-1:111111111111:{name}",
    "AWS::S3::Bucket": "bucket-{name}",
}


def resolved(template: Template, value: Any) -> str:
    """Return what CloudFormation would make of a text, with plausible ids."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            joined: str = separator.join(resolved(template, part) for part in parts)
            return joined
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case {"Ref": "AWS::URLSuffix"}:
            return "amazonaws.com"
        case {"Ref": name} | {"Fn::GetAtt": [name, _]}:
            kind = template.resources[name]["Type"]
            return ATTRIBUTES[kind].format(name=name.lower()[:40])
        case _:
            return str(value)


def definition(template: Template, branch: str) -> dict[str, Any]:
    """Return the definition of the state machine of ``branch`` as Step Functions gets it."""
    (machine,) = [
        it
        for it in template.properties("AWS::StepFunctions::StateMachine")
        if it["StateMachineName"].endswith(branch)
    ]
    loaded: dict[str, Any] = json.loads(resolved(template, machine["DefinitionString"]))
    return loaded
