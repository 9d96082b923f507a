"""The gateway's stack with what an environment may add to it."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from gateway.app import ROUTES
from gateway.settings import BY_ITSELF, Oidc, Settings
from llm_constructs.bedrock_setting import RESOURCE_TYPE
from stacks.platform import build_app
from tests.constructs.synthesis import Template
from tests.minimal_environment import MINIMAL, loaded

ENVIRONMENT = (
    MINIMAL
    + """
[network.domain]
name = "llm.example.com"
hosted_zone_id = "Z0123456789"

[gateway]
masked_in_logs = ["NAME"]
log_retention_days = 30
playground = false

[gateway.oidc]
issuer = "https://id.example.com"
audiences = ["chat"]

[[gateway.models]]
alias = "fast"
model_id = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
"""
)

SETTINGS = """
[gateway.invocation_logging]
destinations = ["cloudwatch", "s3"]
data = ["text", "image"]
earlier_role_arns = ["arn:aws:iam::111111111111:role/logging/earlier"]

[gateway.data_retention]
mode = "none"
"""


SERVICE = """
[gateway.service]
repository = "llm/gateway"
version = "1.4.0"
client_cidrs = ["10.40.0.0/16"]
client_security_groups = ["sg-0123456789abcdef0"]

[gateway.service.capacity]
minimum_tasks = 3
concurrent_requests = 50
"""

PUBLIC = """
[gateway.service]
internet_facing = true
domain_prefix = "api"
"""

# What Lambda needs to run a function in a VPC, and Fargate does not.
OF_THE_FUNCTION = re.compile(r"logs:|xray:|ec2:")

Permission = tuple[str, str, str, str]


def template(folder: Path, text: str) -> Template:
    """Synthesise the environment that ``text`` describes, with every rule pack."""
    app = build_app([loaded(folder, text)], outdir=folder / "cdk.out")
    # An open finding, or an acknowledgement that no finding needs, ends the synthesis.
    return Template(app.synth().get_stack_by_name("llm-team-gateway").template)


@pytest.fixture(scope="module")
def with_settings(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return template(tmp_path_factory.mktemp("settings"), ENVIRONMENT + SETTINGS)


@pytest.fixture(scope="module")
def with_service(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return template(tmp_path_factory.mktemp("service"), ENVIRONMENT + SERVICE)


def permissions(stack: Template, role: str) -> set[Permission]:
    """Return one row for each action and resource of the role whose logical id begins so."""
    (identifier,) = [key for key in stack.of_type("AWS::IAM::Role") if key.startswith(role)]
    return {
        (statement["Effect"], action, json.dumps(resource), json.dumps(statement.get("Condition")))
        for policy in stack.properties("AWS::IAM::Policy")
        if {"Ref": identifier} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement.get("Resource") or {"Not": statement["NotResource"]})
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def secret(stack: Template, name: str) -> str:
    (identifier,) = [
        key for key in stack.of_type("AWS::SecretsManager::Secret") if key.startswith(name)
    ]
    return json.dumps({"Ref": identifier})


def container_variables(stack: Template) -> dict[str, Any]:
    (container,) = stack.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    return {it["Name"]: it["Value"] for it in container["Environment"]}


def function_variables(stack: Template) -> dict[str, Any]:
    (application,) = [
        it for it in stack.properties("AWS::Lambda::Function") if it["Handler"] == "gateway/run.sh"
    ]
    variables: dict[str, Any] = application["Environment"]["Variables"]
    return variables


def test_containers_may_do_what_the_function_does_and_read_the_pepper(
    with_service: Template,
) -> None:
    function = {
        it
        for it in permissions(with_service, "GatewayApplicationRole")
        if not OF_THE_FUNCTION.match(it[1])
    }
    task = permissions(with_service, "GatewayServiceTaskRole")
    pepper = secret(with_service, "GatewayPepper")

    assert {it[1] for it in function} >= {
        *("bedrock:InvokeModel", "bedrock:ApplyGuardrail", "dynamodb:UpdateItem", "kms:Decrypt"),
        "secretsmanager:GetSecretValue",
    }
    assert function <= task
    assert {it[:3] for it in task - function} == {
        ("Allow", action, pepper)
        for action in ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
    }
    assert not [it for it in function if it[2] == pepper]


def test_containers_are_denied_models_without_the_guardrail(with_service: Template) -> None:
    denied = {it for it in permissions(with_service, "GatewayServiceTaskRole") if it[0] == "Deny"}
    assert {it[1] for it in denied} == {
        "bedrock:InvokeModel",
        "bedrock:InvokeModelWithResponseStream",
    }
    assert all("bedrock:GuardrailIdentifier" in it[3] for it in denied)


def test_the_containers_variables_are_the_functions_and_their_own(with_service: Template) -> None:
    function, container = function_variables(with_service), container_variables(with_service)
    own = {"GATEWAY_MODELS", "GATEWAY_IDENTITY"}
    shared = {key for key in function if key.startswith("GATEWAY_")} - own
    assert {key: container[key] for key in shared} == {key: function[key] for key in shared}
    assert set(container) - set(function) == {
        *("GATEWAY_PEPPER_SECRET", "GATEWAY_HOST", "GATEWAY_PORT", "GATEWAY_THREADS"),
        *("GATEWAY_OIDC_ISSUER", "GATEWAY_OIDC_AUDIENCES", "GATEWAY_OIDC_TEAM_CLAIM"),
    }


def test_the_application_reads_the_containers_variables(with_service: Template) -> None:
    settings = Settings.read(
        {
            key: value if isinstance(value, str) else "known-later"
            for key, value in container_variables(with_service).items()
        }
    )
    assert settings.identity == BY_ITSELF
    assert settings.threads == 50
    assert settings.guardrail is not None
    assert settings.log_guardrail is not None
    assert settings.oidc == Oidc("https://id.example.com", ("chat",), "custom:team")
    assert list(settings.catalogue.entries()) == ["fast"]


def test_one_firewall_stands_before_the_api_and_the_containers(with_service: Template) -> None:
    (acl,) = with_service.of_type("AWS::WAFv2::WebACL")
    associations = with_service.properties("AWS::WAFv2::WebACLAssociation")
    assert [it["WebACLArn"] for it in associations] == [{"Fn::GetAtt": [acl, "Arn"]}] * 2
    balancer = next(iter(with_service.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer")))
    assert {"Ref": balancer} in [it["ResourceArn"] for it in associations]


def test_the_image_is_the_one_of_the_file_in_this_account(with_service: Template) -> None:
    (container,) = with_service.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    image = json.dumps(container["Image"])
    assert "111111111111.dkr.ecr.us-east-2." in image
    assert "/llm/gateway:1.4.0" in image


def test_a_digest_is_kept_as_a_digest(tmp_path: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    stack = template(tmp_path, ENVIRONMENT + SERVICE.replace("1.4.0", digest))
    (container,) = stack.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert f"/llm/gateway@{digest}" in json.dumps(container["Image"])


def test_the_service_has_a_name_of_its_own_and_lets_in_whom_the_file_names(
    with_service: Template,
) -> None:
    records = {it["Name"] for it in with_service.properties("AWS::Route53::RecordSet")}
    assert records == {"api.llm.example.com.", "service.llm.example.com."}
    balancer = with_service.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert balancer["Scheme"] == "internal"
    ranges = [
        rule["CidrIp"]
        for group in with_service.properties("AWS::EC2::SecurityGroup")
        for rule in group.get("SecurityGroupIngress", [])
    ]
    groups = [
        rule["SourceSecurityGroupId"]
        for rule in with_service.properties("AWS::EC2::SecurityGroupIngress")
        if rule["FromPort"] == 443
    ]
    assert (ranges, groups) == (["10.40.0.0/16"], ["sg-0123456789abcdef0"])


def test_public_containers_may_stand_beside_a_private_api(tmp_path: Path) -> None:
    text = ENVIRONMENT.replace("playground = false", "private = true")
    stack = template(tmp_path, text + SERVICE.replace("[gateway.service]", PUBLIC))
    balancer = stack.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert balancer["Scheme"] == "internet-facing"
    assert stack.only("AWS::ApiGateway::RestApi")["EndpointConfiguration"]["Types"] == ["PRIVATE"]
    (endpoint,) = [
        it
        for key, it in stack.of_type("AWS::EC2::SecurityGroup").items()
        if key.startswith("GatewayApiEndpoint")
    ]
    assert [it["CidrIp"] for it in endpoint["Properties"]["SecurityGroupIngress"]] == [
        "10.40.0.0/16"
    ]
    assert stack.only("AWS::Route53::RecordSet")["Name"] == "api.llm.example.com."
    assert stack.of_type("AWS::ElasticLoadBalancingV2::ListenerRule") == {}


def test_the_service_is_as_large_as_the_file_says(with_service: Template) -> None:
    target = with_service.only("AWS::ApplicationAutoScaling::ScalableTarget")
    assert target["MinCapacity"] == 3
    log_groups = with_service.of_type("AWS::Logs::LogGroup")
    (logs,) = [it for key, it in log_groups.items() if key.startswith("GatewayServiceLogs")]
    assert logs["Properties"]["RetentionInDays"] == 30


def test_without_the_playground_the_containers_serve_no_page(with_service: Template) -> None:
    rule = with_service.only("AWS::ElasticLoadBalancingV2::ListenerRule")
    (condition,) = rule["Conditions"]
    pages = [re.sub(r"<[^>]+>", "x", it.rule) for it in ROUTES.iter_rules()]
    closed = [
        page
        for page in pages
        if any(fnmatch(page, it) for it in condition["PathPatternConfig"]["Values"])
    ]
    assert {page.split("/")[1] for page in closed} == {"", "playground"}
    assert "/v1/chat/completions" in set(pages) - set(closed)


def test_the_settings_of_the_account_are_those_of_the_file(with_settings: Template) -> None:
    told = [str(it["Configuration"]) for it in with_settings.properties(RESOURCE_TYPE)]
    (logging,) = [it for it in told if "textDataDeliveryEnabled" in it]
    assert "s3Config" in logging
    assert "cloudWatchConfig" in logging
    assert '"imageDataDeliveryEnabled":true' in logging
    assert '"videoDataDeliveryEnabled":false' in logging
    (retention,) = [it for it in told if it != logging]
    assert retention == '{"mode":"none"}'


def test_the_role_of_earlier_logging_may_be_passed_to_bedrock_again(
    with_settings: Template,
) -> None:
    (function,) = [
        it["Environment"]["Variables"]
        for it in with_settings.properties("AWS::Lambda::Function")
        if it["Environment"]["Variables"].get("SETTING") == "invocation-logging"
    ]
    earlier = "arn:aws:iam::111111111111:role/logging/earlier"
    assert function["RESTORABLE_ROLES"] == earlier
    passed = [
        row
        for row in permissions(with_settings, "InvocationLoggingSettingProviderFunctionRole")
        if row[1] == "iam:PassRole" and row[2] == json.dumps(earlier)
    ]
    assert len(passed) == 1
    assert "bedrock.amazonaws.com" in passed[0][3]


def test_both_settings_are_changed_by_the_same_code(with_settings: Template) -> None:
    functions = [
        it
        for it in with_settings.properties("AWS::Lambda::Function")
        if it["Handler"].startswith("bedrock_settings.")
    ]
    assert len({str(it["Code"]) for it in functions}) == 1
    assert {it["Environment"]["Variables"]["SETTING"] for it in functions} == {
        "invocation-logging",
        "data-retention",
    }


def test_a_gateway_leaves_the_settings_of_the_account_alone_unless_asked(tmp_path: Path) -> None:
    assert template(tmp_path, ENVIRONMENT).of_type(RESOURCE_TYPE) == {}
