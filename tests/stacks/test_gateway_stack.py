"""The gateway's stack with what an environment may add to it."""

from pathlib import Path

import pytest

from config import load
from llm_constructs.bedrock_setting import RESOURCE_TYPE
from stacks.platform import build_app
from tests.constructs.synthesis import Template

ENVIRONMENT = """
account = "111111111111"
region = "us-east-2"
jurisdiction = "us"

[tags]
owner = "ml-platform"
cost-center = "research"

[network.vpc]
cidr = "10.40.0.0/16"
availability_zones = ["us-east-2a", "us-east-2b"]

[gateway]

[[gateway.models]]
alias = "fast"
model_id = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
"""

SETTINGS = """
[gateway.invocation_logging]
destinations = ["cloudwatch", "s3"]
data = ["text", "image"]

[gateway.data_retention]
mode = "none"
"""


def template(folder: Path, text: str) -> Template:
    """Synthesise the environment that ``text`` describes, with every rule pack."""
    (folder / "team.toml").write_text(text, encoding="utf-8")
    app = build_app([load("team", folder)], outdir=folder / "cdk.out")
    # An open finding, or an acknowledgement that no finding needs, ends the synthesis.
    return Template(app.synth().get_stack_by_name("llm-team-gateway").template)


@pytest.fixture(scope="module")
def with_settings(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return template(tmp_path_factory.mktemp("settings"), ENVIRONMENT + SETTINGS)


def test_the_settings_of_the_account_are_those_of_the_file(with_settings: Template) -> None:
    told = [str(it["Configuration"]) for it in with_settings.properties(RESOURCE_TYPE)]
    (logging,) = [it for it in told if "textDataDeliveryEnabled" in it]
    assert "s3Config" in logging
    assert "cloudWatchConfig" in logging
    assert '"imageDataDeliveryEnabled":true' in logging
    assert '"videoDataDeliveryEnabled":false' in logging
    (retention,) = [it for it in told if it != logging]
    assert retention == '{"mode":"none"}'


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
