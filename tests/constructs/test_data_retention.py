"""Bedrock's data-retention mode."""

import json
from pathlib import Path

import botocore.session
import pytest

from bedrock_settings.settings import SettingKind, Settings
from llm_constructs.bedrock_setting import RESOURCE_TYPE, setting_code
from llm_constructs.data_retention import DataRetention
from llm_constructs.specs.data_retention import RetentionMode
from tests.constructs.synthesis import Template, synthesised

LAMBDAS = Path(__file__).parents[2] / "lambdas"


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(
        lambda stack: DataRetention(
            stack, "Retention", code=setting_code(LAMBDAS), mode=RetentionMode.NONE
        )
    )


def test_the_modes_are_those_that_bedrock_knows() -> None:
    model = botocore.session.get_session().get_service_model("bedrock")
    assert sorted(RetentionMode) == sorted(model.shape_for("DataRetentionMode").metadata["enum"])


def test_the_mode_is_told_to_the_function(template: Template) -> None:
    assert json.loads(template.only(RESOURCE_TYPE)["Configuration"]) == {"mode": "none"}


def test_the_function_may_read_and_set_the_mode_and_nothing_else_of_bedrock(
    template: Template,
) -> None:
    actions = [
        action
        for policy in template.properties("AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        for action in statement["Action"]
        if action.startswith("bedrock:")
    ]
    assert actions == ["bedrock:GetAccountDataRetention", "bedrock:PutAccountDataRetention"]


def test_the_functions_settings_accept_its_environment(template: Template) -> None:
    (variables,) = [
        function["Environment"]["Variables"]
        for function in template.properties("AWS::Lambda::Function")
        if function["Handler"] == "bedrock_settings.handler.handler"
    ]
    settings = Settings.from_environment(variables)
    assert settings.setting is SettingKind.DATA_RETENTION
    assert settings.record_parameter == "/llm-constructs/bedrock/data-retention"


def test_the_functions_logs_are_encrypted_and_expire(template: Template) -> None:
    groups = template.properties("AWS::Logs::LogGroup")
    assert len(groups) == 2
    assert all(group["KmsKeyId"] and group["RetentionInDays"] == 365 for group in groups)
