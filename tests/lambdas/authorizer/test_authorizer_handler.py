"""The authoriser with API Gateway's real event, real tables, and the pepper."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authorizer import handler as module
from authorizer.settings import Settings, SettingsError
from gateway.governance.administration import Administration, NewKey, Team
from gateway.governance.api_keys import ApiKey
from gateway.governance.request_context import caller_from
from gateway.governance.versioned_secret import VersionedSecret
from tests.lambdas.governance.emulator import REGION, Emulator, running_emulator

ROOT = Path(__file__).parents[3]

ARN = "arn:aws:execute-api:eu-central-1:123456789012:abcdef123/prod/POST/v1/chat/completions"


def event(headers: dict[str, str] | None) -> dict[str, Any]:
    """Return what API Gateway sends a REQUEST authoriser
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html).
    """
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "resource": "/v1/chat/completions",
        "path": "/v1/chat/completions",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "path": "/prod/v1/chat/completions",
            "accountId": "123456789012",
            "resourceId": "xyz123",
            "stage": "prod",
            "requestId": "9b2ef3bd-7c2d-4a0b-8a7c-4b9d9d0a1e11",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "OpenAI/Python"},
            "resourcePath": "/v1/chat/completions",
            "httpMethod": "POST",
            "apiId": "abcdef123",
        },
    }


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def administration(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administration]:
    table, pepper = emulator.make_directory_table(), emulator.make_pepper()
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "DIRECTORY_TABLE": table,
        "PEPPER_SECRET": pepper,
        "USAGE_IDENTIFIER_KEY": "everybody-0123456789",
    }.items():
        monkeypatch.setenv(name, value)
    module._authorizer.cache_clear()
    peppers = VersionedSecret(emulator.secrets_manager(), pepper)
    yield Administration(emulator.dynamodb(), table, peppers)
    module._authorizer.cache_clear()


@pytest.fixture
def key(administration: Administration) -> ApiKey:
    administration.put_team(Team("search", models=["fast", "smart"]))
    return administration.create_key(NewKey("search"))


def bearer(key: ApiKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def test_a_good_key_may_use_the_whole_stage_because_the_policy_is_cached(key: ApiKey) -> None:
    answer = module.handler(event(bearer(key)), None)
    assert answer["principalId"] == key.key_id
    assert answer["policyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": "execute-api:Invoke",
                "Effect": "Allow",
                "Resource": "arn:aws:execute-api:eu-central-1:123456789012:abcdef123/prod/*",
            }
        ],
    }


def test_the_gateway_learns_the_caller_as_plain_strings(key: ApiKey) -> None:
    context = module.handler(event(bearer(key)), None)["context"]
    assert context == {
        "team": "search",
        "key_id": key.key_id,
        "models": "fast,smart",
        "redaction": "redacted",
    }
    assert caller_from(context).models == frozenset({"fast", "smart"})


def test_a_team_without_a_usage_key_has_everybodys(
    key: ApiKey, administration: Administration
) -> None:
    assert module.handler(event(bearer(key)), None)["usageIdentifierKey"] == "everybody-0123456789"
    administration.put_team(Team("ads", usage_identifier_key="ads-01234567890123456789"))
    other = administration.create_key(NewKey("ads"))
    answer = module.handler(event(bearer(other)), None)
    assert answer["usageIdentifierKey"] == "ads-01234567890123456789"


def test_without_any_usage_key_the_answer_has_none(
    key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("USAGE_IDENTIFIER_KEY")
    assert "usageIdentifierKey" not in module.handler(event(bearer(key)), None)


@pytest.mark.parametrize(
    "headers",
    [None, {}, {"Authorization": "Bearer nonsense"}, {"x-api-key": str(ApiKey.generate())}],
)
def test_nobody_we_know_is_unauthorized_in_api_gateways_own_word(
    administration: Administration, headers: dict[str, str] | None
) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        module.handler(event(headers), None)


def test_a_revoked_key_is_unauthorized_at_the_authorisers_next_call(
    key: ApiKey, administration: Administration
) -> None:
    module.handler(event(bearer(key)), None)
    administration.revoke_key(key.key_id)
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        module.handler(event(bearer(key)), None)


def test_a_suspended_team_is_denied_by_policy(
    administration: Administration, capsys: pytest.CaptureFixture[str]
) -> None:
    administration.put_team(Team("closed", suspended=True))
    key = administration.create_key(NewKey("closed"))
    answer = module.handler(event(bearer(key)), None)
    statement = answer["policyDocument"]["Statement"][0]
    assert (statement["Effect"], "context" in answer) == ("Deny", False)
    assert json.loads(capsys.readouterr().out)["outcome"] == "suspended"


def test_a_refusal_is_logged_with_its_request_and_without_the_credential(
    administration: Administration, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = ApiKey.generate()
    with pytest.raises(Exception, match="Unauthorized"):
        module.handler(event(bearer(stranger)), None)
    output = capsys.readouterr().out
    line = json.loads(output)
    assert line["request_id"] == "9b2ef3bd-7c2d-4a0b-8a7c-4b9d9d0a1e11"
    assert line["outcome"] == "unauthenticated"
    assert stranger.secret not in output
    assert stranger.key_id not in output


def test_tokens_are_refused_where_no_issuer_is_set(administration: Administration) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        module.handler(event({"Authorization": "Bearer a.b.c"}), None)


def test_an_issuer_that_cannot_be_trusted_stops_the_function(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OIDC_ISSUER", "http://idp.example")
    monkeypatch.setenv("OIDC_AUDIENCES", "gateway")
    with pytest.raises(ValueError, match="https"):
        module.handler(event(None), None)


def test_a_missing_table_is_an_error_and_not_a_refusal(
    key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIRECTORY_TABLE", "missing")
    with pytest.raises(Exception, match="ResourceNotFound"):
        module.handler(event(bearer(key)), None)


def test_settings_name_everything_that_is_missing() -> None:
    with pytest.raises(SettingsError, match="DIRECTORY_TABLE, PEPPER_SECRET, OIDC_AUDIENCES"):
        Settings.from_environment({"OIDC_ISSUER": "https://idp.example"})


def test_settings_read_every_variable() -> None:
    assert Settings.from_environment(
        {
            "DIRECTORY_TABLE": "t",
            "PEPPER_SECRET": "s",
            "OIDC_ISSUER": "https://idp.example",
            "OIDC_AUDIENCES": "a, b",
            "OIDC_TEAM_CLAIM": "team",
            "OIDC_JWKS_URL": "https://idp.example/keys",
            "USAGE_IDENTIFIER_KEY": "k",
        }
    ) == Settings(
        "t", "s", "https://idp.example", ("a", "b"), "team", "https://idp.example/keys", "k"
    )


def test_loading_the_handler_loads_no_aws_library_and_no_cryptography() -> None:
    code = (
        "import sys; sys.path.insert(0, 'lambdas'); import authorizer.handler; "
        "print([n for n in ('boto3', 'botocore', 'cryptography', 'pydantic') if n in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
