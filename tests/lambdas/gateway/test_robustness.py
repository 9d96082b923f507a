"""The gateway when what stands behind it is missing, broken or slow to forgive."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.test import Client

from gateway.app import GatewayApplication, Parts
from gateway.bedrock import fault
from gateway.catalogue import Catalogue
from gateway.errors import ModelError, TimedOutError
from gateway.governance.budget import Amounts, BudgetUnavailable, Reservation
from gateway.service import Accounts
from ops.fake_bedrock.reply import Reply, text_steps
from ops.fake_bedrock.server import FakeBedrock
from ops.local.access import free_ports
from tests.lambdas.gateway.stack import (
    MODELS,
    PATIENCE_SECONDS,
    GatewayStack,
    running_gateway,
)
from tests.lambdas.governance.emulator import Emulator, canceled

HELLO: Any = [{"role": "user", "content": "Hello"}]
ROOT = Path(__file__).parents[3]


class TestTheLedger:
    def test_nothing_is_called_without_it(self, emulator: Emulator) -> None:
        missing = {"GATEWAY_LEDGER_TABLE": "missing"}
        with FakeBedrock() as bedrock, running_gateway(emulator, bedrock, missing) as gateway:
            with gateway.openai() as client, pytest.raises(openai.APIStatusError) as refusal:
                client.chat.completions.create(model="smart", messages=HELLO)
            with gateway.http() as http:
                usage = http.get("/v1/usage")
            assert bedrock.calls == []
        assert refusal.value.status_code == 503
        assert "Budgets" in refusal.value.message
        assert usage.status_code == 503

    @pytest.mark.parametrize("failed", [False, True])
    def test_an_answer_is_given_although_it_cannot_be_settled(
        self, gateway: GatewayStack, emulator: Emulator, failed: bool
    ) -> None:
        first, *rest = text_steps("first ", "second")[1:]
        end = [{"fault": {"modelStreamErrorException": "broke"}}] if failed else rest
        gateway.bedrock.script(Reply([first, {"wait": "unsettled"}, *end]))
        body = {"model": "smart", "messages": HELLO, "stream": True}
        conflict = canceled("TransactionConflict")
        with (
            gateway.http() as http,
            http.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            text = ""
            for line in response.iter_lines():
                text += line
                if '"first "' in line:
                    emulator.fail_next_transactions([conflict] * 50)
                    gateway.bedrock.gate("unsettled").set()
        emulator.fail_next_transactions([])
        assert ("[DONE]" in text) is not failed

    def test_a_release_that_fails_is_left_to_the_lease(self) -> None:
        class Unreachable:
            def release(self, _reservation: Reservation) -> None:
                raise BudgetUnavailable

        ledger: Any = Unreachable()
        held = Reservation("r", "smart", Amounts(), (), 0)
        assert Accounts(ledger).release(held) is False


class TestBedrock:
    def test_a_runtime_that_cannot_be_reached_is_a_503(self, emulator: Emulator) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
            variables = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": nowhere}
            with (
                FakeBedrock() as bedrock,
                running_gateway(emulator, bedrock, variables) as gateway,
                gateway.openai() as client,
                pytest.raises(openai.InternalServerError, match="cannot be reached") as refusal,
            ):
                client.chat.completions.create(model="smart", messages=HELLO)
        assert refusal.value.status_code == 503

    def test_an_error_that_nobody_knows_is_a_502(self) -> None:
        error = ClientError({"Error": {"Code": "NovelException", "Message": "?"}}, "Converse")
        assert isinstance(fault(error), ModelError)
        assert "NovelException" in fault(error).message

    def test_a_connection_that_takes_too_long_is_a_504(self) -> None:
        assert isinstance(fault(ConnectTimeoutError(endpoint_url="https://x")), TimedOutError)


def defects(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines() if '"defect"' in line]


def test_keys_that_cannot_be_checked_are_a_503(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeBedrock() as bedrock, running_gateway(emulator, bedrock) as gateway:
        emulator.secrets_manager().delete_secret(
            SecretId=gateway.settings.pepper_secret, ForceDeleteWithoutRecovery=True
        )
        with gateway.openai() as client, pytest.raises(openai.InternalServerError) as refusal:
            client.models.list()
    assert refusal.value.status_code == 503
    (line,) = defects(capfd.readouterr().err)
    assert line["request_id"] == refusal.value.request_id


@pytest.mark.parametrize("path", ["/v1/models", "/v1/messages"])
def test_a_defect_is_a_sentence_and_a_line_that_quotes_nothing(
    capfd: pytest.CaptureFixture[str], path: str
) -> None:
    class Defective:
        def authenticate(self, headers: Mapping[str, str]) -> Any:
            raise KeyError(headers["Authorization"])

    nothing: Any = None
    catalogue = Catalogue.parse(json.dumps(MODELS))
    authenticator: Any = Defective()
    parts = Parts(catalogue, authenticator, nothing, nothing, nothing, nothing, 1000)
    client = Client(GatewayApplication(parts))
    method = "POST" if path == "/v1/messages" else "GET"
    response = client.open(path, method=method, headers={"Authorization": "Bearer secret"})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "platform team" in response.text
    (line,) = defects(capfd.readouterr().err)
    assert line["error"] == "KeyError"
    assert line["request_id"] == response.headers["x-request-id"]
    assert "secret" not in json.dumps(line)


def test_the_process_serves_and_stops_when_told_to(emulator: Emulator) -> None:
    (port,) = free_ports(1)
    environ = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": emulator.url,
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_IDENTITY": "request-context",
        "GATEWAY_MODELS": json.dumps(MODELS),
        "GATEWAY_DIRECTORY_TABLE": "directory",
        "GATEWAY_LEDGER_TABLE": "ledger",
        "GATEWAY_PSEUDONYM_SECRET": "pseudonyms",
        "GATEWAY_PORT": str(port),
    }
    process = subprocess.Popen(
        ["sh", str(ROOT / "lambdas" / "gateway" / "run.sh")],
        env={**environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == f"The gateway serves on http://127.0.0.1:{port}\n"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as http:
            health, unknown = http.get("/health"), http.get("/v1/models")
        assert health.json() == {"status": "ok"}
        assert unknown.json()["error"]["code"] == "invalid_api_key"
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


class TestTraces:
    @pytest.fixture
    def spans(self, exporter: InMemorySpanExporter) -> InMemorySpanExporter:
        exporter.clear()
        return exporter

    def test_a_call_is_a_span_by_the_conventions(
        self, client: openai.OpenAI, spans: InMemorySpanExporter
    ) -> None:
        client.chat.completions.create(model="smart", messages=HELLO, max_tokens=50)
        (span,) = spans.get_finished_spans()
        assert span.name == "chat smart"
        assert span.attributes is not None
        assert span.attributes["gen_ai.provider.name"] == "aws.bedrock"
        assert span.attributes["gen_ai.request.max_tokens"] == 50
        assert span.attributes["gen_ai.response.finish_reasons"] == ("end_turn",)

    def test_a_fault_is_noted_without_its_text(
        self, client: openai.OpenAI, spans: InMemorySpanExporter, gateway: GatewayStack
    ) -> None:
        error = {"code": "ModelErrorException", "message": "secret"}
        gateway.bedrock.script(Reply(error=error))
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="smart", messages=HELLO)
        (span,) = spans.get_finished_spans()
        assert span.attributes is not None
        assert span.attributes["error.type"] == "ModelError"
        assert "secret" not in span.to_json()
