"""The pages written from code are current, and say what they should."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from config import environment_names
from config.loading import DIRECTORY
from config.reference import json_schema, page
from ops.assembly import Finding
from ops.documents import generated, security_exceptions
from tests.assembly import Assembly

ROOT = Path(__file__).parent.parent.parent


GENERATED = (
    "config/environment.schema.json",
    "docs/accelerators.md",
    "docs/alarms.md",
    "docs/architecture.svg",
    "docs/configuration.md",
    "docs/dashboards/capacity.svg",
    "docs/dashboards/cost.svg",
    "docs/dashboards/service.svg",
    "docs/dashboards/training.svg",
    "docs/permissions.md",
    "docs/preflight-permissions.md",
    "docs/security-exceptions.md",
)


@pytest.fixture(scope="module")
def contents(assembly: Assembly) -> Mapping[str, str]:
    """What `make docs` would write."""
    return generated(assembly.directory)


@pytest.mark.synth
@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_file_is_current(name: str, contents: Mapping[str, str]) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")
    assert written == contents[name], f"{name} is stale: run `make docs`"


@pytest.mark.synth
def test_no_generated_file_is_untested(contents: Mapping[str, str]) -> None:
    assert sorted(contents) == sorted(GENERATED)


@pytest.mark.parametrize("name", environment_names())
def test_the_json_schema_accepts_the_projects_files(name: str) -> None:
    content = tomllib.loads((DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(json.loads(json_schema())).validate(content)


def test_the_json_schema_refuses_a_misspelt_key() -> None:
    content = tomllib.loads((DIRECTORY / "dev.toml").read_text(encoding="utf-8"))
    content["network"]["vcp"] = content["network"].pop("vpc")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(json_schema())).validate(content)


def test_the_configuration_page_explains_every_key() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    without_meaning = [row for row in rows if row.rstrip().endswith("|  |")]
    assert without_meaning == []


def test_the_minimal_file_of_the_configuration_page_is_valid() -> None:
    example = page().split("```toml\n", 1)[1].split("```", 1)[0]
    jsonschema.Draft202012Validator(json.loads(json_schema())).validate(tomllib.loads(example))


def finding(rule: str, path: str, reason: str | None, plugin: str = "AwsSolutions") -> Finding:
    return Finding(plugin, rule, path, "error", reason)


def test_exceptions_are_listed_once_with_their_environments() -> None:
    text = security_exceptions(
        [
            finding("AwsSolutions-S1", "llm-dev-data/Lake/Logs/Resource", "Because of this."),
            finding("AwsSolutions-S1", "llm-prod-data/Lake/Logs/Resource", "Because of this."),
        ]
    )
    assert "Because of this." in text
    assert "| `data/Lake/Logs` | dev, prod | `AwsSolutions-S1` |" in text


def test_open_findings_and_template_rules_are_no_exceptions() -> None:
    text = security_exceptions(
        [
            finding("AwsSolutions-S1", "llm-dev-data/A", None),
            finding("W3010", "llm-dev-data/B", "Zones.", plugin="CloudFormation Validate"),
        ]
    )
    assert "llm-dev" not in text
    assert "data/" not in text
