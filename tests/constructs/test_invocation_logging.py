"""Model-invocation logging: destinations, their policies, and the function that sets it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import botocore.session
import pytest
from aws_cdk import aws_iam as iam
from botocore.model import StructureShape
from botocore.validate import ParamValidator

from llm_constructs.bedrock_setting import RESOURCE_TYPE, setting_code
from llm_constructs.data_retention import DataRetention
from llm_constructs.invocation_logging import InvocationLogging
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.data_retention import RetentionMode
from llm_constructs.specs.invocation_logging import InvocationLogs, LogDestination, LoggedData
from llm_constructs.specs.problem import SpecificationError
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised

LAMBDAS = Path(__file__).parents[2] / "lambdas"
EVERYWHERE = InvocationLogs(
    destinations=frozenset(LogDestination), data=frozenset({LoggedData.TEXT, LoggedData.IMAGE})
)
CLOUDWATCH = InvocationLogs(destinations=frozenset({LogDestination.CLOUDWATCH}))
FROM_BEDROCK = {
    "StringEquals": {"aws:SourceAccount": "111111111111"},
    "ArnLike": {"aws:SourceArn": "arn:aws:bedrock:us-east-2:111111111111:*"},
}


def logging_template(logs: InvocationLogs | None = None) -> Template:
    return synthesised(
        lambda stack: InvocationLogging(stack, "Logging", code=setting_code(LAMBDAS), logs=logs)
    )


@pytest.fixture(scope="module")
def everywhere() -> Template:
    return logging_template(EVERYWHERE)


def statements(
    properties: dict[str, Any], document: str = "PolicyDocument"
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = properties[document]["Statement"]
    return found


def of_bedrock(found: list[dict[str, Any]]) -> dict[str, Any]:
    (statement,) = [s for s in found if s["Principal"] == {"Service": "bedrock.amazonaws.com"}]
    return statement


def flat(value: Any) -> str:
    """Return a joined text with the logical ids it refers to in braces."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        return "".join(map(flat, value["Fn::Join"][1]))
    (name,) = value.values()
    return f"{{{name if isinstance(name, str) else '.'.join(name)}}}"


def bedrocks_shape() -> StructureShape:
    model = botocore.session.get_session().get_service_model("bedrock")
    shape = model.shape_for("LoggingConfig")
    assert isinstance(shape, StructureShape)
    return shape


def configuration(template: Template) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(flat(template.only(RESOURCE_TYPE)["Configuration"]))
    return parsed


def function_statements(template: Template) -> list[dict[str, Any]]:
    (policy,) = [
        policy
        for policy in template.properties("AWS::IAM::Policy")
        if "ssm:GetParameter" in json.dumps(policy)
    ]
    return statements(policy)


def test_bedrock_may_write_its_logs_to_the_bucket_and_nothing_else(everywhere: Template) -> None:
    policies = everywhere.properties("AWS::S3::BucketPolicy")
    (policy,) = [p for p in policies if "bedrock.amazonaws.com" in json.dumps(p)]
    statement = of_bedrock(statements(policy))
    assert statement["Action"] == "s3:PutObject"
    assert flat(statement["Resource"]).endswith(
        "/AWSLogs/111111111111/BedrockModelInvocationLogs/*"
    )
    assert statement["Condition"] == FROM_BEDROCK


def test_bedrock_may_encrypt_with_the_key_and_nothing_else(everywhere: Template) -> None:
    statement = of_bedrock(statements(everywhere.only("AWS::KMS::Key"), "KeyPolicy"))
    assert statement["Action"] == "kms:GenerateDataKey"
    assert statement["Condition"] == FROM_BEDROCK


def test_bedrock_may_write_one_stream_of_the_log_group(everywhere: Template) -> None:
    roles = everywhere.properties("AWS::IAM::Role")
    (role,) = [r for r in roles if "bedrock.amazonaws.com" in json.dumps(r)]
    assert of_bedrock(statements(role, "AssumeRolePolicyDocument"))["Condition"] == FROM_BEDROCK
    (statement,) = [
        statement
        for policy in everywhere.properties("AWS::IAM::Policy")
        for statement in statements(policy)
        if "modelinvocations" in json.dumps(statement)
    ]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert flat(statement["Resource"]).endswith(":log-stream:aws/bedrock/modelinvocations")


