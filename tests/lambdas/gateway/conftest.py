"""What the gateway's tests share: one gateway for the session, reset before each test."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import GatewayStack, running_gateway
from tests.lambdas.governance.emulator import Emulator, running_emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def session_gateway(emulator: Emulator) -> Iterator[GatewayStack]:
    with FakeBedrock() as bedrock, running_gateway(emulator, bedrock) as gateway:
        yield gateway


@pytest.fixture
def gateway(session_gateway: GatewayStack) -> GatewayStack:
    session_gateway.reset()
    return session_gateway


@pytest.fixture
def bedrock(gateway: GatewayStack) -> FakeBedrock:
    return gateway.bedrock


@pytest.fixture
def client(gateway: GatewayStack) -> Iterator[openai.OpenAI]:
    with gateway.openai() as client:
        yield client


@pytest.fixture
def claude(gateway: GatewayStack) -> Iterator[anthropic.Anthropic]:
    with gateway.anthropic() as client:
        yield client
