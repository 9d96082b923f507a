"""What the gateway's tests share: one gateway for the session, reset before each test."""

from collections.abc import Iterator
from unittest import mock

import anthropic
import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import GatewayStack, running_gateway
from tests.lambdas.governance.emulator import Emulator, running_emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    """Collect the spans of every gateway in this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture(scope="module", autouse=True)
def retries_without_waits() -> Iterator[None]:
    """Let botocore retry at once: its random waits would be a quarter of these tests' time."""
    wait = "botocore.retries.standard.ExponentialBackoff.delay_amount"
    with mock.patch(wait, return_value=0):
        yield


@pytest.fixture(scope="session")
def session_gateway(emulator: Emulator, exporter: InMemorySpanExporter) -> Iterator[GatewayStack]:
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
