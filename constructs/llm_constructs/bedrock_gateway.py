"""The gateway: a governed, OpenAI-compatible API in front of Bedrock."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct

from llm_constructs.alarm import AlarmDescription
from llm_constructs.encryption import CustomerKey
from llm_constructs.gateway_alarms import (
    GatewayMetrics,
    describe_alarms,
    describe_rollback_alarms,
)
from llm_constructs.gateway_api import IAM_PREFIX, GatewayApi, GatewayDomain, stage_arn
from llm_constructs.gateway_application import GatewayApplication
from llm_constructs.gateway_deployment import ALIAS, GatewayDeployment, keep_ready
from llm_constructs.gateway_firewall import GatewayFirewall
from llm_constructs.gateway_queries import describe_queries
from llm_constructs.gateway_service import GatewayService
from llm_constructs.gateway_signals import describe_signals
from llm_constructs.gateway_tables import GatewayTables
from llm_constructs.guardrail import Guardrail
from llm_constructs.model_endpoint import ModelEndpoint
from llm_constructs.private_function import FunctionShape, PrivateFunction
from llm_constructs.specs.gateway import DEFAULT_PLAN, Gateway, OidcProvider, WebAdapterLayer
from llm_constructs.specs.gateway_service import ContainerService
from llm_constructs.specs.guardrail import GuardrailSettings, masking_only
from llm_constructs.specs.problem import Problems
from llm_constructs.versioned_secret import VersionedKeySecret

FUNCTION_TIMEOUT = Duration.minutes(15)
"""The longest that a function runs.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

PLAYGROUND_PATHS = ("/", "/playground/*")
"""What the application serves that API Gateway has no method for when there is no playground."""

AUTHORIZER_TIMEOUT = Duration.seconds(10)
AUTHORIZER_MEMORY_MIB = 512
AUTHORIZER_SHARE = 4
"""One check takes tens of milliseconds where an answer takes seconds, so that a fourth of the
gateway's concurrency never makes it wait."""

CATALOGUE_PATH = "gateway/models.json"
"""Where the layer holds the catalogue, below ``/opt``. As an environment variable it would soon
exceed the 4 KB that all variables of a function have together."""


@dataclass(frozen=True)
class GatewayCode:
    """The zip files of the two functions."""

    application: lambda_.Code
    authorizer: lambda_.Code


