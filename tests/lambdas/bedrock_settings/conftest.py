"""A control plane for each test, and Systems Manager in a process of its own."""

import uuid
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from tests.lambdas.bedrock_settings.control_plane import ControlPlane
from tests.lambdas.governance.emulator import running_emulator

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def systems_manager() -> Iterator[str]:
    with running_emulator() as emulator:
        yield emulator.url


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
def parameter() -> str:
    """A name of its own, as if each test had an account."""
    return f"/bedrock/{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, plane: ControlPlane, systems_manager: str, parameter: str
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_BEDROCK": plane.url,
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
