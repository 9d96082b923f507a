"""What is written of each request, and what never is."""

import json
from typing import Any

import openai
import pytest

from ops.fake_bedrock.reply import Reply, text_steps
from tests.lambdas.gateway.stack import GatewayStack

# Valid by their checksums, and nobody's.
CANARIES = ["4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "jane.canary@example.org"]
PROMPT: Any = [{"role": "user", "content": f"Pay {CANARIES[0]} or {CANARIES[1]}."}]
ANSWER = text_steps("Write to jane.", "canary@", "example.org.")


def lines(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines() if line.startswith("{")]


def requests(captured: str) -> list[dict[str, Any]]:
    return [line for line in lines(captured) if line.get("event") == "request"]


def metrics(captured: str) -> list[dict[str, Any]]:
    return [line for line in lines(captured) if "_aws" in line]


@pytest.mark.parametrize("stream", [False, True])
def test_the_log_has_the_redacted_text_of_a_request(
    gateway: GatewayStack, capfd: pytest.CaptureFixture[str], stream: bool
) -> None:
    gateway.bedrock.script(Reply(ANSWER))
    with gateway.http() as http:
        body = {"model": "smart", "messages": PROMPT, "stream": stream}
        response = http.post("/v1/chat/completions", json=body)
        http.get("/health")
    out = capfd.readouterr().out
    (line,) = requests(out)
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["outcome"] == "ok"
    assert line["redactions"] == 3
    assert line["output"].startswith("Write to <EMAIL:")
    assert not [canary for canary in CANARIES if canary in out]
    (metric,) = metrics(out)
    assert metric["Redactions"] == 3
    assert metric["OutputTokens"] == 20
    assert metric["CostMicroUsd"] == 10 * 3 + 20 * 15
    assert metric["TimeToFirstToken"] <= metric["Latency"]


@pytest.mark.parametrize(("policy", "count"), [("off", 0), ("metadata", 1)])
def test_a_team_without_text_has_none_in_the_log(
    gateway: GatewayStack, capfd: pytest.CaptureFixture[str], policy: str, count: int
) -> None:
    with gateway.openai(gateway.new_key(redaction=policy)) as client:
        client.chat.completions.create(model="smart", messages=PROMPT)
    written = requests(capfd.readouterr().out)
    assert len(written) == count
    assert all("prompt" not in line and "output" not in line for line in written)


@pytest.mark.parametrize(
    ("reply", "metric"),
    [
        (Reply(error={"code": "ThrottlingException", "message": ""}), "Throttles"),
        (Reply(error={"code": "ModelErrorException", "message": ""}), "Errors"),
        (Reply(text_steps("x", stop="guardrail_intervened")), "GuardrailInterventions"),
    ],
)
def test_what_goes_wrong_is_counted(
    gateway: GatewayStack, capfd: pytest.CaptureFixture[str], reply: Reply, metric: str
) -> None:
    gateway.bedrock.script(reply, reply)
    with gateway.http() as http:
        http.post("/v1/chat/completions", json={"model": "smart", "messages": PROMPT})
    (line,) = metrics(capfd.readouterr().out)
    assert line[metric] == 1


def test_a_fallback_is_counted_for_the_model_that_answered(
    gateway: GatewayStack, capfd: pytest.CaptureFixture[str]
) -> None:
    error = {"code": "ThrottlingException", "message": ""}
    gateway.bedrock.script(*[Reply(error=error)] * 2)
    with gateway.openai() as client:
        client.chat.completions.create(model="first", messages=PROMPT)
    (line,) = metrics(capfd.readouterr().out)
    assert (line["Model"], line["Fallbacks"], line["Throttles"]) == ("second", 1, 1)


def test_a_name_that_is_no_model_becomes_no_dimension(
    gateway: GatewayStack, capfd: pytest.CaptureFixture[str]
) -> None:
    with gateway.openai() as client, pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=CANARIES[2], messages=PROMPT)
    out = capfd.readouterr().out
    assert [line["Model"] for line in metrics(out)] == ["unknown"]
    assert CANARIES[2] not in out


LEAKS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "smart", "messages": PROMPT}),
    ("/v1/chat/completions", {"model": "smart", "messages": PROMPT, "stream": True}),
    ("/v1/chat/completions", {"model": "smart", "messages": PROMPT, CANARIES[2]: 1}),
    ("/v1/chat/completions", {"model": "smart", "messages": CANARIES[2]}),
    ("/v1/chat/completions", {"model": "plain", "messages": PROMPT, "stop": [CANARIES[1]]}),
    ("/v1/chat/completions", {"model": "smart", "messages": PROMPT, "user": CANARIES[2]}),
    ("/v1/messages", {"model": "smart", "max_tokens": 9, "messages": PROMPT}),
    ("/v1/messages", {"model": "smart", "max_tokens": 9, "messages": [CANARIES[2]]}),
    ("/v1/responses", {"model": "smart", "input": CANARIES[2]}),
    ("/v1/responses", {"model": "smart", "input": [{"role": CANARIES[2]}]}),
    ("/v1/embeddings", {"model": "titan", "input": CANARIES}),
    (f"/v1/{CANARIES[2]}", {}),
    (f"/v1/chat/completions?x={CANARIES[2]}", {"model": "smart", "messages": PROMPT}),
]


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Reply(error={"code": "ValidationException", "message": f"No {CANARIES[0]}."}),
        Reply(error={"code": "ModelErrorException", "message": f"No {CANARIES[0]}."}),
        Reply([*ANSWER[:3], {"fault": {"throttlingException": CANARIES[2]}}]),
        Reply([{"messageStart": {}}, {"contentBlockDelta": {"unreadable": CANARIES[2]}}]),
    ],
)
def test_no_route_and_no_fault_leaks_a_canary(
    gateway: GatewayStack, capfd: pytest.CaptureFixture[str], fault: Reply | None
) -> None:
    with gateway.http() as http:
        for path, body in LEAKS:
            gateway.reset()
            if fault:
                gateway.bedrock.script(fault, fault)
            assert http.post(path, json=body).status_code
    captured = capfd.readouterr()
    written = captured.out + captured.err
    assert metrics(written)
    assert gateway.key not in written
    assert gateway.key.rpartition("_")[2] not in written
    for canary in CANARIES:
        assert canary not in written
        assert canary.replace(" ", "") not in written
