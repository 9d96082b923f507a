"""What the gateway is made of."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_route53 as route53

from authorizer.settings import Settings as AuthorizerSettings
from gateway.app import ROUTES
from gateway.catalogue import Catalogue
from gateway.governance.ledger import OPEN_LEASES
from gateway.governance.request_context import CONTEXT_HEADER
from gateway.governance.telemetry import DIMENSIONS, NAMESPACE, UNITS
from gateway.settings import Settings
from llm_constructs import gateway_tables
from llm_constructs.alarm import AlarmDescription
from llm_constructs.bedrock_gateway import BedrockGateway, GatewayCode
from llm_constructs.function_asset import build
from llm_constructs.gateway_api import GatewayDomain
from llm_constructs.specs.gateway import (
    Deployment,
    Gateway,
    OidcProvider,
    ProvisionedConcurrency,
    Throttle,
    UsagePlan,
)
from llm_constructs.specs.guardrail import FilterStrength, GuardrailSettings
from llm_constructs.specs.model import ModelAlias, Price
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.residency import Residency
from stacks.checks import add_checks
from stacks.gateway import APPLICATION, AUTHORIZER, CACHE
from tests.constructs.existing_vpc import existing_vpc
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
MODELS = (
    ModelAlias(alias="fast", model_id=f"us.{HAIKU}"),
    ModelAlias(alias="embed", model_id=TITAN),
)
GLOBAL_MODELS = (ModelAlias(alias="fast", model_id=f"global.{HAIKU}"),)
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
ACCOUNT, REGION = ENVIRONMENT.account, ENVIRONMENT.region


def construct(stack: cdk.Stack, *, with_domain: bool = False, **settings: Any) -> BedrockGateway:
    domain = None
    if with_domain:
        arn = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0"
        domain = GatewayDomain(
            name="api.llm.example.com",
            certificate=acm.Certificate.from_certificate_arn(stack, "Certificate", arn),
            hosted_zone=route53.HostedZone.from_hosted_zone_attributes(
                stack, "Zone", hosted_zone_id="Z0123456789", zone_name="llm.example.com"
            ),
        )
    return BedrockGateway(
        stack,
        "Gateway",
        gateway=Gateway(**{"models": MODELS, **settings}),
        environment_name="team",
        code=GatewayCode(
            application=lambda_.Code.from_asset(str(build(APPLICATION, CACHE))),
            authorizer=lambda_.Code.from_asset(str(build(AUTHORIZER, CACHE))),
        ),
        vpc=existing_vpc(stack),
        domain=domain,
    )


def gateway(**settings: Any) -> Template:
    return synthesised(lambda stack: construct(stack, **settings))


@pytest.fixture(scope="module")
def default() -> Template:
    return gateway(
        with_domain=True,
        provisioned_concurrency=ProvisionedConcurrency(minimum=2, maximum=20),
        usage_plans=(UsagePlan(name="batch", throttle=Throttle(requests_per_second=5, burst=9)),),
    )


def function(template: Template, handler: str) -> dict[str, Any]:
    (found,) = [
        it for it in template.properties("AWS::Lambda::Function") if it["Handler"] == handler
    ]
    return found


def statements(template: Template, role: str) -> list[dict[str, Any]]:
    (policy,) = [
        resource["Properties"]["PolicyDocument"]["Statement"]
        for key, resource in template.of_type("AWS::IAM::Policy").items()
        if role in key
    ]
    return list(policy)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class Recorded(Mapping[str, str]):
    """Variables that remember which of them were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def variables(template: Template, handler: str) -> dict[str, str]:
    """Return a function's variables, with what is known after the deployment filled in."""
    given: dict[str, Any] = function(template, handler)["Environment"]["Variables"]
    return {
        name: value if isinstance(value, str) else "known-later" for name, value in given.items()
    }


def catalogue_file() -> str:
    document = Gateway(models=MODELS).catalogue()
    return json.dumps(document)