def test_the_configuration_names_both_destinations_and_every_kind_of_data(
    everywhere: Template,
) -> None:
    told = configuration(everywhere)
    assert told["s3Config"] == told["cloudWatchConfig"]["largeDataDeliveryS3Config"]
    assert {key: value for key, value in told.items() if key.endswith("Enabled")} == {
        "textDataDeliveryEnabled": True,
        "imageDataDeliveryEnabled": True,
        "embeddingDataDeliveryEnabled": False,
        "videoDataDeliveryEnabled": False,
        "audioDataDeliveryEnabled": False,
    }


@pytest.mark.parametrize("logs", [None, CLOUDWATCH, EVERYWHERE])
def test_bedrocks_own_model_accepts_the_configuration(logs: InvocationLogs | None) -> None:
    told = configuration(logging_template(logs))
    if "cloudWatchConfig" in told:
        told["cloudWatchConfig"]["roleArn"] = "arn:aws:iam::111111111111:role/logs"
    shape = bedrocks_shape()
    assert set(told) <= set(shape.members)
    report = ParamValidator().validate(told, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_kinds_of_data_are_those_that_bedrock_knows() -> None:
    switches = [name for name in bedrocks_shape().members if name.endswith("Enabled")]
    assert sorted(switches) == sorted(f"{kind}DataDeliveryEnabled" for kind in LoggedData)


def test_only_the_chosen_destinations_are_made() -> None:
    cloudwatch, bucket = logging_template(CLOUDWATCH), logging_template()
    assert not cloudwatch.of_type("AWS::S3::Bucket")
    assert "s3Config" not in configuration(cloudwatch)
    assert "cloudWatchConfig" not in configuration(bucket)


def test_logs_go_after_their_days(everywhere: Template) -> None:
    (bucket,) = [
        b for b in everywhere.properties("AWS::S3::Bucket") if "ExpireInvocationLogs" in str(b)
    ]
    days = {
        rule["Id"]: rule.get("ExpirationInDays")
        for rule in bucket["LifecycleConfiguration"]["Rules"]
    }
    assert days["ExpireInvocationLogs"] == 30
    assert 30 in [g["RetentionInDays"] for g in everywhere.properties("AWS::Logs::LogGroup")]


def test_the_destinations_are_ready_before_bedrock_is_told(everywhere: Template) -> None:
    (resource,) = everywhere.of_type(RESOURCE_TYPE).values()
    kinds = {everywhere.resources[name]["Type"] for name in resource["DependsOn"]}
    assert {
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::Logs::LogGroup",
        "AWS::IAM::Policy",
        "AWS::KMS::Key",
        "AWS::Lambda::Function",
    } <= kinds


def test_the_function_may_change_this_setting_and_its_record_only(everywhere: Template) -> None:
    found = function_statements(everywhere)
    by_service: dict[str, list[dict[str, Any]]] = {}
    for statement in found:
        actions = statement["Action"]
        first = actions if isinstance(actions, str) else actions[0]
        by_service.setdefault(first.split(":")[0], []).append(statement)
    assert set(by_service) == {"bedrock", "iam", "logs", "ssm"}
    assert by_service["bedrock"][0]["Action"] == [
        "bedrock:DeleteModelInvocationLoggingConfiguration",
        "bedrock:GetModelInvocationLoggingConfiguration",
        "bedrock:PutModelInvocationLoggingConfiguration",
    ]
    assert flat(by_service["ssm"][0]["Resource"]).endswith(
        ":parameter/llm-constructs/bedrock/invocation-logging"
    )
    assert by_service["iam"][0]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}
    }


def test_without_a_log_group_no_role_may_be_passed() -> None:
    assert "iam:PassRole" not in json.dumps(function_statements(logging_template()))


