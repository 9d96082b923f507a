"""The CDK's own functions that work during deployments: what is accepted about them."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Stack
from constructs import IConstruct

from llm_constructs.nag import acknowledge

BUCKET_DEPLOYMENT: Final = "Custom::CDKBucketDeployment"
"""How the id of the function that copies assets into buckets begins; there is one in a stack."""

SDK_CALL: Final = "AWS679f53fac002430cb0da5b7982bd2287"
"""The id of the function of :class:`~aws_cdk.custom_resources.AwsCustomResource`; the same."""

_PACKS: Final = ("HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321")


def accept_deployment(function: IConstruct) -> None:
    """Accept findings on a function that CloudFormation calls, in words for each."""
    acknowledge(
        function,
        *(f"{pack}-LambdaInsideVPC" for pack in _PACKS),
        reason="It calls AWS's control plane and S3 only and runs during deployments only: a "
        "VPC would add endpoints and network interfaces, and nothing to protect.",
    )
    acknowledge(
        function,
        "HIPAA.Security-LambdaConcurrency",
        "NIST.800.53.R5-LambdaConcurrency",
        reason="Only CloudFormation calls it, once per deployment. Reserved concurrency would "
        "be taken from the account's functions that serve users.",
    )
    acknowledge(
        function,
        "HIPAA.Security-LambdaDLQ",
        "NIST.800.53.R5-LambdaDLQ",
        "Serverless-LambdaDLQ",
        reason="CloudFormation waits for the answer and fails the deployment when there is "
        "none; an event that was kept for later would act behind its back.",
    )
    acknowledge(
        function,
        "Serverless-LambdaTracing",
        reason="It runs once per deployment; its log says what it did, and CloudTrail has "
        "every call that it made.",
    )


def accept_deployment_function(scope: IConstruct, id_prefix: str, *further_rules: str) -> None:
    """Accept findings on the function of this id in the stack of ``scope``, in words for each.

    ``further_rules`` are those about what the CDK fixes: runtime and memory.
    """
    for function in _functions(scope, id_prefix):
        accept_deployment(function)
        acknowledge(
            function,
            *further_rules,
            reason="The function is the CDK's own, which fixes its runtime and memory and renews "
            "them with each of its releases.",
        )


def _functions(scope: IConstruct, id_prefix: str) -> Sequence[IConstruct]:
    children = Stack.of(scope).node.children
    return [child for child in children if child.node.id.startswith(id_prefix)]