class BedrockGateway(Construct):
    """The API with its functions, tables, secrets, guardrail and firewall.

    ``environment_name`` is the dimension of the application's metrics. ``api`` is the API,
    ``alias`` the version of the function that is in use, ``tables`` and ``pepper`` are what keys
    are administered with, ``guardrail`` is what every chat call passes, ``alarms``, ``signals`` and
    ``queries`` say what to watch. Data and keys follow ``removal_policy``. A private API accepts
    calls from ``vpc_cidrs``, by default the range that ``vpc`` knows. ``endpoints`` are the models
    that the environment serves, by name; those that aliases lead to are called as well.

    Raises :class:`~llm_constructs.specs.problem.SpecificationError` for an alias without endpoint.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        gateway: Gateway,
        environment_name: str,
        code: GatewayCode,
        vpc: ec2.IVpc,
        vpc_cidrs: Sequence[str] = (),
        domain: GatewayDomain | None = None,
        endpoints: Mapping[str, ModelEndpoint] | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._gateway = gateway
        self._endpoints = _chosen(gateway, endpoints or {})
        self._vpc = vpc
        self._removal_policy = removal_policy
        self.key = CustomerKey(
            self,
            "Key",
            description="Encrypts the gateway's tables, secrets and logs",
            removal_policy=removal_policy,
        )
        self.key.allow_log_groups()
        self.tables = GatewayTables(
            self, "Tables", encryption_key=self.key, removal_policy=removal_policy
        )
        self.pepper = self._make_secret("Pepper", "HMAC keys of the digests of API keys")
        pseudonyms = self._make_secret("Pseudonyms", "HMAC keys of pseudonyms in logs")
        self.guardrail = self._make_guardrail(
            "Guardrail", gateway.guardrail, "Every chat call of the gateway passes it"
        )
        self._application = GatewayApplication(
            gateway=gateway,
            environment_name=environment_name,
            tables=self.tables,
            pseudonyms=pseudonyms,
            guardrail=self.guardrail,
            log_guardrail=self._make_log_guardrail(),
            endpoints=tuple(self._endpoints.values()),
        )
        self._function = self._make_application(code.application)
        self.alias = self._function.function.add_alias(ALIAS)
        if gateway.provisioned_concurrency:
            keep_ready(self.alias, gateway.provisioned_concurrency)
        self._authorizer = self._make_authorizer(code.authorizer)
        self.api = GatewayApi(
            self,
            "Api",
            gateway=gateway,
            handler=self.alias,
            authorizer=self._authorizer.function,
            vpc=vpc,
            vpc_cidrs=vpc_cidrs,
            encryption_key=self.key,
            domain=domain,
            removal_policy=removal_policy,
        )
        self._authorizer.function.add_environment(
            "USAGE_IDENTIFIER_KEY", self.api.usage_identifiers[DEFAULT_PLAN]
        )
        self._firewall = GatewayFirewall(
            self,
            "Firewall",
            stage_arn=stage_arn(self.api.api),
            requests_per_address=gateway.requests_per_address,
            encryption_key=self.key,
            log_retention_days=gateway.log_retention_days,
            removal_policy=removal_policy,
        )
        self._metrics = self._make_metrics(environment_name)
        self.alarms: tuple[AlarmDescription, ...] = describe_alarms(self._metrics)
        self.signals = describe_signals(
            gateway=gateway,
            metrics=self._metrics,
            api=self.api,
            function=self._function.function,
            firewall=self._firewall,
            ledger=self.tables.ledger,
        )
        self.queries = describe_queries(
            application=self._function.log_group,
            access=self.api.access_logs,
            firewall=self._firewall.log_group,
            authorizer=self._authorizer.log_group,
        )
        GatewayDeployment(
            self,
            "Deployment",
            alias=self.alias,
            deployment=gateway.deployment,
            alarms=describe_rollback_alarms(self._metrics),
        )

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` send signed requests; its role must also be registered for a team."""
        return self.api.grant_invoke(grantee)

    def metric_server_errors(self) -> cloudwatch.Metric:
        """Return the share of requests that failed on this side, between 0 and 1."""
        return self.api.metric_server_errors()

    def add_service(
        self, construct_id: str, *, service: ContainerService, domain: GatewayDomain
    ) -> GatewayService:
        """Run the application in containers as well, reached as ``domain``.

        They share the function's tables, secrets, guardrails, models and firewall. Nobody checks
        credentials before them, so they may read the pepper besides.
        """
        made = GatewayService(
            self,
            construct_id,
            vpc=self._vpc,
            image=ecs.ContainerImage.from_ecr_repository(
                ecr.Repository.from_repository_name(self, "Repository", service.repository),
                service.version,
            ),
            environment={
                **self._application.environment(),
                "GATEWAY_MODELS": self._gateway.catalogue_text(self._base_urls),
                "GATEWAY_PEPPER_SECRET": self.pepper.secret_arn,
                **_oidc_environment(self._gateway.oidc, prefix="GATEWAY_"),
            },
            certificate=domain.certificate,
            web_acl_arn=self._firewall.acl_arn,
            clients=self._clients(service),
            internet_facing=service.internet_facing,
            closed_paths=() if self._gateway.playground else PLAYGROUND_PATHS,
            capacity=service.capacity,
            log_retention_days=self._gateway.log_retention_days,
            removal_policy=self._removal_policy,
        )
        self._application.grant(made.task_role, scope=self)
        self.pepper.grant_read(made.task_role)
        route53.ARecord(
            made,
            "AliasRecord",
            zone=domain.hosted_zone,
            record_name=f"{domain.name}.",
            target=route53.RecordTarget.from_alias(targets.LoadBalancerTarget(made.load_balancer)),
        )
        return made

    @property
    def _base_urls(self) -> Mapping[str, str]:
        return {name: endpoint.base_url for name, endpoint in self._endpoints.items()}

    def _clients(self, service: ContainerService) -> list[ec2.IConnectable]:
        groups = (
            ec2.SecurityGroup.from_security_group_id(self, f"Client{index}", group, mutable=False)
            for index, group in enumerate(service.client_security_groups)
        )
        return [*map(ec2.Peer.ipv4, service.client_cidrs), *groups]

    def _make_secret(self, construct_id: str, description: str) -> VersionedKeySecret:
        return VersionedKeySecret(
            self,
            construct_id,
            description=description,
            encryption_key=self.key,
            removal_policy=self._removal_policy,
        )

    def _make_application(self, code: lambda_.Code) -> PrivateFunction:
        function = self._make_function(
            "Application",
            FunctionShape(
                description="Answers the gateway's requests",
                code=code,
                handler="gateway/run.sh",
                memory_mib=self._gateway.memory_mib,
                timeout=FUNCTION_TIMEOUT,
                reserved_concurrency=self._gateway.reserved_concurrency,
                environment={
                    **_web_adapter_environment(),
                    **self._application.environment(),
                    "GATEWAY_MODELS": f"/opt/{CATALOGUE_PATH}",
                    "GATEWAY_IDENTITY": "request-context",
                },
                layers=[self._web_adapter(self._gateway.web_adapter), self._catalogue_layer()],
            ),
        )
        self._application.grant(function.role, scope=self)
        return function

    def _make_log_guardrail(self) -> Guardrail | None:
        kinds = self._gateway.masked_in_logs
        if not kinds:
            return None
        return self._make_guardrail(
            "LogGuardrail", masking_only(kinds), "Masks the gateway's request log a second time"
        )

    def _make_guardrail(
        self, construct_id: str, settings: GuardrailSettings, description: str
    ) -> Guardrail:
        return Guardrail(
            self,
            construct_id,
            settings=settings,
            description=description,
            encryption_key=self.key,
        )

    def _make_authorizer(self, code: lambda_.Code) -> PrivateFunction:
        authorizer = self._make_function(
            "Authorizer",
            FunctionShape(
                description="Checks the keys and tokens of the gateway's callers",
                code=code,
                handler="authorizer.handler.handler",
                memory_mib=AUTHORIZER_MEMORY_MIB,
                timeout=AUTHORIZER_TIMEOUT,
                reserved_concurrency=max(1, self._gateway.reserved_concurrency // AUTHORIZER_SHARE),
                environment={
                    "DIRECTORY_TABLE": self.tables.directory.table_name,
                    "PEPPER_SECRET": self.pepper.secret_arn,
                    **_oidc_environment(self._gateway.oidc),
                },
            ),
        )
        self.tables.grant_look_up(authorizer.role)
        self.pepper.grant_read(authorizer.role)
        return authorizer

    def _make_function(self, construct_id: str, shape: FunctionShape) -> PrivateFunction:
        return PrivateFunction(
            self,
            construct_id,
            shape=shape,
            vpc=self._vpc,
            encryption_key=self.key,
            log_retention_days=self._gateway.log_retention_days,
            removal_policy=self._removal_policy,
        )

    def _web_adapter(self, layer: WebAdapterLayer) -> lambda_.ILayerVersion:
        arn = Stack.of(self).format_arn(
            service="lambda",
            account=layer.account,
            resource="layer",
            resource_name=f"{layer.name}:{layer.version}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return lambda_.LayerVersion.from_layer_version_arn(self, "WebAdapter", arn)

    def _catalogue_layer(self) -> lambda_.LayerVersion:
        with tempfile.TemporaryDirectory() as name:
            file = Path(name, CATALOGUE_PATH)
            file.parent.mkdir()
            catalogue = self._gateway.catalogue(self._base_urls)
            file.write_text(json.dumps(catalogue, sort_keys=True, indent=1))
            return lambda_.LayerVersion(
                self,
                "Catalogue",
                # The CDK copies the folder at once, so that it may go.
                code=lambda_.Code.from_asset(name),
                description="The models that the gateway offers",
                compatible_architectures=[lambda_.Architecture.ARM_64],
                # The version before is still in use while a deployment may go back.
                removal_policy=RemovalPolicy.RETAIN,
            )

    def _make_metrics(self, environment_name: str) -> GatewayMetrics:
        minute = Duration.minutes(1)
        return GatewayMetrics(
            environment=environment_name,
            aliases=tuple(model.alias for model in self._gateway.models),
            server_errors=self.api.metric_server_errors(),
            function_errors=self.alias.metric_errors(period=minute),
            function_throttles=self.alias.metric_throttles(period=minute),
            authorizer_errors=self._authorizer.function.metric_errors(period=minute),
        )


def _chosen(
    gateway: Gateway, endpoints: Mapping[str, ModelEndpoint]
) -> Mapping[str, ModelEndpoint]:
    """Return the endpoints that aliases lead to."""
    problems = Problems("gateway")
    for name in gateway.served_models:
        problems.require(
            name in endpoints,
            "models.served_by",
            name,
            "No endpoint of this name was given.",
            f"Choose from {', '.join(endpoints) or 'nothing'}.",
        )
    problems.raise_if_any()
    return {name: endpoints[name] for name in gateway.served_models}


def _web_adapter_environment() -> Mapping[str, str]:
    """Return what the Lambda Web Adapter reads.

    https://awslabs.github.io/aws-lambda-web-adapter/configuration/environment-variables.html
    """
    return {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
        "AWS_LWA_INVOKE_MODE": "response_stream",
        "AWS_LWA_READINESS_CHECK_PATH": "/health",
        # Signed requests reach the same paths as those with a key.
        "AWS_LWA_REMOVE_BASE_PATH": IAM_PREFIX,
    }


def _oidc_environment(provider: OidcProvider | None, *, prefix: str = "") -> Mapping[str, str]:
    if provider is None:
        return {}
    return {
        f"{prefix}OIDC_ISSUER": provider.issuer,
        f"{prefix}OIDC_AUDIENCES": ",".join(provider.audiences),
        f"{prefix}OIDC_TEAM_CLAIM": provider.team_claim,
    }
