"""What a role may do with a fine-tuned model that the gateway offers."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from llm_constructs.model_access import statements_for
from llm_constructs.specs.residency import ModelReference

ARN = "arn:aws:bedrock:us-east-2:111111111111:custom-model-deployment/abcdefghijkl"


def test_a_role_may_call_the_deployment_and_nothing_beside_it() -> None:
    stack = cdk.Stack(cdk.App(), "Test")
    (statement,) = statements_for(stack, ModelReference.parse(ARN))
    assert statement.effect is iam.Effect.ALLOW
    assert statement.actions == ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    assert statement.resources == [ARN]