def test_an_earlier_settings_role_may_be_passed_when_it_is_named() -> None:
    arn = "arn:aws:iam::111111111111:role/audit"
    template = synthesised(
        lambda stack: InvocationLogging(
            stack,
            "Logging",
            code=setting_code(LAMBDAS),
            restorable_roles=[iam.Role.from_role_arn(stack, "Audit", arn)],
        )
    )
    (statement,) = [s for s in function_statements(template) if s["Action"] == "iam:PassRole"]
    assert statement["Resource"] == arn
    environments = [f["Environment"]["Variables"] for f in functions(template)]
    assert arn in [variables.get("RESTORABLE_ROLES") for variables in environments]


def functions(template: Template) -> list[dict[str, Any]]:
    return [
        f
        for f in template.properties("AWS::Lambda::Function")
        if f["Handler"] == "bedrock_settings.handler.handler"
    ]


def test_the_functions_settings_accept_its_environment(everywhere: Template) -> None:
    from bedrock_settings.settings import SettingKind, Settings

    (function,) = functions(everywhere)
    variables = function["Environment"]["Variables"]
    settings = Settings.from_environment(variables)
    assert settings.setting is SettingKind.INVOCATION_LOGGING
    assert set(variables) == {"SETTING", "RECORD_PARAMETER", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"}


def test_the_asset_can_be_imported_by_itself(tmp_path: Path) -> None:
    root = app()
    stack = cdk.Stack(root, "Test", env=ENVIRONMENT)
    InvocationLogging(stack, "Logging", code=setting_code(LAMBDAS))
    assembly = root.synth()
    (function,) = functions(Template(assembly.get_stack_by_name("Test").template))
    digest = function["Code"]["S3Key"].removesuffix(".zip")
    asset = Path(assembly.directory) / f"asset.{digest}"
    assert [entry.name for entry in asset.iterdir()] == ["bedrock_settings"]
    assert not list(asset.rglob("__pycache__"))
    subprocess.run(
        [sys.executable, "-B", "-c", "import bedrock_settings.handler as h; h._session()"],
        cwd=asset,
        env={"PYTHONPATH": str(asset)},
        check=True,
    )


def test_readers_may_read_both_destinations() -> None:
    def build(stack: cdk.Stack) -> None:
        reader = iam.Role(stack, "Reader", assumed_by=iam.AccountRootPrincipal())
        InvocationLogging(stack, "Logging", code=setting_code(LAMBDAS), logs=EVERYWHERE).grant_read(
            reader
        )

    policies = synthesised(build).of_type("AWS::IAM::Policy")
    (policy,) = [p["Properties"] for name, p in policies.items() if name.startswith("Reader")]
    granted = json.dumps(policy)
    assert all(
        action in granted for action in ("s3:GetObject*", "logs:GetLogEvents", "kms:Decrypt")
    )


def test_every_problem_of_a_specification_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as refusal:
        InvocationLogs(
            destinations=frozenset({LogDestination.CLOUDWATCH}),
            data=frozenset({LoggedData.VIDEO}),
            retention_days=31,
        )
    assert {p.field for p in refusal.value.problems} == {"data", "retention_days"}


def test_logs_to_nowhere_are_refused() -> None:
    with pytest.raises(SpecificationError, match="destination"):
        InvocationLogs(destinations=frozenset())


@pytest.mark.slow
def test_no_rule_pack_and_no_linter_finds_anything(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        reader = ServiceRole(
            stack,
            "Reader",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description="Carries none of the statements of the constructs",
        )
        reader.add_to_policy(
            iam.PolicyStatement(actions=["sts:GetCallerIdentity"], resources=["arn:aws:sts:::a"])
        )
        InvocationLogging(
            stack, "Logging", code=setting_code(LAMBDAS), logs=EVERYWHERE, restorable_roles=[reader]
        )
        DataRetention(stack, "Retention", code=setting_code(LAMBDAS), mode=RetentionMode.NONE)

    assert open_findings(build, tmp_path) == set()
    assert lint_findings(tmp_path) == ""
