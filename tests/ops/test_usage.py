"""`ops usage` against a real ledger."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner, Result

from gateway.governance.budget import BudgetExceeded, ModelRates, Usage
from gateway.governance.directory import Directory
from gateway.governance.identity import Caller
from gateway.governance.ledger import DynamoDBLedger
from ops import usage
from tests.lambdas.governance.emulator import REGION, Emulator, running_emulator

CALLER = Caller("abcdefgh", "search", None, "redacted")


@dataclass
class Deployment:
    """A gateway's two tables."""

    emulator: Emulator
    directory_table: str
    ledger_table: str

    def ledger(self, seconds_ago: float = 0) -> DynamoDBLedger:
        client = self.emulator.dynamodb()
        return DynamoDBLedger(
            client,
            self.ledger_table,
            rates={"fast": ModelRates(input_price=1_000_000, output_price=2_000_000)},
            limits=Directory(client, self.directory_table),
            clock=lambda: time.time() - seconds_ago,
        )

    def run(self, command: str, *arguments: str) -> Result:
        tables = ["--ledger-table", self.ledger_table, "--directory-table", self.directory_table]
        given = {"limit": tables[2:], "sweep": tables[:2], "show": tables}[command]
        return CliRunner().invoke(usage.app, [command, *given, *arguments])


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def deployment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    return Deployment(emulator, emulator.make_directory_table(), emulator.make_ledger_table())


def test_what_was_used_and_is_held_is_shown_beside_the_limit(deployment: Deployment) -> None:
    deployment.run("limit", "--team", "search", "--usd-per-month", "1.5")
    ledger = deployment.ledger()
    first = ledger.reserve(
        CALLER, model="fast", input_tokens=900, max_output_tokens=50, request_id="r1"
    )
    ledger.settle(first, Usage(input_tokens=900, output_tokens=50))
    ledger.reserve(CALLER, model="fast", input_tokens=7, max_output_tokens=0, request_id="r2")
    result = deployment.run("show", "--team", "search", "--key", "abcdefgh")
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if "month" in line]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert ["team", "search", "month", "USD", "0.001000", "0.000007", "1.500000"] in [
        row[:7] for row in cells
    ]
    assert ["key", "abcdefgh", "month", "tokens", "950", "7", "none"] in [row[:7] for row in cells]


def test_without_a_key_only_the_team_is_shown(deployment: Deployment) -> None:
    deployment.run("limit", "--team", "search")
    result = deployment.run("show", "--team", "search")
    assert "search" in result.stdout
    assert "key" not in result.stdout


def test_a_team_that_does_not_exist_is_named(deployment: Deployment) -> None:
    result = deployment.run("show", "--team", "ghosts")
    assert result.exit_code == 1
    assert "There is no team 'ghosts'" in result.stderr


def test_setting_a_team_replaces_all_that_was_set(deployment: Deployment) -> None:
    deployment.run("limit", "--team", "search", "--requests-per-day", "5", "--model", "fast")
    deployment.run("limit", "--team", "search", "--suspended", "--redaction", "off")
    team = Directory(deployment.emulator.dynamodb(), deployment.directory_table).team("search")
    assert team is not None
    assert (team.status, team.redaction, team.models) == ("suspended", "off", None)
    assert team.limits.given() == {}


def test_a_limit_that_is_set_refuses_the_next_request(deployment: Deployment) -> None:
    deployment.run("limit", "--team", "search", "--requests-per-month", "0")
    with pytest.raises(BudgetExceeded) as caught:
        deployment.ledger().reserve(
            CALLER, model="fast", input_tokens=1, max_output_tokens=1, request_id="r1"
        )
    assert caught.value.limit == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--team", "Search!"], "lower-case letters"),
        (["--team", "search", "--redaction", "loud"], "Use one of off"),
    ],
)
def test_what_a_team_cannot_be_is_told(
    deployment: Deployment, arguments: list[str], sentence: str
) -> None:
    result = deployment.run("limit", *arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_sweeping_returns_what_dead_calls_hold_and_nothing_else(deployment: Deployment) -> None:
    dead = deployment.ledger(seconds_ago=3600)
    for number in range(30):
        dead.reserve(
            CALLER, model="fast", input_tokens=1, max_output_tokens=1, request_id=f"d{number}"
        )
    deployment.ledger().settle(
        dead.reserve(CALLER, model="fast", input_tokens=1, max_output_tokens=1, request_id="ok"),
        Usage(input_tokens=1, output_tokens=1),
    )
    assert "30 reservations" in deployment.run("sweep").stdout
    assert "0 reservations" in deployment.run("sweep").stdout


def test_a_table_that_cannot_be_read_is_told_in_a_sentence(deployment: Deployment) -> None:
    result = CliRunner().invoke(usage.app, ["sweep", "--ledger-table", "missing"])
    assert result.exit_code == 1
    assert "budget table cannot be read" in result.stderr
