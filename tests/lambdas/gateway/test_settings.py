"""What the environment may say, and the sentences for what it may not."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.catalogue import Catalogue
from gateway.settings import Settings, SettingsError
from tests.lambdas.gateway.stack import MODELS, chat_model

GOOD = {
    "GATEWAY_ENVIRONMENT": "test",
    "GATEWAY_MODELS": json.dumps(MODELS),
    "GATEWAY_DIRECTORY_TABLE": "directory",
    "GATEWAY_LEDGER_TABLE": "ledger",
    "GATEWAY_PSEUDONYM_SECRET": "pseudonyms",
    "GATEWAY_IDENTITY": "request-context",
}


def test_what_has_a_default_may_be_left_out() -> None:
    settings = Settings.read(GOOD)
    assert settings.host == "127.0.0.1"
    assert settings.timeouts.deadline_seconds == 840
    assert settings.guardrail is None
    assert settings.oidc is None


def test_models_may_be_a_file(tmp_path: Path) -> None:
    document = tmp_path / "models.json"
    document.write_text(json.dumps({"only": chat_model()}))
    settings = Settings.read({**GOOD, "GATEWAY_MODELS": str(document)})
    assert list(settings.catalogue.entries()) == ["only"]


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as problems:
        Settings.read(
            {
                "GATEWAY_IDENTITY": "credentials",
                "GATEWAY_MODELS": "{}",
                "GATEWAY_PORT": "http",
                "GATEWAY_THREADS": "0",
                "GATEWAY_DEADLINE_SECONDS": "soon",
                "GATEWAY_HEARTBEAT_SECONDS": "-1",
                "GATEWAY_GUARDRAIL_ID": "abc",
                "GATEWAY_OIDC_ISSUER": "https://issuer.example",
            }
        )
    sentences = str(problems.value)
    for name in (
        "GATEWAY_ENVIRONMENT",
        "GATEWAY_MODELS",
        "GATEWAY_DIRECTORY_TABLE",
        "GATEWAY_LEDGER_TABLE",
        "GATEWAY_PEPPER_SECRET",
        "GATEWAY_PSEUDONYM_SECRET",
        "GATEWAY_PORT",
        "GATEWAY_THREADS",
        "GATEWAY_DEADLINE_SECONDS",
        "GATEWAY_HEARTBEAT_SECONDS",
        "GATEWAY_GUARDRAIL_VERSION",
        "GATEWAY_OIDC_AUDIENCES",
    ):
        assert name in sentences


def test_only_known_kinds_of_identity_are_taken() -> None:
    with pytest.raises(SettingsError, match="request-context, credentials"):
        Settings.read({**GOOD, "GATEWAY_IDENTITY": "nobody"})


def test_a_missing_file_of_models_is_a_sentence() -> None:
    with pytest.raises(SettingsError, match="GATEWAY_MODELS cannot be used"):
        Settings.read({**GOOD, "GATEWAY_MODELS": "nowhere.json"})


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ({"a": chat_model(fallbacks=["b"])}, r"a\.fallbacks names 'b'"),
        ({"a": chat_model(fallbacks=["a"])}, r"a\.fallbacks names 'a'"),
        ({"a": chat_model(default_output_tokens=70_000)}, "default_output_tokens is 70000"),
        ({"a": chat_model(bytes_per_token=0)}, "must be 1 or more"),
        ({"a": chat_model(capabilities=["flying"])}, "flying"),
        ({"a": chat_model(unknown=1)}, "unknown"),
        ({}, "no model"),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused(
    models: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Catalogue.parse(json.dumps(models))


def test_each_model_server_needs_a_secret() -> None:
    own = chat_model(model_id="qwen3-8b", base_url="https://qwen3-8b.example.com/v1")
    environ = {**GOOD, "GATEWAY_MODELS": json.dumps({"own": own})}
    with pytest.raises(SettingsError, match="names no secret for the model server 'qwen3-8b'"):
        Settings.read(environ)
    with pytest.raises(SettingsError, match="must hold model=secret"):
        Settings.read({**environ, "GATEWAY_SERVER_KEYS": "qwen3-8b"})
    settings = Settings.read({**environ, "GATEWAY_SERVER_KEYS": "qwen3-8b=arn:secret,other=x"})
    assert settings.server_keys["qwen3-8b"] == "arn:secret"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"base_url": "http://qwen3.example.com/v1"}, "must begin with https"),
        (
            {"base_url": "https://a.example/v1", "capabilities": ["document"]},
            "names document, which no model server has",
        ),
        ({"kind": "embedding", "embedding": "openai"}, "is 'openai' for models with a base_url"),
    ],
)
def test_a_model_server_that_cannot_be_is_refused(members: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Catalogue.parse(json.dumps({"own": chat_model(**members)}))