def test_the_applications_variables_are_exactly_those_that_it_reads(default: Template) -> None:
    given = variables(default, "gateway/run.sh")
    own = {name: value for name, value in given.items() if name.startswith("GATEWAY_")}
    assert own["GATEWAY_MODELS"] == "/opt/gateway/models.json"
    recorded = Recorded({**own, "GATEWAY_MODELS": catalogue_file()})

    settings = Settings.read(recorded)

    left_at_their_defaults = {
        *("GATEWAY_HEARTBEAT_SECONDS", "GATEWAY_FIRST_EVENT_SECONDS", "GATEWAY_LARGEST_BODY_BYTES"),
        *("GATEWAY_HOST", "GATEWAY_PORT", "GATEWAY_THREADS"),
    }
    # Behind API Gateway the authoriser alone checks tokens.
    of_the_authoriser = {"GATEWAY_OIDC_ISSUER", "GATEWAY_OIDC_AUDIENCES"}
    of_the_option = {"GATEWAY_LOG_GUARDRAIL_ID", "GATEWAY_LOG_GUARDRAIL_VERSION"}
    # Of models of the environment's own, of which there are none here.
    of_the_option.add("GATEWAY_SERVER_KEYS")
    others = left_at_their_defaults | of_the_authoriser | of_the_option
    assert recorded.read == set(own) | others
    assert settings.identity == "request-context"
    assert settings.environment == "team"
    assert settings.guardrail is not None
    # Behind the adapter, in what else the function has there is nothing of the application's.
    assert {name for name in given if name not in own} == {
        "AWS_LAMBDA_EXEC_WRAPPER",
        "AWS_LWA_INVOKE_MODE",
        "AWS_LWA_READINESS_CHECK_PATH",
        "AWS_LWA_REMOVE_BASE_PATH",
    }


def test_the_authorisers_variables_are_those_that_it_reads(default: Template) -> None:
    recorded = Recorded(variables(default, "authorizer.handler.handler"))
    settings = AuthorizerSettings.from_environment(recorded)
    assert set(recorded) <= recorded.read
    assert recorded.read - set(recorded) == {
        *("OIDC_ISSUER", "OIDC_AUDIENCES", "OIDC_TEAM_CLAIM", "OIDC_JWKS_URL")
    }
    assert settings.usage_identifier_key in {
        key["Value"] for key in default.properties("AWS::ApiGateway::ApiKey")
    }


def test_the_authoriser_is_told_whose_tokens_to_accept() -> None:
    provider = OidcProvider(issuer="https://id.example.com", audiences=("chat", "batch"))
    recorded = Recorded(variables(gateway(oidc=provider), "authorizer.handler.handler"))
    settings = AuthorizerSettings.from_environment(recorded)
    assert settings.oidc_issuer == "https://id.example.com"
    assert settings.oidc_audiences == ("chat", "batch")
    assert settings.oidc_team_claim == "custom:team"
    assert recorded.read - set(recorded) == {"OIDC_JWKS_URL"}


def test_the_deadline_leaves_time_before_lambda_ends_the_function(default: Template) -> None:
    application = function(default, "gateway/run.sh")
    deadline = int(application["Environment"]["Variables"]["GATEWAY_DEADLINE_SECONDS"])
    integrations = [it["Integration"] for it in default.properties("AWS::ApiGateway::Method")]
    assert deadline + 60 <= application["Timeout"] == 900
    assert {it["TimeoutInMillis"] for it in integrations} == {900_000}


def test_the_layer_holds_the_catalogue_that_the_application_reads(tmp_path: Path) -> None:
    root = cdk.App(outdir=str(tmp_path), context=app().node.get_all_context())
    stack = cdk.Stack(root, "Test", env=ENVIRONMENT)
    construct(stack)
    root.synth()
    (file,) = tmp_path.glob("asset.*/gateway/models.json")
    entries = Catalogue.parse(file.read_text()).entries()
    assert {alias: entry.model_id for alias, entry in entries.items()} == {
        "fast": f"us.{HAIKU}",
        "embed": TITAN,
    }


