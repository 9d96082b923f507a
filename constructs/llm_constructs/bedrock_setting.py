"""A setting that Bedrock has once per account and region, as a resource of a stack."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_cdk import CustomResource, Duration, IgnoreMode, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from llm_constructs.deployment_function import accept_deployment
from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole

RESOURCE_TYPE = "Custom::BedrockSetting"

_FOLDER = "bedrock_settings"
# Reading, writing and reading again, each with its own retries, and two minutes of waiting until
# Bedrock knows a role that was just made.
_TIMEOUT = Duration.minutes(5)
_MEMORY_MIB = 256
# In botocore's standard mode: about half a minute of throttling is waited for.
_ATTEMPTS = 6


def setting_code(lambdas: Path) -> lambda_.Code:
    """Return the code of the function: the package ``bedrock_settings`` in the folder ``lambdas``.

    It needs nothing but the SDK of Lambda's runtime, so no package is installed.
    """
    return lambda_.Code.from_asset(
        str(lambdas),
        ignore_mode=IgnoreMode.GIT,
        # The folder is the root that imports start at; the asset holds one package of it.
        exclude=["*", f"!/{_FOLDER}", f"!/{_FOLDER}/**", "__pycache__"],
    )


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
        self._key = encryption_key
        self._parameter = f"/llm-constructs/bedrock/{setting}"
        function = self._make_function(
            code,
            {
                "SETTING": setting,
                "RECORD_PARAMETER": self._parameter,
                **_restorable(restorable_roles),
            },
        )
        self._allow_setting(function, actions)
        self._allow_passing(function, [*passed_roles, *restorable_roles])
        self.resource = CustomResource(
            self,
            "Resource",
            resource_type=RESOURCE_TYPE,
            service_token=self._make_provider(function).service_token,
            pascal_case_properties=False,
            properties={"Configuration": Stack.of(self).to_json_string(dict(configuration))},
        )
        # On deletion the function needs its permissions to put the earlier setting back.
        self.resource.node.add_dependency(function)

    def _make_function(
        self, code: lambda_.Code, environment: Mapping[str, str]
    ) -> lambda_.Function:
        group = self._make_log_group("FunctionLogs")
        role = self._make_role("FunctionRole", "Changes a setting of Bedrock's", group)
        function = lambda_.Function(
            self,
            "Function",
            description="Takes a setting of Bedrock's over and gives it back",
            code=code,
            handler=f"{_FOLDER}.handler.handler",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=_MEMORY_MIB,
            timeout=_TIMEOUT,
            role=role,
            log_group=group,
            environment={
                **environment,
                "AWS_RETRY_MODE": "standard",
                "AWS_MAX_ATTEMPTS": str(_ATTEMPTS),
            },
        )
        accept_deployment(function)
        return function

    def _make_provider(self, function: lambda_.Function) -> cr.Provider:
        group = self._make_log_group("ProviderLogs")
        role = self._make_role("ProviderRole", "Calls the function that changes the setting", group)
        provider = cr.Provider(
            self,
            "Provider",
            on_event_handler=function,
            framework_on_event_role=role,
            log_group=group,
        )
        accept_deployment(provider)
        acknowledge(
            provider,
            "Serverless-LambdaDefaultMemorySize",
            reason="The function is the CDK's own, which fixes its memory; it waits for another "
            "function and passes the answer on, for which the smallest size is right.",
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::<...>:*]",
            reason="The provider framework of the CDK grants itself the versions and aliases of "
            "the one function that it calls, which the CDK does for every function.",
        )
        return provider

    def _make_log_group(self, construct_id: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            construct_id,
            encryption_key=self._key,
            retention=logs.RetentionDays.ONE_YEAR,
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _make_role(self, construct_id: str, description: str, group: logs.LogGroup) -> ServiceRole:
        role = ServiceRole(
            self,
            construct_id,
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=description,
        )
        group.grant_write(role)
        return role

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
