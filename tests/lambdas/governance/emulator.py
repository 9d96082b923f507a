"""Starts the emulator's process, and makes clients, tables and the pepper in it."""

import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from gateway.governance.ledger import OPEN_LEASES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "eu-central-1"

PROCESS = Path(__file__).with_name("emulator_process.py")

PEPPER = {"current": "v1", "v1": "p" * 43, "v2": "q" * 43}


@dataclass(frozen=True)
class Emulator:
    """A running emulator, reached at ``url``."""

    url: str

    def dynamodb(self) -> "DynamoDBClient":
        return boto3.client("dynamodb", **self._where())

    def secrets_manager(self) -> "SecretsManagerClient":
        return boto3.client("secretsmanager", **self._where())

    def cloudformation(self) -> Any:
        return boto3.client("cloudformation", **self._where())

    def make_ledger_table(self, name: str = "") -> str:
        name = name or f"ledger-{uuid.uuid4().hex}"
        self.dynamodb().create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "open_team", "AttributeType": "S"},
                {"AttributeName": "lease_until", "AttributeType": "N"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": OPEN_LEASES,
                    "KeySchema": [
                        {"AttributeName": "open_team", "KeyType": "HASH"},
                        {"AttributeName": "lease_until", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )
        return name

    def make_directory_table(self, name: str = "") -> str:
        name = name or f"directory-{uuid.uuid4().hex}"
        self.dynamodb().create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        return name

    def make_pepper(self, value: object = PEPPER, name: str = "") -> str:
        return self.make_secret(json.dumps(value), name)

    def make_secret(self, value: str, name: str = "") -> str:
        name = name or f"secret-{uuid.uuid4().hex}"
        self.secrets_manager().create_secret(Name=name, SecretString=value)
        return name

    def peaks(self, table: str) -> dict[str, dict[str, int]]:
        """Return the largest value that each attribute of each counter has ever had."""
        with urllib.request.urlopen(f"{self.url}/__peaks") as answer:  # noqa: S310 - loopback
            peaks: dict[str, dict[str, int]] = json.load(answer)
        prefix = f"{table}/"
        return {n.removeprefix(prefix): p for n, p in peaks.items() if n.startswith(prefix)}

    def fail_next_transactions(self, answers: Sequence[dict[str, Any]]) -> None:
        """Answer the next transactions with these bodies and status 400."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/__faults", data=json.dumps(list(answers)).encode(), method="POST"
        )
        with urllib.request.urlopen(request):  # noqa: S310 - loopback
            pass

    def _where(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
            # Long, for the machine may stand still: an attempt that is given up is not made again.
            "config": Config(connect_timeout=120, read_timeout=120, retries={"max_attempts": 0}),
        }


@contextmanager
def running_emulator() -> Iterator[Emulator]:
    """Run the emulator in a process of its own until the block ends."""
    process = subprocess.Popen(
        [sys.executable, str(PROCESS), REGION], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Emulator(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def canceled(*codes: str) -> dict[str, Any]:
    """Return DynamoDB's answer to a cancelled transaction with these reasons."""
    return {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": f"Transaction cancelled, specific reasons [{', '.join(codes)}]",
        "CancellationReasons": [{"Code": code} for code in codes],
    }