def test_functions_are_arm64_private_traced_and_bounded(default: Template) -> None:
    functions = default.properties("AWS::Lambda::Function")
    assert len(functions) == 2
    for it in functions:
        assert it["Architectures"] == ["arm64"]
        assert it["Runtime"] == "python3.11"
        assert it["TracingConfig"] == {"Mode": "Active"}
        assert len(it["VpcConfig"]["SubnetIds"]) == 2
        assert "KmsKeyArn" in it
        assert "LogGroup" in it["LoggingConfig"]
    assert function(default, "gateway/run.sh")["ReservedConcurrentExecutions"] == 100
    assert function(default, "authorizer.handler.handler")["ReservedConcurrentExecutions"] == 25


def test_functions_accept_no_connection_and_open_only_https(default: Template) -> None:
    groups = default.properties("AWS::EC2::SecurityGroup")
    assert len(groups) == 2
    for group in groups:
        assert "SecurityGroupIngress" not in group
        (egress,) = group["SecurityGroupEgress"]
        assert (egress["IpProtocol"], egress["FromPort"], egress["ToPort"]) == ("tcp", 443, 443)


def test_the_web_adapter_is_the_pinned_layer_of_the_region(default: Template) -> None:
    layers = function(default, "gateway/run.sh")["Layers"]
    assert f"arn:aws:lambda:{REGION}:753240598075:layer:LambdaAdapterLayerArm64:27" in layers


def test_every_method_streams_from_the_alias(default: Template) -> None:
    methods = default.properties("AWS::ApiGateway::Method")
    alias = next(iter(default.of_type("AWS::Lambda::Alias")))
    assert methods
    for method in methods:
        assert method["Integration"]["ResponseTransferMode"] == "STREAM"
        uri = str(method["Integration"]["Uri"])
        assert "/response-streaming-invocations" in uri
        assert alias in uri


def paths(template: Template) -> dict[str, str]:
    """Return how each method of the API authorises, by ``METHOD /path``."""
    resources = template.of_type("AWS::ApiGateway::Resource")

    def path_of(identifier: Any) -> str:
        if "Ref" not in identifier:
            return ""
        properties = resources[identifier["Ref"]]["Properties"]
        return f"{path_of(properties['ParentId'])}/{properties['PathPart']}"

    return {
        f"{it['HttpMethod']} {path_of(it['ResourceId']) or '/'}": it["AuthorizationType"]
        for it in template.properties("AWS::ApiGateway::Method")
    }


def test_paths_without_a_credential_are_those_that_call_no_model(default: Template) -> None:
    assert paths(default) == {
        "GET /": "NONE",
        "GET /health": "NONE",
        "GET /openapi.json": "NONE",
        "GET /playground/{name}": "NONE",
        "ANY /v1/messages": "CUSTOM",
        "ANY /v1/{proxy+}": "CUSTOM",
        "ANY /iam/v1/{proxy+}": "AWS_IAM",
    }


def test_every_route_of_the_application_is_reached(default: Template) -> None:
    patterns = [
        re.compile(
            re.sub(r"\\\{proxy\\\+\\\}", ".+", re.escape(path)).replace(r"\{name\}", "[^/]+")
        )
        for path in (key.split(" ", 1)[1] for key in paths(default))
    ]
    rules = [re.sub(r"<[^>]+>", "x", rule.rule) for rule in ROUTES.iter_rules()]
    assert len(rules) > 8
    assert [rule for rule in rules if not any(it.fullmatch(rule) for it in patterns)] == []


def test_without_the_playground_its_pages_are_closed() -> None:
    assert {key for key, kind in paths(gateway(playground=False)).items() if kind == "NONE"} == {
        "GET /health",
        "GET /openapi.json",
    }


def test_keys_are_cached_under_the_header_that_carries_them(default: Template) -> None:
    authorizers = default.of_type("AWS::ApiGateway::Authorizer")
    by_cache = {
        it["Properties"]["AuthorizerResultTtlInSeconds"]: (key, it["Properties"])
        for key, it in authorizers.items()
    }
    assert by_cache[300][1]["IdentitySource"] == "method.request.header.Authorization"
    # A request without the named header is refused before the authoriser sees it; clients that
    # send x-api-key must not be.
    assert by_cache[0][1]["IdentitySource"] == ""
    messages = next(
        it
        for it in default.properties("AWS::ApiGateway::Method")
        if it.get("AuthorizerId") == {"Ref": by_cache[0][0]}
    )
    assert "messages" in messages["ResourceId"]["Ref"]


