"""The gateway stack: changes daily; its tables and secrets stay."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from config import Environment
from llm_constructs.bedrock_gateway import BedrockGateway, GatewayCode
from llm_constructs.bedrock_setting import setting_code
from llm_constructs.data_retention import DataRetention
from llm_constructs.function_asset import FunctionSource, build
from llm_constructs.gateway_api import GatewayDomain
from llm_constructs.invocation_logging import InvocationLogging
from llm_constructs.model_endpoint import ModelEndpoint
from llm_constructs.network import Network
from llm_constructs.specs.gateway import Gateway
from llm_constructs.specs.gateway_service import ContainerService
from llm_constructs.specs.invocation_logging import InvocationLogs
from llm_constructs.specs.network import Domain
from llm_constructs.specs.problem import Problem, SpecificationError
from stacks.layer import Layer

ROOT = Path(__file__).parent.parent
LAMBDAS = ROOT / "lambdas"
CACHE = ROOT / ".cache" / "functions"

APPLICATION = FunctionSource(
    root=LAMBDAS,
    modules=("gateway.server",),
    requirements=LAMBDAS / "gateway" / "requirements.txt",
    services=("bedrock-runtime", "dynamodb", "secretsmanager"),
    # Behind API Gateway the authoriser checks tokens, and Lambda's own tracing makes the spans.
    left_out=frozenset({"jwt", "opentelemetry"}),
)

TOKEN_AUTHORIZER = FunctionSource(
    root=LAMBDAS,
    modules=("authorizer.handler",),
    requirements=LAMBDAS / "authorizer" / "requirements.txt",
    services=("dynamodb", "secretsmanager"),
)
"""The authoriser that also checks JSON Web Tokens."""

AUTHORIZER = replace(TOKEN_AUTHORIZER, left_out=frozenset({"jwt"}))
"""The authoriser where no OpenID Connect provider is set: it never comes to import PyJWT, which
brings a library for cryptography several times its own size."""


class GatewayStack(Layer):
    """The environment's API in front of Bedrock and its own models, as ``gateway``.

    ``endpoints`` are the models that the serving stack has, by name.
    The outputs are what ``python -m ops keys`` and ``usage`` look for.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        gateway: Gateway,
        endpoints: Mapping[str, ModelEndpoint] | None = None,
    ) -> None:
        super().__init__(
            scope,
            "gateway",
            environment=environment,
            description="OpenAI-compatible API in front of Bedrock",
            holds_data=True,
        )
        self.gateway = BedrockGateway(
            self,
            "Gateway",
            gateway=gateway,
            environment_name=environment.name,
            code=GatewayCode(
                application=_code(APPLICATION),
                authorizer=_code(TOKEN_AUTHORIZER if gateway.oidc else AUTHORIZER),
            ),
            vpc=network.vpc,
            vpc_cidrs=environment.network.chosen_vpc.cidrs,
            domain=(
                None
                if gateway.private
                else _domain(gateway.domain_prefix, environment.network.domain, network)
            ),
            endpoints=endpoints,
            removal_policy=self.removal_policy,
        )
        self._set_account_up(gateway)
        outputs = {
            "Url": self.gateway.api.url,
            "DirectoryTable": self.gateway.tables.directory.table_name,
            "LedgerTable": self.gateway.tables.ledger.table_name,
            "PepperSecret": self.gateway.pepper.secret_arn,
        }
        if gateway.service is not None:
            outputs["ServiceUrl"] = self._add_service(gateway.service, environment, network)
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)

    def _add_service(
        self, service: ContainerService, environment: Environment, network: Network
    ) -> str:
        """Add the containers and return where they are reached."""
        domain = _domain(service.domain_prefix, environment.network.domain, network)
        if domain is None:
            problem = Problem(
                "service",
                service.repository,
                "The load balancer speaks nothing but TLS, and the network has no certificate.",
                "Give the network its domain.",
            )
            raise SpecificationError("gateway stack", [problem])
        self.gateway.add_service("Service", service=service, domain=domain)
        return f"https://{domain.name}/"

    def _set_account_up(self, gateway: Gateway) -> None:
        """Make the settings that Bedrock has once per account and region, where they are given."""
        code = setting_code(LAMBDAS)
        if gateway.invocation_logging is not None:
            InvocationLogging(
                self,
                "InvocationLogging",
                code=code,
                logs=gateway.invocation_logging,
                restorable_roles=self._earlier_roles(gateway.invocation_logging),
                removal_policy=self.removal_policy,
            )
        if gateway.data_retention is not None:
            DataRetention(
                self,
                "DataRetention",
                code=code,
                mode=gateway.data_retention.mode,
                removal_policy=self.removal_policy,
            )

    def _earlier_roles(self, logs: InvocationLogs) -> list[iam.IRole]:
        return [
            iam.Role.from_role_arn(self, f"EarlierLoggingRole{number}", arn, mutable=False)
            for number, arn in enumerate(logs.earlier_role_arns)
        ]


def _code(source: FunctionSource) -> lambda_.Code:
    return lambda_.Code.from_asset(str(build(source, CACHE)))


def _domain(prefix: str, domain: Domain | None, network: Network) -> GatewayDomain | None:
    if domain is None or network.certificate is None or network.hosted_zone is None:
        return None
    return GatewayDomain(
        name=f"{prefix}.{domain.name}",
        certificate=network.certificate,
        hosted_zone=network.hosted_zone,
    )
