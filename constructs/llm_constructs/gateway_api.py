"""The REST API in front of the gateway's function."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration, Names, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.gateway_responses import add_error_responses
from llm_constructs.log_protection import masked_secrets
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.specs.gateway import DEFAULT_PLAN, Gateway, Throttle

STAGE = "live"

INTEGRATION_TIMEOUT = Duration.minutes(15)
"""The longest that API Gateway lets an answer stream.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
"""

IAM_PREFIX = "/iam"
"""What stands before the path of requests that are signed instead of carrying a key."""

_OPEN_PATHS = ("health", "openapi.json")

ACCESS_LOG = {
    "requestId": apigateway.AccessLogField.context_request_id(),
    "time": apigateway.AccessLogField.context_request_time_epoch(),
    "method": apigateway.AccessLogField.context_http_method(),
    "resource": apigateway.AccessLogField.context_resource_path(),
    "status": apigateway.AccessLogField.context_status(),
    "latency": apigateway.AccessLogField.context_response_latency(),
    "bytes": apigateway.AccessLogField.context_response_length(),
    "firewall": apigateway.AccessLogField.context_waf_response_code(),
    "key": apigateway.AccessLogField.context_authorizer_principal_id(),
    "team": apigateway.AccessLogField.context_authorizer("team"),
}
"""No address, no browser, no user's ARN (a role session is often named after a person), no path
with its parameters and no query."""


@dataclass(frozen=True)
class GatewayDomain:
    """Where the API is reached: a name, the certificate for it, and the zone that holds it."""

    name: str
    certificate: acm.ICertificate
    hosted_zone: route53.IHostedZone


class GatewayApi(Construct):
    """A REST API that streams what ``handler`` answers.

    ``/v1`` takes keys and tokens, which ``authorizer`` checks; ``/iam/v1`` takes signed requests.
    With ``domain`` the API answers under its name only. A private API answers inside ``vpc`` only.
    ``vpc_cidrs`` are the VPC's ranges, which the rule packs can check only where the synthesis
    knows them; by default ``vpc`` is asked.
    ``url`` is where clients begin, with a slash at its end.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        gateway: Gateway,
        handler: lambda_.IFunction,
        authorizer: lambda_.IFunction,
        vpc: ec2.IVpc,
        vpc_cidrs: Sequence[str] = (),
        encryption_key: CustomerKey,
        domain: GatewayDomain | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._gateway = gateway
        self._key = encryption_key
        self._removal_policy = removal_policy
        self._integration = apigateway.LambdaIntegration(
            handler,
            response_transfer_mode=apigateway.ResponseTransferMode.STREAM,
            timeout=INTEGRATION_TIMEOUT,
            scope_permission_to_method=False,
        )
        cidrs = vpc_cidrs or [vpc.vpc_cidr_block]
        endpoint = self._make_endpoint(vpc, cidrs) if gateway.private else None
        self.api = self._make_api(endpoint, closed=domain is not None)
        self._log_executions()
        self._add_open_routes()
        self._add_key_routes(authorizer)
        self._add_signed_routes()
        add_error_responses(self.api)
        self._add_usage_plans()
        self.url: str = self.api.url
        if domain is not None:
            self._attach(domain)
            self.url = f"https://{domain.name}/"

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` send signed requests to ``/iam/v1``."""
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["execute-api:Invoke"],
            resource_arns=[self.api.arn_for_execute_api("*", f"{IAM_PREFIX}/v1/*", STAGE)],
        )

    def metric_server_errors(self) -> cloudwatch.Metric:
        """Return the share of requests that failed on this side, between 0 and 1."""
        return self.metric("5XXError", "Average")

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric of API Gateway for the stage, over one minute.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
        """
        return self.api.metric(
            name,
            statistic=statistic,
            period=Duration.minutes(1),
            dimensions_map={"ApiName": self.api.rest_api_name, "Stage": STAGE},
        )

    def _make_api(
        self, endpoint: ec2.InterfaceVpcEndpoint | None, *, closed: bool
    ) -> apigateway.RestApi:
        throttles = [self._gateway.throttle, *(p.throttle for p in self._gateway.usage_plans)]
        self.access_logs = self._make_log_group("AccessLogs")
        api = apigateway.RestApi(
            self,
            "Api",
            # CloudWatch tells APIs apart by their names alone, and the CDK calls many "Api".
            rest_api_name=Stack.of(self).stack_name,
            description="OpenAI-compatible API in front of Bedrock",
            api_key_source_type=apigateway.ApiKeySourceType.AUTHORIZER,
            endpoint_configuration=_endpoint_configuration(endpoint),
            policy=_only_from(endpoint) if endpoint else None,
            disable_execute_api_endpoint=closed,
            cloud_watch_role=self._gateway.logging_role,
            cloud_watch_role_removal_policy=(
                self._removal_policy if self._gateway.logging_role else None
            ),
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                access_log_destination=apigateway.LogGroupLogDestination(self.access_logs),
                access_log_format=apigateway.AccessLogFormat.custom(_access_log_line()),
                # Beyond errors, execution logs hold parts of requests.
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,
                metrics_enabled=True,
                tracing_enabled=True,
                throttling_rate_limit=sum(it.requests_per_second for it in throttles),
                throttling_burst_limit=sum(it.burst for it in throttles),
            ),
        )
        # The CDK's own output would name an address that a domain closes.
        api.node.try_remove_child("Endpoint")
        self._acknowledge(api)
        return api

    def _make_endpoint(self, vpc: ec2.IVpc, cidrs: Sequence[str]) -> ec2.InterfaceVpcEndpoint:
        group = ec2.SecurityGroup(
            self,
            "EndpointSecurityGroup",
            vpc=vpc,
            description="HTTPS from the VPC to the private API",
            allow_all_outbound=False,
        )
        for cidr in cidrs:
            group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(443), "HTTPS from the VPC")
        return ec2.InterfaceVpcEndpoint(
            self,
            "Endpoint",
            vpc=vpc,
            service=ec2.InterfaceVpcEndpointAwsService.APIGATEWAY,
            subnets=ec2.SubnetSelection(subnets=vpc.private_subnets),
            security_groups=[group],
            open=False,
        )

    def _make_log_group(self, construct_id: str, name: str | None = None) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            construct_id,
            log_group_name=name,
            encryption_key=self._key,
            retention=retention_of(self._gateway.log_retention_days),
            removal_policy=self._removal_policy,
            data_protection_policy=masked_secrets(),
        )

    def _log_executions(self) -> None:
        # API Gateway would make the group itself, without a key and for ever:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
        group = self._make_log_group(
            "ExecutionLogs", f"API-Gateway-Execution-Logs_{self.api.rest_api_id}/{STAGE}"
        )
        self.api.deployment_stage.node.add_dependency(group)

    def _add_open_routes(self) -> None:
        paths: list[apigateway.IResource] = [
            self.api.root.add_resource(name) for name in _OPEN_PATHS
        ]
        if self._gateway.playground:
            pages = self.api.root.add_resource("playground").add_resource("{name}")
            paths += [self.api.root, pages]
        for path in paths:
            method = path.add_method(
                "GET", self._integration, authorization_type=apigateway.AuthorizationType.NONE
            )
            acknowledge(
                method,
                "AwsSolutions-APIG4",
                "AwsSolutions-COG4",
                reason="The path answers with a static page, the API's description or the state "
                "of the process. It says nothing of anybody's data and calls no model; the "
                "firewall's limit on single addresses and the stage's throttle hold for it.",
            )

    def _add_key_routes(self, function: lambda_.IFunction) -> None:
        header = apigateway.IdentitySource.header("Authorization")
        cached = self._make_authorizer(
            "Authorizer", function, self._gateway.authorizer_cache_seconds, [header]
        )
        # Anthropic's clients send `x-api-key` instead, and a request without the header that the
        # cache is kept under is refused before the authoriser sees it. So nothing is cached here.
        uncached = self._make_authorizer("UncachedAuthorizer", function, 0, [])
        version = self.api.root.add_resource("v1")
        for path, authorizer in (
            (version.add_resource("messages"), uncached),
            (version.add_proxy(any_method=False), cached),
        ):
            method = path.add_method(
                "ANY",
                self._integration,
                authorization_type=apigateway.AuthorizationType.CUSTOM,
                authorizer=authorizer,
                api_key_required=True,
            )
            acknowledge(
                method,
                "AwsSolutions-COG4",
                reason="The authoriser checks API keys, which programs carry, and JSON Web Tokens "
                "of any OpenID Connect provider; a Cognito authoriser knows only its own pool.",
            )

    def _add_signed_routes(self) -> None:
        prefix = self.api.root.add_resource(IAM_PREFIX.removeprefix("/"))
        method = (
            prefix.add_resource("v1")
            .add_proxy(any_method=False)
            .add_method(
                "ANY", self._integration, authorization_type=apigateway.AuthorizationType.IAM
            )
        )
        acknowledge(
            method,
            "AwsSolutions-COG4",
            reason="Workloads sign their requests with the credentials of their role; there is no "
            "user whom Cognito could know.",
        )

    def _make_authorizer(
        self,
        construct_id: str,
        function: lambda_.IFunction,
        cache_seconds: int,
        identity_sources: Sequence[str],
    ) -> apigateway.RequestAuthorizer:
        return apigateway.RequestAuthorizer(
            self,
            construct_id,
            handler=function,
            identity_sources=list(identity_sources) if cache_seconds else [],
            results_cache_ttl=Duration.seconds(cache_seconds),
        )

    def _add_usage_plans(self) -> None:
        self.usage_identifiers: dict[str, str] = {}
        self._add_usage_plan(DEFAULT_PLAN, self._gateway.throttle, None)
        for plan in self._gateway.usage_plans:
            self._add_usage_plan(plan.name, plan.throttle, plan.requests_per_day)

    def _add_usage_plan(self, name: str, throttle: Throttle, requests_per_day: int | None) -> None:
        construct_id = "".join(part.capitalize() for part in name.split("-"))
        plan = self.api.add_usage_plan(
            f"{construct_id}Plan",
            throttle=apigateway.ThrottleSettings(
                rate_limit=throttle.requests_per_second, burst_limit=throttle.burst
            ),
            quota=(
                apigateway.QuotaSettings(limit=requests_per_day, period=apigateway.Period.DAY)
                if requests_per_day
                else None
            ),
        )
        plan.add_api_stage(stage=self.api.deployment_stage)
        identifier = usage_identifier(self, name)
        key = self.api.add_api_key(
            f"{construct_id}Identifier",
            description=f"Names the usage plan {name}; it opens nothing",
            value=identifier,
        )
        plan.add_api_key(key)
        self.usage_identifiers[name] = identifier

    def _attach(self, domain: GatewayDomain) -> None:
        name = self.api.add_domain_name(
            "Domain",
            domain_name=domain.name,
            certificate=domain.certificate,
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )
        route53.ARecord(
            self,
            "AliasRecord",
            zone=domain.hosted_zone,
            record_name=f"{domain.name}.",
            target=route53.RecordTarget.from_alias(targets.ApiGatewayDomain(name)),
        )

    def _acknowledge(self, api: apigateway.RestApi) -> None:
        acknowledge(
            api,
            "AwsSolutions-APIG2",
            reason="The application checks every request against its schema and answers in the "
            "form that OpenAI's clients read, with the name of the wrong field; API Gateway's "
            "validator could do neither.",
        )
        stage = api.deployment_stage
        acknowledge(
            stage,
            "HIPAA.Security-APIGWCacheEnabledAndEncrypted",
            "NIST.800.53.R5-APIGWCacheEnabledAndEncrypted",
            "PCI.DSS.321-APIGWCacheEnabledAndEncrypted",
            reason="Answers are personal and never the same twice. A cache would give one caller "
            "what another one asked, and API Gateway cannot cache streams.",
        )
        acknowledge(
            stage,
            "HIPAA.Security-APIGWSSLEnabled",
            "NIST.800.53.R5-APIGWSSLEnabled",
            "PCI.DSS.321-APIGWSSLEnabled",
            reason="Client certificates prove API Gateway to HTTP backends. The backend is a "
            "function that only this API may invoke, by its resource policy.",
        )
        if self._gateway.logging_role:
            acknowledge(
                api,
                "AwsSolutions-IAM4[Policy::arn:...:iam::aws:policy/service-role/"
                "AmazonAPIGatewayPushToCloudWatchLogs]",
                reason="API Gateway has one role for the logs of all APIs of an account and "
                "region, and AWS documents this policy for it. Only API Gateway may assume it.",
            )


def usage_identifier(scope: Construct, plan: str) -> str:
    """Return the identifier of a usage plan, which teams are given with ``ops keys``.

    It is an API key to API Gateway and no credential: with ``AUTHORIZER`` as the source of keys
    only the authoriser can present one, after it has checked the caller's own.
    """
    return f"{Names.unique_resource_name(scope, max_length=60, separator='-')}-usage-plan-{plan}"


def _endpoint_configuration(
    endpoint: ec2.InterfaceVpcEndpoint | None,
) -> apigateway.EndpointConfiguration:
    if endpoint is None:
        return apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL])
    return apigateway.EndpointConfiguration(
        types=[apigateway.EndpointType.PRIVATE], vpc_endpoints=[endpoint]
    )


def _only_from(endpoint: ec2.InterfaceVpcEndpoint) -> iam.PolicyDocument:
    everything = "execute-api:/*"
    return iam.PolicyDocument(
        statements=[
            # Methods have authorisers of their own; a private API needs a policy that admits.
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["execute-api:Invoke"],
                resources=[everything],
            ),
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["execute-api:Invoke"],
                resources=[everything],
                conditions={"StringNotEquals": {"aws:SourceVpce": endpoint.vpc_endpoint_id}},
            ),
        ]
    )


def _access_log_line() -> str:
    members = ",".join(f'"{name}":"{value}"' for name, value in ACCESS_LOG.items())
    return f"{{{members}}}"


def stage_arn(api: apigateway.RestApi) -> str:
    """Return the ARN by which other services know the API's stage."""
    return (
        f"arn:{Stack.of(api).partition}:apigateway:{Stack.of(api).region}::"
        f"/restapis/{api.rest_api_id}/stages/{api.deployment_stage.stage_name}"
    )