def test_the_authorisers_cache_can_be_turned_off() -> None:
    template = gateway(authorizer_cache_seconds=0)
    for authorizer in template.properties("AWS::ApiGateway::Authorizer"):
        assert authorizer["AuthorizerResultTtlInSeconds"] == 0
        assert authorizer["IdentitySource"] == ""


def test_usage_plans_are_chosen_by_the_authoriser_alone(default: Template) -> None:
    assert default.only("AWS::ApiGateway::RestApi")["ApiKeySourceType"] == "AUTHORIZER"
    values = sorted(key["Value"] for key in default.properties("AWS::ApiGateway::ApiKey"))
    assert [value.rsplit("-", 1)[-1] for value in values] == ["batch", "default"]
    throttles = [plan["Throttle"] for plan in default.properties("AWS::ApiGateway::UsagePlan")]
    assert {"RateLimit": 5, "BurstLimit": 9} in throttles
    for method in default.properties("AWS::ApiGateway::Method"):
        assert method.get("ApiKeyRequired", False) is (method["AuthorizationType"] == "CUSTOM")


def test_the_access_log_has_no_personal_data(default: Template) -> None:
    setting = default.only("AWS::ApiGateway::Stage")["AccessLogSetting"]
    line = json.loads(setting["Format"])
    assert {"requestId", "status", "team"} <= line.keys()
    for forbidden in ("sourceIp", "userAgent", "caller", "userArn", "path", "claims", "apiKey"):
        assert f"identity.{forbidden}" not in setting["Format"]
    assert "$context.path" not in setting["Format"].replace("$context.resourcePath", "")
    (methods,) = default.only("AWS::ApiGateway::Stage")["MethodSettings"]
    assert methods["DataTraceEnabled"] is False
    assert methods["LoggingLevel"] == "ERROR"


def test_log_groups_are_encrypted_and_expire(default: Template) -> None:
    groups = default.properties("AWS::Logs::LogGroup")
    assert len(groups) == 5
    for group in groups:
        assert group["RetentionInDays"] == 365
        assert "KmsKeyId" in group
    protected = [group for group in groups if "DataProtectionPolicy" in group]
    assert len(protected) == 4


def test_errors_of_api_gateway_itself_look_like_the_applications(default: Template) -> None:
    responses = {
        it["ResponseType"]: it for it in default.properties("AWS::ApiGateway::GatewayResponse")
    }
    assert {"UNAUTHORIZED", "THROTTLED", "WAF_FILTERED", "DEFAULT_5XX"} <= responses.keys()
    for response in responses.values():
        body = json.loads(response["ResponseTemplates"]["application/json"])
        assert body["type"] == "error"
        error = body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"].endswith((".", "?"))
        headers = response["ResponseParameters"]
        assert headers["gatewayresponse.header.x-request-id"] == "context.requestId"
    assert responses["UNAUTHORIZED"]["StatusCode"] == "401"
    retry = responses["THROTTLED"]["ResponseParameters"]["gatewayresponse.header.Retry-After"]
    assert retry == "'1'"
    assert "StatusCode" not in responses["DEFAULT_5XX"]


def test_with_a_domain_the_api_answers_nowhere_else(default: Template) -> None:
    assert default.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True
    domain = default.only("AWS::ApiGateway::DomainName")
    assert (domain["DomainName"], domain["SecurityPolicy"]) == ("api.llm.example.com", "TLS_1_2")
    record = default.only("AWS::Route53::RecordSet")
    assert (record["Name"], record["Type"]) == ("api.llm.example.com.", "A")


def test_without_a_domain_the_api_answers_under_its_own_name() -> None:
    template = gateway()
    assert template.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is False
    assert template.of_type("AWS::ApiGateway::DomainName") == {}


