"""A setting that Bedrock has once per account and region, as a resource of a stack."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.resource_provider import ResourceProvider, package_code

RESOURCE_TYPE = "Custom::BedrockSetting"

_PACKAGE = "bedrock_settings"
# Reading, writing and reading again, each with its own retries, and two minutes of waiting until
# Bedrock knows a role that was just made.
_TIMEOUT = Duration.minutes(5)


def setting_code(lambdas: Path) -> lambda_.Code:
    """Return the function's code: the package ``bedrock_settings`` in the folder ``lambdas``."""
    return package_code(lambdas, _PACKAGE)


class BedrockSetting(Construct):
    """Puts ``configuration`` in force, and on deletion what was in force before.

    ``code`` is what :func:`setting_code` returns, and ``setting`` the name that it knows the
    setting by. ``actions`` are what it may call of Bedrock. ``passed_roles`` are the roles in the
    configuration; ``restorable_roles`` are roles of an earlier configuration that may be passed
    to Bedrock again when that is put back.

    What was in force before, and which stack changed it, is kept in a parameter of Systems Manager
    whose name is the same in every stack: a second stack is refused while the first has the
    setting. AWS's ``AwsCustomResource`` would not do. It makes one fixed call per event, so it
    cannot read a setting and decide, and its function either carries the SDK of its runtime or
    downloads another while it runs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        setting: str,
        configuration: Mapping[str, Any],
        actions: Sequence[str],
        encryption_key: CustomerKey,
        passed_roles: Sequence[iam.IRole] = (),
        restorable_roles: Sequence[iam.IRole] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self._parameter = f"/llm-constructs/bedrock/{setting}"
        provider = ResourceProvider(
            self,
            "Provider",
            code=code,
            package=_PACKAGE,
            purpose="Takes a setting of Bedrock's over and gives it back",
            timeout=_TIMEOUT,
            encryption_key=encryption_key,
            environment={
                "SETTING": setting,
                "RECORD_PARAMETER": self._parameter,
                **_restorable(restorable_roles),
            },
        )
        function = provider.function
        self._allow_setting(function, actions)
        self._allow_passing(function, [*passed_roles, *restorable_roles])
        self.resource = CustomResource(
            self,
            "Resource",
            resource_type=RESOURCE_TYPE,
            service_token=provider.service_token,
            pascal_case_properties=False,
            properties={"Configuration": Stack.of(self).to_json_string(dict(configuration))},
        )
        # On deletion the function needs its permissions to put the earlier setting back.
        self.resource.node.add_dependency(function)

    def _allow_setting(self, function: lambda_.Function, actions: Sequence[str]) -> None:
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
        function.add_to_role_policy(iam.PolicyStatement(actions=list(actions), resources=["*"]))
        acknowledge(
            function.role or function,
            "AwsSolutions-IAM5[Resource::*]",
            reason="A setting of the whole account is no resource: IAM knows none for these "
            "actions, and each of them reads or changes this one setting and nothing else.",
        )
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter"],
                resources=[
                    Stack.of(self).format_arn(
                        service="ssm",
                        resource="parameter",
                        resource_name=self._parameter.removeprefix("/"),
                    )
                ],
            )
        )

    def _allow_passing(self, function: lambda_.Function, roles: Sequence[iam.IRole]) -> None:
        if roles:
            function.add_to_role_policy(
                iam.PolicyStatement(
                    actions=["iam:PassRole"],
                    resources=[role.role_arn for role in roles],
                    conditions={"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}},
                )
            )


def _restorable(roles: Sequence[iam.IRole]) -> dict[str, str]:
    arns = ",".join(role.role_arn for role in roles)
    return {"RESTORABLE_ROLES": arns} if arns else {}
