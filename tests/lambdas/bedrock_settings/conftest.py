"""An account of Bedrock's for each test, and Systems Manager in a process of its own."""

import uuid
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from ops.fake_bedrock.control_plane import AccountSettings
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.governance.emulator import running_emulator

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def systems_manager() -> Iterator[str]:
    with running_emulator() as emulator:
        yield emulator.url


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def account(bedrock: FakeBedrock) -> AccountSettings:
    return bedrock.account


@pytest.fixture
def parameter() -> str:
    """A name of its own, as if each test had an account."""
    return f"/bedrock/{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, bedrock: FakeBedrock, systems_manager: str, parameter: str
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_BEDROCK": bedrock.endpoint_url,
        "AWS_ENDPOINT_URL_SSM": systems_manager,
        "AWS_RETRY_MODE": "standard",
        "AWS_MAX_ATTEMPTS": "2",
        "SETTING": "invocation-logging",
        "RECORD_PARAMETER": parameter,
        "RESTORABLE_ROLES": "",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("bedrock_settings.handler.PERMISSION_PAUSES_SECONDS", (0, 0, 0))


@pytest.fixture
def ssm() -> Any:
    return botocore.session.get_session().create_client("ssm")