def test_a_private_api_answers_only_through_its_endpoint() -> None:
    template = gateway(private=True)
    api = template.only("AWS::ApiGateway::RestApi")
    endpoint = next(iter(template.of_type("AWS::EC2::VPCEndpoint")))
    assert api["EndpointConfiguration"]["Types"] == ["PRIVATE"]
    assert api["EndpointConfiguration"]["VpcEndpointIds"] == [{"Ref": endpoint}]
    deny = next(it for it in api["Policy"]["Statement"] if it["Effect"] == "Deny")
    assert deny["Condition"] == {"StringNotEquals": {"aws:SourceVpce": {"Ref": endpoint}}}
    (ingress,) = next(
        it["SecurityGroupIngress"]
        for it in template.properties("AWS::EC2::SecurityGroup")
        if "SecurityGroupIngress" in it
    )
    assert (ingress["CidrIp"], ingress["FromPort"]) == ("10.0.0.0/16", 443)


def test_the_firewall_lets_long_prompts_about_anything_pass(default: Template) -> None:
    rules = {rule["Name"]: rule for rule in default.only("AWS::WAFv2::WebACL")["Rules"]}
    counted = {
        override["Name"]
        for rule in rules.values()
        for override in rule["Statement"]
        .get("ManagedRuleGroupStatement", {})
        .get("RuleActionOverrides", [])
        if override["ActionToUse"] == {"Count": {}}
    }
    assert {"SizeRestrictions_BODY", "CrossSiteScripting_BODY", "Log4JRCE_BODY"} <= counted
    assert all(name.endswith("_BODY") for name in counted)
    context = rules["NoRequestContext"]
    assert context["Action"] == {"Block": {}}
    size = context["Statement"]["SizeConstraintStatement"]
    assert size["FieldToMatch"] == {"SingleHeader": {"Name": CONTEXT_HEADER}}
    rate = rules["RequestsPerAddress"]
    assert rate["Action"] == {"Block": {}}
    assert rate["Statement"]["RateBasedStatement"]["Limit"] == 3000


def test_the_firewall_stands_before_the_stage_and_logs_no_credential(default: Template) -> None:
    association = default.only("AWS::WAFv2::WebACLAssociation")
    assert next(iter(default.of_type("AWS::ApiGateway::Stage"))) in str(association["ResourceArn"])
    logging = default.only("AWS::WAFv2::LoggingConfiguration")
    redacted = {
        field["SingleHeader"]["Name"]
        for field in logging["RedactedFields"]
        if "SingleHeader" in field
    }
    assert {"authorization", "x-api-key"} <= redacted
    assert {"QueryString": {}} in logging["RedactedFields"]
    for rule in default.only("AWS::WAFv2::WebACL")["Rules"]:
        assert rule["VisibilityConfig"]["SampledRequestsEnabled"] is False


def test_tables_have_the_keys_that_the_application_uses(default: Template) -> None:
    tables = default.properties("AWS::DynamoDB::Table")
    assert gateway_tables.OPEN_LEASES == OPEN_LEASES
    for table in tables:
        assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["DeletionProtectionEnabled"] is True
        assert table["SSESpecification"]["SSEType"] == "KMS"
    (ledger,) = [table for table in tables if "TimeToLiveSpecification" in table]
    assert ledger["TimeToLiveSpecification"]["AttributeName"] == "expires_at"
    (index,) = ledger["GlobalSecondaryIndexes"]
    assert index["IndexName"] == OPEN_LEASES
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["open_team", "lease_until"]
    assert index["Projection"]["ProjectionType"] == "KEYS_ONLY"


def test_the_application_may_not_write_the_directory_or_read_the_pepper(default: Template) -> None:
    everything = statements(default, "ApplicationRole")
    directory = next(
        it
        for it in everything
        if "Directory" in str(it["Resource"]) and "dynamodb" in str(it["Action"])
    )
    assert directory["Action"] == "dynamodb:GetItem"
    assert "Pepper" not in str(everything)
    assert "Pepper" in str(statements(default, "AuthorizerRole"))
    assert "Pseudonyms" not in str(statements(default, "AuthorizerRole"))
    assert "Ledger" not in str(statements(default, "AuthorizerRole"))


