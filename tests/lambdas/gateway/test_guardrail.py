"""The guardrail goes with every call, and reads what users and tools say."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from ops.fake_bedrock.reply import Reply, text_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import GatewayStack, running_gateway
from tests.lambdas.gateway.test_chat import PNG, WEATHER, hello
from tests.lambdas.governance.emulator import Emulator


@pytest.fixture(scope="module")
def module_gateway(emulator: Emulator) -> Iterator[GatewayStack]:
    variables = {"GATEWAY_GUARDRAIL_ID": "abc123", "GATEWAY_GUARDRAIL_VERSION": "7"}
    with FakeBedrock() as bedrock, running_gateway(emulator, bedrock, variables) as gateway:
        yield gateway


@pytest.fixture
def guarded(module_gateway: GatewayStack) -> GatewayStack:
    module_gateway.reset()
    return module_gateway


CONFIG = {"guardrailIdentifier": "abc123", "guardrailVersion": "7", "trace": "disabled"}


@pytest.mark.parametrize(
    ("stream", "config"), [(False, CONFIG), (True, {**CONFIG, "streamProcessingMode": "sync"})]
)
def test_every_call_carries_the_pinned_guardrail(
    guarded: GatewayStack, stream: bool, config: dict[str, str]
) -> None:
    with guarded.http() as http:
        body = {"model": "plain", "messages": hello(), "stream": stream}
        http.post("/v1/chat/completions", json=body).raise_for_status()
    assert guarded.sent().params["guardrailConfig"] == config


def test_messages_and_responses_carry_it_too(guarded: GatewayStack) -> None:
    with guarded.anthropic() as claude, guarded.openai() as client:
        claude.messages.create(model="plain", max_tokens=9, messages=hello())
        client.responses.create(model="plain", input="Hello")
    assert [call.params["guardrailConfig"] for call in guarded.bedrock.calls] == [CONFIG, CONFIG]


def test_what_tools_answer_is_guarded_and_stands_behind_the_results(
    guarded: GatewayStack,
) -> None:
    call = {"type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        *hello(
            [
                {"type": "text", "text": "Weather?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ]
        ),
        {"role": "assistant", "tool_calls": [{"id": "a", **call}, {"id": "b", **call}]},
        {"role": "tool", "tool_call_id": "a", "content": "Rain"},
        {"role": "tool", "tool_call_id": "b", "content": "Sun"},
        *hello("Thanks"),
    ]
    with guarded.openai() as client:
        client.chat.completions.create(model="smart", messages=messages, tools=[WEATHER])
    question, _, results = guarded.sent().params["messages"]
    assert question["content"] == [
        {"guardContent": {"text": {"text": "Weather?"}}},
        {"guardContent": {"image": {"format": "png", "source": {"bytes": PNG}}}},
    ]
    kinds = [next(iter(block)) for block in results["content"]]
    assert kinds == ["toolResult", "toolResult", "guardContent", "guardContent", "guardContent"]
    guarded_texts = [
        block["guardContent"]["text"]["text"]
        for block in results["content"]
        if "guardContent" in block
    ]
    assert guarded_texts[0].endswith("\nRain")
    assert "call a" in guarded_texts[0]
    assert guarded_texts[1].endswith("\nSun")
    assert "Rain" not in json.dumps([b for b in results["content"] if "toolResult" in b])


def test_an_image_is_sent_as_it_is_where_the_guardrail_reads_none(guarded: GatewayStack) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    with guarded.openai() as client:
        client.chat.completions.create(model="sighted", messages=hello([image]))
    (block,) = guarded.sent().params["messages"][0]["content"]
    assert block == {"image": {"format": "png", "source": {"bytes": PNG}}}


def test_an_intervention_is_a_content_filter(guarded: GatewayStack) -> None:
    guarded.bedrock.script(Reply(text_steps("No.", stop="guardrail_intervened")))
    with guarded.openai() as client:
        answer: openai.types.chat.ChatCompletion = client.chat.completions.create(
            model="plain", messages=hello()
        )
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content == "No."


def test_a_second_guardrail_masks_the_log_and_not_the_answer(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    variables = {"GATEWAY_LOG_GUARDRAIL_ID": "mask01", "GATEWAY_LOG_GUARDRAIL_VERSION": "2"}
    masks = Reply(masks={"Ada Example": "{NAME}"})
    with (
        FakeBedrock() as bedrock,
        running_gateway(emulator, bedrock, variables) as gateway,
        gateway.openai() as client,
    ):
        bedrock.script(Reply(text_steps("I am Ada Example.")), masks, masks)
        answer = client.chat.completions.create(model="plain", messages=hello("Ada Example?"))
        applied = [call.model_id for call in bedrock.calls if call.operation == "ApplyGuardrail"]
    written = capfd.readouterr().out
    assert answer.choices[0].message.content == "I am Ada Example."
    assert applied == ["mask01", "mask01"]
    assert "I am {NAME}." in written
    assert "Ada Example" not in written


def test_text_that_the_second_guardrail_did_not_see_is_not_logged(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    variables = {"GATEWAY_LOG_GUARDRAIL_ID": "mask01", "GATEWAY_LOG_GUARDRAIL_VERSION": "2"}
    refusal = Reply(error={"code": "AccessDeniedException", "message": "no"})
    with (
        FakeBedrock() as bedrock,
        running_gateway(emulator, bedrock, variables) as gateway,
        gateway.openai() as client,
    ):
        bedrock.script(Reply(text_steps("I am Ada Example.")), refusal)
        client.chat.completions.create(model="plain", messages=hello())
    written = capfd.readouterr().out
    assert '"redaction_failed": true' in written
    assert "Ada Example" not in written
