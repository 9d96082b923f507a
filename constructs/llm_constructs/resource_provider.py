"""What makes custom resources: a function of ours behind the CDK's provider framework."""

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from llm_constructs.deployment_function import accept_deployment
from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole

_MEMORY_MIB = 256
# In botocore's standard mode: about half a minute of throttling is waited for.
_RETRIES = {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "6"}


def package_code(lambdas: Path, package: str) -> lambda_.Code:
    """Return the code of one package in the folder ``lambdas``.

    It may need nothing but the SDK of Lambda's runtime: no other package is installed.
    """
    return lambda_.Code.from_asset(
        str(lambdas),
        ignore_mode=IgnoreMode.GIT,
        # The folder is the root that imports start at; the asset holds one package of it.
        exclude=["*", f"!/{package}", f"!/{package}/**", "__pycache__"],
    )


class ResourceProvider(Construct):
    """Runs ``handler.handler`` of ``package`` for each custom resource of its ``service_token``.

    ``code`` is what :func:`package_code` returns of the package. ``purpose`` completes "This
    function …" for whoever reads the console. What the function may do is added to ``function``.
    ``timeout`` is for one event; the provider framework allows 15 minutes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        package: str,
        purpose: str,
        timeout: Duration,
        encryption_key: CustomerKey,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._key = encryption_key
        group = self._make_log_group("FunctionLogs")
        self.function = lambda_.Function(
            self,
            "Function",
            description=purpose,
            code=code,
            handler=f"{package}.handler.handler",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=_MEMORY_MIB,
            timeout=timeout,
            role=self._make_role("FunctionRole", purpose, group),
            log_group=group,
            environment={**(environment or {}), **_RETRIES},
        )
        accept_deployment(self.function)
        self.service_token: str = self._make_framework(purpose).service_token

    def _make_framework(self, purpose: str) -> cr.Provider:
        group = self._make_log_group("FrameworkLogs")
        role = self._make_role(
            "FrameworkRole", f"Calls what {purpose[0].lower()}{purpose[1:]}", group
        )
        provider = cr.Provider(
            self,
            "Framework",
            on_event_handler=self.function,
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