def bedrock(template: Template) -> list[dict[str, Any]]:
    return [it for it in statements(template, "ApplicationRole") if "bedrock:" in str(it["Action"])]


def test_models_may_be_called_only_through_their_profile_and_in_their_jurisdiction(
    default: Template,
) -> None:
    allowed = [it for it in bedrock(default) if it["Effect"] == "Allow"]
    profile = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/us.{HAIKU}"
    through_profile = [it for it in allowed if "Condition" in it]
    assert [it["Condition"] for it in through_profile] == [
        {"StringEquals": {"bedrock:InferenceProfileArn": profile}}
    ]
    assert through_profile[0]["Resource"] == [
        f"arn:aws:bedrock:{region}::foundation-model/{HAIKU}"
        for region in ("us-east-1", "us-east-2", "us-west-1", "us-west-2")
    ]
    direct = [arn for it in allowed if "Condition" not in it for arn in listed(it["Resource"])]
    assert {arn for arn in direct if isinstance(arn, str)} == {
        profile,
        f"arn:aws:bedrock:{REGION}::foundation-model/{TITAN}",
    }
    assert "*" not in str([arn for it in allowed for arn in listed(it["Resource"])])


def test_everything_but_embedding_is_denied_without_the_guardrail(default: Template) -> None:
    (deny,) = [it for it in bedrock(default) if it["Effect"] == "Deny"]
    assert set(deny["Action"]) == {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}
    assert "bedrock:GuardrailIdentifier" in deny["Condition"]["StringNotLike"]
    assert "Resource" not in deny
    assert listed(deny["NotResource"]) == [f"arn:aws:bedrock:{REGION}::foundation-model/{TITAN}"]

    (without_embedding,) = [
        it for it in bedrock(gateway(models=MODELS[:1])) if it["Effect"] == "Deny"
    ]
    assert without_embedding["Resource"] == "*"


def test_a_dozen_models_fit_into_the_role() -> None:
    models = tuple(
        ModelAlias(
            alias=f"m{number}",
            model_id=f"us.anthropic.claude-with-a-long-name-{number:04}-20251001-v1:0",
            price=Price(input=1, output=1),
            context_tokens=1000,
            max_output_tokens=1000,
            default_output_tokens=1000,
        )
        for number in range(12)
    )
    template = gateway(models=models)
    parts = [
        it["PolicyDocument"]
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
        for key, resource in template.of_type(kind).items()
        if "ApplicationRole" in key and (it := resource["Properties"])
    ]
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    inline_limit = 10_240
    assert all(len(json.dumps(part, separators=(",", ":"))) <= inline_limit for part in parts)
    assert sum(str(part).count("inference-profile/us.") for part in parts) >= 24


def test_a_global_profile_may_be_computed_anywhere_but_only_through_itself() -> None:
    template = gateway(
        residency=Residency.GLOBAL,
        models=GLOBAL_MODELS,
    )
    (anywhere,) = [it for it in bedrock(template) if it["Effect"] == "Allow" and "Condition" in it]
    assert anywhere["Resource"] == f"arn:aws:bedrock:*::foundation-model/{HAIKU}"
    assert f"global.{HAIKU}" in str(anywhere["Condition"])


def test_logs_can_be_masked_by_a_guardrail_of_their_own() -> None:
    template = gateway(masked_in_logs=("NAME", "ADDRESS"))
    given = variables(template, "gateway/run.sh")
    own = {name: value for name, value in given.items() if name.startswith("GATEWAY_")}
    settings = Settings.read({**own, "GATEWAY_MODELS": catalogue_file()})
    assert settings.log_guardrail is not None
    (masking,) = [
        it
        for key, resource in template.of_type("AWS::Bedrock::Guardrail").items()
        if "LogGuardrail" in key and (it := resource["Properties"])
    ]
    entities = masking["SensitiveInformationPolicyConfig"]["PiiEntitiesConfig"]
    assert {(it["Type"], it["Action"]) for it in entities} == {
        ("NAME", "ANONYMIZE"),
        ("ADDRESS", "ANONYMIZE"),
    }
    assert "ContentPolicyConfig" not in masking
    apply = next(it for it in bedrock(template) if it["Action"] == "bedrock:ApplyGuardrail")
    assert len(apply["Resource"]) == 2


