"""Bedrock's guardrail, applied by the gateway around a call that Bedrock never sees."""

from collections.abc import Iterator

import openai
import pytest

from ops.fake_bedrock.reply import Reply
from ops.fake_bedrock.reply import text_steps as bedrock_steps
from tests.fake_vllm import Answer, Step, text_steps
from tests.lambdas.gateway.test_chat import WEATHER, hello
from tests.lambdas.gateway.test_vllm_backend import Served, serving
from tests.lambdas.governance.emulator import Emulator


@pytest.fixture(scope="module")
def module_guarded(emulator: Emulator) -> Iterator[Served]:
    guardrail = {"GATEWAY_GUARDRAIL_ID": "abc123", "GATEWAY_GUARDRAIL_VERSION": "7"}
    with serving(emulator, guardrail) as served:
        yield served


@pytest.fixture
def guarded(module_guarded: Served) -> Served:
    module_guarded.reset()
    return module_guarded


def ask(guarded: Served, *, stream: bool, text: str = "Hello") -> tuple[str, str]:
    """Return the answer's text and why it ended."""
    with guarded.gateway.openai() as client:
        if not stream:
            answer = client.chat.completions.create(model="own", messages=hello(text))
            return str(answer.choices[0].message.content), answer.choices[0].finish_reason
        chunks = list(
            client.chat.completions.create(model="own", messages=hello(text), stream=True)
        )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return "".join(c.delta.content or "" for c in choices), str(choices[-1].finish_reason)


@pytest.mark.parametrize("stream", [False, True])
def test_prompt_and_answer_are_checked(guarded: Served, stream: bool) -> None:
    assert ask(guarded, stream=stream) == ("Hello", "stop")
    checks = [call.params for call in guarded.bedrock.calls]
    assert [(c["source"], c["content"]) for c in checks] == [
        ("INPUT", [{"text": {"text": "Hello"}}]),
        ("OUTPUT", [{"text": {"text": "Hello"}}]),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_blocked_prompt_reaches_no_model_and_costs_nothing(guarded: Served, stream: bool) -> None:
    guarded.bedrock.script(Reply(blocked="Not here."))
    assert ask(guarded, stream=stream) == ("Not here.", "content_filter")
    assert not guarded.vllm.calls


@pytest.mark.parametrize("stream", [False, True])
def test_a_blocked_answer_is_replaced(guarded: Served, stream: bool) -> None:
    guarded.bedrock.script(Reply(), Reply(blocked="Not here."))
    guarded.vllm.script(Answer(text_steps("a terrible", " thing")))
    assert ask(guarded, stream=stream) == ("Not here.", "content_filter")


@pytest.mark.parametrize("stream", [False, True])
def test_masks_replace_text_both_ways(guarded: Served, stream: bool) -> None:
    guarded.bedrock.script(Reply(masks={"Ada": "{NAME}"}), Reply(masks={"Bob": "{NAME}"}))
    guarded.vllm.script(Answer(text_steps("I am B", "ob.")))
    assert ask(guarded, stream=stream, text="I am Ada") == ("I am {NAME}.", "stop")
    assert guarded.sent()["messages"] == [{"role": "user", "content": "I am {NAME}"}]


def test_a_long_stream_is_checked_piece_by_piece(guarded: Served) -> None:
    words = [f"word{number} " for number in range(200)]
    guarded.vllm.script(Answer(text_steps(*words)))
    text, _ = ask(guarded, stream=True)
    pieces = [
        call.params["content"][0]["text"]["text"]
        for call in guarded.bedrock.calls
        if call.params["source"] == "OUTPUT"
    ]
    assert text == "".join(words) == "".join(pieces)
    assert len(pieces) > 2
    assert all(piece.endswith(" ") for piece in pieces)


def test_without_the_guardrail_there_is_no_answer(guarded: Served) -> None:
    guarded.bedrock.script(*[Reply(error={"code": "ThrottlingException", "message": "x"})] * 2)
    with guarded.gateway.openai() as client, pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="own", messages=hello())
    assert not guarded.vllm.calls


def test_calls_to_bedrock_carry_it_as_before(guarded: Served) -> None:
    guarded.bedrock.script(Reply(bedrock_steps("Hi")))
    with guarded.gateway.openai() as client:
        client.chat.completions.create(model="bedrock", messages=hello())
    (call,) = guarded.bedrock.calls
    assert call.params["guardrailConfig"]["guardrailIdentifier"] == "abc123"


def test_a_tool_call_is_shown_once_all_of_it_is_checked(guarded: Served) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": '{"to":"Ada"}'}}
    steps: list[Step] = [
        {"delta": {"tool_calls": [call]}},
        {"finish": "tool_calls"},
        {"done": True},
    ]
    guarded.vllm.script(Answer(steps), Answer(steps))
    guarded.bedrock.script(Reply(), Reply(masks={"Ada": "{NAME}"}), Reply(), Reply(blocked="No."))
    with guarded.gateway.openai() as client:
        masked, blocked = [
            client.chat.completions.create(model="own", messages=hello(), tools=[WEATHER])
            for _ in range(2)
        ]
    (shown,) = masked.choices[0].message.tool_calls or []
    assert shown.type == "function"
    assert shown.function.arguments == '{"to":"{NAME}"}'
    assert blocked.choices[0].message.tool_calls is None
    assert blocked.choices[0].message.content == "No."
