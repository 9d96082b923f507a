"""`ops keys` against real tables and a real secret: what it prints is what the gateway accepts."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from gateway.governance.api_keys import ApiKeyAuthenticator
from gateway.governance.budget import Limits
from gateway.governance.directory import Directory
from gateway.governance.identity import Caller, Unauthenticated
from gateway.governance.versioned_secret import VersionedSecret
from ops import keys, usage
from tests.lambdas.governance.emulator import REGION, Emulator, running_emulator


@dataclass
class Deployment:
    """A gateway's directory and pepper, found by the environment's name."""

    emulator: Emulator
    directory_table: str
    pepper_secret: str

    def run(self, app: typer.Typer, *arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    def create(self, *arguments: str) -> str:
        result = self.run(keys.app, "create", "--team", "search", *arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout.strip()

    def call(self, key: str) -> Caller:
        directory = Directory(self.emulator.dynamodb(), self.directory_table)
        peppers = VersionedSecret(self.emulator.secrets_manager(), self.pepper_secret)
        return ApiKeyAuthenticator(directory, peppers).authenticate({"x-api-key": key})


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


def deploy_outputs(emulator: Emulator, stack: str, outputs: dict[str, str]) -> None:
    """Deploy a stack that has nothing but outputs and what CloudFormation needs at least."""
    emulator.cloudformation().create_stack(
        StackName=stack,
        TemplateBody=json.dumps(
            {
                "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {name: {"Value": value} for name, value in outputs.items()},
            }
        ),
    )


@pytest.fixture
def deployment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_MAX_ATTEMPTS": "1",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    table, pepper = emulator.make_directory_table(), emulator.make_pepper()
    outputs = {"DirectoryTable": table, "PepperSecret": pepper}
    deploy_outputs(emulator, "llm-dev-gateway", outputs)
    deployment = Deployment(emulator, table, pepper)
    assert deployment.run(usage.app, "limit", "--team", "search").exit_code == 0
    yield deployment
    emulator.cloudformation().delete_stack(StackName="llm-dev-gateway")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            "No credentials for AWS were found. Sign in",
        ),
        (("AWS_DEFAULT_REGION",), "No region was found. Set AWS_REGION"),
    ],
)
def test_who_is_not_signed_in_is_told_what_to_do(
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    missing: tuple[str, ...],
    sentence: str,
) -> None:
    for name in missing:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    result = deployment.run(keys.app, "create", "--team", "search")
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_a_created_key_works_and_stands_alone_on_standard_output(deployment: Deployment) -> None:
    result = deployment.run(keys.app, "create", "--team", "search")
    assert result.stdout.startswith("lp_")
    assert result.stdout.count("\n") == 1
    assert deployment.call(result.stdout.strip()).team == "search"
    assert "only time" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_a_keys_models_limits_redaction_and_expiry_are_kept(deployment: Deployment) -> None:
    key = deployment.create(
        *("--model", "fast", "--redaction", "full", "--expires-days", "7"),
        *("--requests-per-minute", "5", "--usd-per-month", "12.5"),
    )
    caller = deployment.call(key)
    assert (caller.models, caller.redaction) == (frozenset({"fast"}), "full")
    directory = Directory(deployment.emulator.dynamodb(), deployment.directory_table)
    record = directory.key(caller.key_id)
    assert record is not None
    assert record.limits == Limits(requests_per_minute=5, micro_usd_per_month=12_500_000)
    assert record.valid_until is not None
    assert abs(record.valid_until - time.time() - 7 * 86_400) < 60


def test_keys_are_listed_without_their_secrets(deployment: Deployment) -> None:
    key = deployment.create("--description", "batch", "--tokens-per-day", "5000")
    never = deployment.create("--expires-days", "0")
    deployment.run(keys.app, "revoke", key.split("_")[1])
    result = deployment.run(keys.app, "list", "--team", "search")
    lines = {line.split()[1]: line for line in result.stdout.splitlines() if " search " in line}
    assert "revoked" in lines[key.split("_")[1]]
    assert "tokens_per_day=5,000" in lines[key.split("_")[1]]
    assert "never" in lines[never.split("_")[1]]
    assert key.split("_")[2] not in result.output
    assert "search" not in deployment.run(keys.app, "list", "--team", "other").stdout


def test_a_key_past_its_expiry_is_listed_as_expired(deployment: Deployment) -> None:
    key_id = deployment.create("--expires-days", "1").split("_")[1]
    deployment.emulator.dynamodb().update_item(
        TableName=deployment.directory_table,
        Key={"id": {"S": f"KEY#{key_id}"}},
        UpdateExpression="SET valid_until = :then",
        ExpressionAttributeValues={":then": {"N": "1"}},
    )
    result = deployment.run(keys.app, "list")
    line = next(line for line in result.stdout.splitlines() if key_id in line)
    assert "expired" in line
    assert "1970-01-01" in line


def test_rotating_leaves_the_old_secret_for_the_overlap_only(deployment: Deployment) -> None:
    old = deployment.create()
    key_id = old.split("_")[1]
    new = deployment.run(keys.app, "rotate", key_id).stdout.strip()
    assert deployment.call(old) == deployment.call(new)
    newest = deployment.run(keys.app, "rotate", key_id, "--overlap-hours", "0").stdout.strip()
    assert deployment.call(newest).key_id == key_id
    for ended in (old, new):
        with pytest.raises(Unauthenticated):
            deployment.call(ended)


def test_a_revoked_key_no_longer_works(deployment: Deployment) -> None:
    key = deployment.create()
    result = deployment.run(keys.app, "revoke", key.split("_")[1])
    assert "up to five minutes" in result.stdout
    with pytest.raises(Unauthenticated):
        deployment.call(key)


def test_a_role_is_registered_instead_of_a_key(deployment: Deployment) -> None:
    role = "arn:aws:iam::123456789012:role/batch-worker"
    result = deployment.run(keys.app, "create", "--team", "search", "--role", role)
    assert "as team search" in result.stdout
    assert "lp_" not in result.output
    directory = Directory(deployment.emulator.dynamodb(), deployment.directory_table)
    assert directory.team_of_role("123456789012", "batch-worker") == "search"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "--team", "ghosts"], "There is no team 'ghosts'"),
        (["create", "--team", "search", "--role", "me"], "'me' is not the ARN of a role"),
        (["create", "--team", "search", "--redaction", "x"], "Use one of off, metadata"),
        (["rotate", "nobody"], "There is no key 'nobody'"),
        (["revoke", "nobody"], "There is no key 'nobody'"),
        (["list", "--env", "nowhere"], "AWS refused DescribeStacks"),
        (["list", "--directory-table", "missing"], "AWS refused Scan"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence_and_exit_code_1(
    deployment: Deployment, arguments: list[str], sentence: str
) -> None:
    result = deployment.run(keys.app, *arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_a_stack_without_the_output_says_which_option_to_give(
    deployment: Deployment, emulator: Emulator
) -> None:
    deploy_outputs(emulator, "llm-bare-gateway", {"Other": "x"})
    result = deployment.run(keys.app, "list", "--env", "bare")
    assert result.exit_code == 1
    assert "no output DirectoryTable. Give --directory-table." in result.stderr


def test_a_malformed_pepper_is_told_without_its_value(
    deployment: Deployment, emulator: Emulator
) -> None:
    pepper = emulator.make_pepper({"current": "v1", "v1": "swordfish"})
    result = deployment.run(keys.app, "create", "--team", "search", "--pepper-secret", pepper)
    assert result.exit_code == 1
    assert "shorter than 32" in result.stderr
    assert "swordfish" not in result.output


def test_without_aws_the_command_ends_in_a_sentence(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    result = deployment.run(keys.app, "list")
    assert result.exit_code == 1
    assert "Could not connect" in result.stderr


@given(st.integers(min_value=0, max_value=10**15))
def test_dollars_become_micro_usd_exactly(amount: int) -> None:
    assert keys.micro_usd(f"{amount // 10**6}.{amount % 10**6:06}") == amount


@pytest.mark.parametrize("text", ["-1", "ten", "0.0000001", "NaN", "Infinity", ""])
def test_what_is_no_amount_of_dollars_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="at most six decimals"):
        keys.micro_usd(text)