def guardrail_version(template: Template) -> str:
    return next(iter(template.of_type("AWS::Bedrock::GuardrailVersion")))


def test_another_guardrail_makes_another_version(default: Template) -> None:
    same = gateway(memory_mib=2048)
    other = gateway(guardrail=GuardrailSettings(masked_pii=("EMAIL",)))
    assert guardrail_version(same) == guardrail_version(default) != guardrail_version(other)
    variables_ = function(other, "gateway/run.sh")["Environment"]["Variables"]
    assert variables_["GATEWAY_GUARDRAIL_VERSION"]["Fn::GetAtt"][0] == guardrail_version(other)


def test_the_guardrail_filters_what_its_settings_say(default: Template) -> None:
    guardrail = default.only("AWS::Bedrock::Guardrail")
    filters = {it["Type"]: it for it in guardrail["ContentPolicyConfig"]["FiltersConfig"]}
    assert filters["PROMPT_ATTACK"]["InputStrength"] == "HIGH"
    assert filters["PROMPT_ATTACK"]["OutputStrength"] == "NONE"
    assert filters["HATE"]["OutputStrength"] == "MEDIUM"
    assert "KmsKeyArn" in guardrail
    assert "ContextualGroundingPolicyConfig" not in guardrail

    other = gateway(
        guardrail=GuardrailSettings(
            content_filters=FilterStrength.NONE,
            prompt_attacks=FilterStrength.NONE,
            blocked_pii=(),
            grounding_percent=80,
        )
    ).only("AWS::Bedrock::Guardrail")
    assert "ContentPolicyConfig" not in other
    assert "SensitiveInformationPolicyConfig" not in other
    (threshold,) = other["ContextualGroundingPolicyConfig"]["FiltersConfig"]
    assert threshold == {"Type": "GROUNDING", "Threshold": 0.8}


def test_secrets_hold_a_first_version_that_nobody_knows(default: Template) -> None:
    secrets = default.properties("AWS::SecretsManager::Secret")
    assert len(secrets) == 2
    for secret in secrets:
        generated = secret["GenerateSecretString"]
        assert json.loads(generated["SecretStringTemplate"]) == {"current": "v1"}
        assert (generated["GenerateStringKey"], generated["PasswordLength"]) == ("v1", 64)
        assert "SecretString" not in secret
        assert "KmsKeyId" in secret


