"""The gateway in front of the environment's own models: addresses, keys, and the way there."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gateway.catalogue import Catalogue
from gateway.settings import Settings
from tests.assembly import Assembly
from tests.constructs.synthesis import Template

pytestmark = pytest.mark.synth

MODELS = {"dev": "qwen3-4b", "staging": "qwen3-8b", "prod": "qwen3-8b"}
DOMAINS = {
    "dev": "dev.llm.example.com",
    "staging": "staging.llm.example.com",
    "prod": "llm.example.com",
}


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def template(name: str, assembly: Assembly) -> Template:
    return Template(assembly.templates[f"llm-{name}-gateway"])


def catalogue(template: Template, assembly: Assembly) -> Catalogue:
    (layer,) = template.properties("AWS::Lambda::LayerVersion")
    digest = layer["Content"]["S3Key"].removesuffix(".zip")
    asset = assembly.directory / f"asset.{digest}"
    if asset.is_dir():
        return Catalogue.parse((asset / "gateway" / "models.json").read_bytes())
    with zipfile.ZipFile(asset.with_suffix(".zip")) as archive:
        return Catalogue.parse(archive.read("gateway/models.json"))


def variables(template: Template) -> dict[str, Any]:
    (found,) = [
        it["Environment"]["Variables"]
        for it in template.properties("AWS::Lambda::Function")
        if it["Handler"] == "gateway/run.sh"
    ]
    return dict(found)


def flat(value: Any) -> str:
    """Return a value with a mark of where the serving stack's output stands."""
    if isinstance(value, str):
        return value
    if "Fn::GetStackOutput" in value:
        return f"<{value['Fn::GetStackOutput']['OutputName']}>"
    return "".join(map(flat, value["Fn::Join"][1]))


def test_the_catalogue_says_where_the_model_answers(
    name: str, template: Template, assembly: Assembly
) -> None:
    model = catalogue(template, assembly).entry("open")
    assert model.model_id == MODELS[name]
    assert model.base_url == f"https://{MODELS[name]}.{DOMAINS[name]}/v1"
    assert model.price.output > 0
    assert model.fallbacks == ("fast",)


def test_the_settings_name_the_secret_of_each_server(
    name: str, template: Template, assembly: Assembly, tmp_path: Path
) -> None:
    served, _, secret = flat(variables(template)["GATEWAY_SERVER_KEYS"]).partition("=")
    assert served == MODELS[name]
    assert "ApiKey" in secret
    document = tmp_path / "models.json"
    models = {
        alias: {
            "model_id": it.model_id,
            "base_url": it.base_url,
            "context_tokens": 9,
            "price": {"input": 1},
        }
        for alias, it in catalogue(template, assembly).entries().items()
    }
    document.write_text(json.dumps(models))
    given = {
        key: flat(value)
        if isinstance(value, dict) and "Ref" not in value and "Fn::GetAtt" not in value
        else "given"
        for key, value in variables(template).items()
    }
    settings = Settings.read(
        {
            **given,
            "GATEWAY_MODELS": str(document),
            "GATEWAY_IDENTITY": "request-context",
            "GATEWAY_DEADLINE_SECONDS": "840",
        }
    )
    assert set(settings.server_keys) == {served}


def test_the_function_reads_the_key_and_nothing_else_of_the_serving_stack(
    template: Template,
) -> None:
    foreign = [
        statement
        for policy in template.properties("AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if "Fn::GetStackOutput" in json.dumps(statement) and "serving" in json.dumps(statement)
    ]
    assert [it["Action"] for it in foreign] == ["secretsmanager:GetSecretValue", "kms:Decrypt"]
    assert "secretsmanager." in json.dumps(
        foreign[1]["Condition"]["StringEquals"]["kms:ViaService"]
    )


def test_both_ends_admit_the_connection(name: str, template: Template, assembly: Assembly) -> None:
    """The function may leave on 443, and the model's load balancer admits the VPC's addresses."""
    leaves = [
        rule
        for group in template.properties("AWS::EC2::SecurityGroup")
        for rule in group.get("SecurityGroupEgress", [])
    ]
    assert {
        "CidrIp": "0.0.0.0/0",
        "FromPort": 443,
        "ToPort": 443,
        "IpProtocol": "tcp",
        "Description": "HTTPS to AWS",
    } in leaves
    serving = Template(assembly.templates[f"llm-{name}-serving"])
    enters = [
        rule
        for group in serving.properties("AWS::EC2::SecurityGroup")
        for rule in group.get("SecurityGroupIngress", [])
    ]
    assert enters
    assert all((rule["FromPort"], rule["ToPort"]) == (443, 443) for rule in enters)
    assert all(rule["CidrIp"].startswith("10.") for rule in enters)


def test_the_server_parses_the_tools_that_the_gateway_offers(name: str, assembly: Assembly) -> None:
    serving = json.dumps(assembly.templates[f"llm-{name}-serving"])
    assert "--enable-auto-tool-choice" in serving
    assert "--tool-call-parser" in serving
