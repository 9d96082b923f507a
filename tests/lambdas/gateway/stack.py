"""A whole gateway on loopback: server, governance on an emulator, and the fake Bedrock."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import anthropic
import httpx2 as httpx
import openai
from waitress.server import BaseWSGIServer

from gateway.breaker import CircuitBreaker
from gateway.governance.administration import Administration, NewKey, Team
from gateway.governance.budget import Limits
from gateway.governance.versioned_secret import VersionedSecret
from gateway.runtime import create_application
from gateway.server import create, port_of
from gateway.settings import Settings
from ops.fake_bedrock.server import FakeBedrock, RecordedCall
from tests.lambdas.governance.emulator import Emulator

EVERYTHING = [
    "document",
    "guarded_images",
    "image",
    "json_schema",
    "prompt_cache",
    "prompt_cache_1h",
    "sequential_tools",
    "stop",
    "strict_tools",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
]
# The gateway speaks plain HTTP here, and loading certificates would be half of a test's time.
WITHOUT_CERTIFICATES = False
PRICE = {"input": 3_000_000, "output": 15_000_000, "cache_read": 300_000, "cache_write": 3_750_000}


def chat_model(**members: Any) -> dict[str, Any]:
    return {
        "model_id": "eu.anthropic.claude-sonnet-4-6",
        "price": PRICE,
        "context_tokens": 200_000,
        "max_output_tokens": 64_000,
        **members,
    }


MODELS: dict[str, Any] = {
    "smart": chat_model(
        capabilities=EVERYTHING,
        output_weight=5,
        service_tiers=["default", "priority", "flex"],
        efforts={
            "low": {"effort": "low"},
            "high": {"fields": {"thinking": {"type": "enabled", "budget_tokens": 2048}}},
        },
    ),
    "open": chat_model(
        model_id="openai.gpt-oss-120b-1:0", capabilities=["system", "unsigned_reasoning"]
    ),
    "plain": chat_model(model_id="mistral.mistral-7b-instruct-v0:2"),
    "sighted": chat_model(model_id="eu.amazon.nova-lite-v1:0", capabilities=["image"]),
    "first": chat_model(
        model_id="eu.amazon.nova-pro-v1:0", fallbacks=["second"], capabilities=["tools"]
    ),
    "tuned": chat_model(
        model_id="arn:aws:bedrock:us-west-2:111111111111:custom-model-deployment/abcdefghijkl"
    ),
    "second": chat_model(model_id="eu.amazon.nova-lite-v1:0"),
    "titan": {
        "model_id": "amazon.titan-embed-text-v2:0",
        "kind": "embedding",
        "price": {"input": 20_000},
        "context_tokens": 8192,
        "dimensions": [256, 512, 1024],
        "additional_fields": {"normalize": True},
    },
    "cohere": {
        "model_id": "cohere.embed-multilingual-v3",
        "kind": "embedding",
        "embedding": "cohere",
        "price": {"input": 100_000},
        "context_tokens": 512,
    },
}


PATIENCE_SECONDS = 120
"""Of every client here: it only ends what would never end, on a machine that may stand still."""


class MovedClock:
    """The time that passes, and what a test has moved it ahead."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._ahead

    def move(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass
class GatewayStack:
    """A running gateway and what stands behind it."""

    url: str
    bedrock: FakeBedrock
    administration: Administration
    breaker: CircuitBreaker
    settings: Settings
    clock: MovedClock
    server: BaseWSGIServer
    key: str = ""

    def new_key(self, team: str = "research", **members: Any) -> str:
        return str(self.administration.create_key(NewKey(team=team, **members)))

    def openai(self, key: str | None = None, **options: Any) -> openai.OpenAI:
        http = openai.DefaultHttpxClient(verify=WITHOUT_CERTIFICATES)
        options = {"max_retries": 0, "timeout": PATIENCE_SECONDS, "http_client": http, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or self.key, **options)

    def anthropic(self, key: str | None = None, **options: Any) -> anthropic.Anthropic:
        http = anthropic.DefaultHttpxClient(verify=WITHOUT_CERTIFICATES)
        options = {"max_retries": 0, "timeout": PATIENCE_SECONDS, "http_client": http, **options}
        return anthropic.Anthropic(base_url=self.url, api_key=key or self.key, **options)

    def http(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=PATIENCE_SECONDS,
            verify=WITHOUT_CERTIFICATES,
        )

    def reset(self) -> None:
        """Forget scripts, recorded calls and failures of models, once nothing goes on any more.

        A call that an earlier test gave up would be recorded, or written to the log, in this one.
        """
        self.bedrock.reset()
        eventually(self.is_idle)
        self.bedrock.reset()
        for alias in MODELS:
            self.breaker.succeeded(alias)

    def is_idle(self) -> bool:
        """Tell whether no request is answered, and no call read."""
        dispatcher = self.server.task_dispatcher
        with dispatcher.lock:
            busy = dispatcher.queue or dispatcher.active_count
        return not busy and "upstream" not in {each.name for each in threading.enumerate()}

    def sent(self) -> RecordedCall:
        """Return the one call that reached Bedrock."""
        (call,) = self.bedrock.calls
        return call


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds; what it waits for is told by nobody.

    Raises:
        TimeoutError: it did not.
    """
    until, pause = time.monotonic() + PATIENCE_SECONDS, threading.Event()
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("It never came to that.")
        pause.wait(0.005)


@contextmanager
def running_gateway(
    emulator: Emulator, bedrock: FakeBedrock, variables: Mapping[str, str] | None = None
) -> Iterator[GatewayStack]:
    """Serve the real application on a free port until the block ends."""
    environ = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.endpoint_url,
        "AWS_ENDPOINT_URL_DYNAMODB": emulator.url,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": emulator.url,
        # Not the exporter itself: this switches spans on, and the tests provide where they go.
        "OTEL_TRACES_EXPORTER": "memory",
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_MODELS": json.dumps(MODELS),
        "GATEWAY_DIRECTORY_TABLE": emulator.make_directory_table(),
        "GATEWAY_LEDGER_TABLE": emulator.make_ledger_table(),
        "GATEWAY_PEPPER_SECRET": emulator.make_pepper(),
        "GATEWAY_PSEUDONYM_SECRET": emulator.make_pepper(),
        "GATEWAY_IDENTITY": "credentials",
        "GATEWAY_LARGEST_BODY_BYTES": "100000",
        "GATEWAY_THREADS": "24",
        **(variables or {}),
    }
    with (
        mock.patch.dict(os.environ, environ),
        # A retry of a transaction would be told that it was made already: the emulator knows no
        # tokens of requests. So none is made because the machine stood still.
        mock.patch("gateway.runtime.GOVERNANCE_TIMEOUT_SECONDS", PATIENCE_SECONDS),
    ):
        settings = Settings.read(os.environ)
        breaker, clock = CircuitBreaker(), MovedClock()
        application = create_application(settings, breaker=breaker, clock=clock)
        server = create(application, replace(settings, port=0))
    peppers = VersionedSecret(emulator.secrets_manager(), settings.pepper_secret)
    administration = Administration(emulator.dynamodb(), settings.directory_table, peppers)
    administration.put_team(Team(name="research", limits=Limits()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port_of(server)}"
    stack = GatewayStack(url, bedrock, administration, breaker, settings, clock, server)
    stack.key = stack.new_key()
    try:
        yield stack
    finally:
        bedrock.reset()
        server.close()
        server.task_dispatcher.shutdown(timeout=PATIENCE_SECONDS)