def test_a_new_version_takes_over_by_canary_and_goes_back_on_alarms(default: Template) -> None:
    group = default.only("AWS::CodeDeploy::DeploymentGroup")
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    alarms = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    assert alarms == set(default.of_type("AWS::CloudWatch::Alarm"))
    assert len(alarms) == 2
    events = group["AutoRollbackConfiguration"]["Events"]
    assert {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"} <= set(events)
    (alias,) = default.of_type("AWS::Lambda::Alias").values()
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_codedeploy_may_change_this_alias_only(default: Template) -> None:
    lambda_statement, alarms = statements(default, "DeploymentRole")
    assert "lambda:UpdateAlias" in lambda_statement["Action"]
    assert "*" not in str(lambda_statement["Resource"])
    assert alarms["Action"] == "cloudwatch:DescribeAlarms"
    role = next(
        it["Properties"]
        for key, it in default.of_type("AWS::IAM::Role").items()
        if "DeploymentRole" in key
    )
    assert "ManagedPolicyArns" not in role


def test_a_deployment_can_be_at_once() -> None:
    group = gateway(deployment=Deployment.AT_ONCE).only("AWS::CodeDeploy::DeploymentGroup")
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaAllAtOnce"


def test_instances_are_kept_ready_as_asked(default: Template) -> None:
    target = default.only("AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 20)
    policy = default.only("AWS::ApplicationAutoScaling::ScalingPolicy")
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 0.7
    assert gateway().of_type("AWS::ApplicationAutoScaling::ScalableTarget") == {}


def test_the_accounts_logging_role_can_be_somebody_elses() -> None:
    assert gateway(logging_role=False).of_type("AWS::ApiGateway::Account") == {}
    assert len(gateway().of_type("AWS::ApiGateway::Account")) == 1


def test_a_workload_may_send_signed_requests_and_nothing_else() -> None:
    def build_with_workload(stack: cdk.Stack) -> None:
        role = iam.Role(stack, "Workload", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        construct(stack).grant_invoke(role)

    (statement,) = statements(synthesised(build_with_workload), "WorkloadDefaultPolicy")
    assert statement["Action"] == "execute-api:Invoke"
    assert "/live/*/iam/v1/*" in str(statement["Resource"])


def described() -> tuple[AlarmDescription, ...]:
    found: list[AlarmDescription] = []
    synthesised(lambda stack: found.extend(construct(stack).alarms))
    return tuple(found)


def test_every_alarm_has_a_runbook_and_a_name_of_its_own() -> None:
    alarms = described()
    assert len({alarm.name for alarm in alarms}) == len(alarms) >= 6
    for alarm in alarms:
        page = RUNBOOKS / f"{alarm.runbook}.md"
        named = re.findall(r"`(Gateway[A-Za-z]+)", page.read_text())
        assert any(alarm.name.startswith(name) for name in named), f"{page} lacks {alarm.name}"


def metrics_of(rendered: Any) -> Iterator[dict[str, Any]]:
    """Yield every metric within an alarm's properties."""
    if isinstance(rendered, dict) and "MetricName" in rendered:
        yield rendered
    parts = rendered.values() if isinstance(rendered, dict) else rendered
    for part in parts if isinstance(rendered, (dict, list)) else ():
        yield from metrics_of(part)


def test_alarms_watch_metrics_that_the_application_writes() -> None:
    def build_alarms(stack: cdk.Stack) -> None:
        for alarm in construct(stack).alarms:
            cloudwatch.Alarm(
                stack,
                alarm.name,
                metric=alarm.metric,
                threshold=alarm.threshold,
                evaluation_periods=alarm.evaluation_periods,
            )

    alarms = synthesised(build_alarms).properties("AWS::CloudWatch::Alarm")
    own = [it for it in metrics_of(alarms) if it.get("Namespace") == NAMESPACE]
    assert own
    for metric in own:
        assert metric["MetricName"] in UNITS
        dimensions = {it["Name"]: it["Value"] for it in metric["Dimensions"]}
        assert list(dimensions) in DIMENSIONS or [*reversed(dimensions)] in DIMENSIONS
        assert dimensions["Environment"] == "team"
        assert dimensions.get("Model", "fast") in ("fast", "embed")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"private": True, "playground": False},
        {"logging_role": False, "authorizer_cache_seconds": 0, "masked_in_logs": ("NAME",)},
        {"residency": Residency.GLOBAL, "models": GLOBAL_MODELS, "with_domain": True},
        {"oidc": OidcProvider(issuer="https://id.example.com", audiences=("chat",))},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_no_rule_pack_finds_anything_in_any_variant(settings: dict[str, Any]) -> None:
    root = app()
    add_checks(root)
    construct(cdk.Stack(root, "Test", env=ENVIRONMENT), **settings)
    # An open finding, or an acknowledgement that no finding needs, ends the synthesis.
    assert root.synth().get_stack_by_name("Test").template["Resources"]


def test_an_alias_without_an_endpoint_is_refused() -> None:
    own = ModelAlias(
        alias="own",
        served_by="qwen3-8b",
        context_tokens=8192,
        max_output_tokens=4096,
        price=Price(input=1, output=1),
    )
    with pytest.raises(SpecificationError, match=r"'qwen3-8b': No endpoint of this name"):
        gateway(models=(own,))
