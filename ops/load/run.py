"""Sends the requests of a plan and measures what comes back."""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.load.plan import LoadPlan
from ops.load.sample import Sample

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI
    from openai.types.chat import ChatCompletionChunk

BROKE_OFF = "broke off"
WORD = "load "


@dataclass(frozen=True)
class Target:
    """What is asked, of whom: a prompt of about ``prompt_words`` for at most ``max_tokens``.

    ``timeout`` is in seconds, of a whole answer.
    """

    base_url: str
    model: str
    api_key: str
    prompt_words: int
    max_tokens: int
    timeout: float


def measure(target: Target, plan: LoadPlan) -> list[Sample]:
    """Run a plan to its end and return a sample for each request, in the order of sending."""
    return asyncio.run(_run(target, plan))


async def _run(target: Target, plan: LoadPlan) -> list[Sample]:
    import httpx2
    from openai import AsyncOpenAI

    # A pool with a limit would hold requests back, and the loop would be closed without a word.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with AsyncOpenAI(
        base_url=target.base_url,
        api_key=target.api_key,
        max_retries=0,
        timeout=target.timeout,
        http_client=httpx2.AsyncClient(limits=limits, timeout=target.timeout),
    ) as client:
        start = time.perf_counter()
        tasks = []
        for number, due in enumerate(plan.moments()):
            await asyncio.sleep(max(0.0, start + due - time.perf_counter()))
            tasks.append(asyncio.create_task(_ask(client, target, start, due, number)))
        return list(await asyncio.gather(*tasks))


async def _ask(
    client: "AsyncOpenAI", target: Target, start: float, due: float, number: int
) -> Sample:
    from openai import APIError

    answer = _Answer(start + due)
    lag = answer.elapsed()
    error: str | None = None
    try:
        stream = await client.chat.completions.create(
            model=target.model,
            # A beginning of its own for each request, so that no cache answers for the model.
            messages=[{"role": "user", "content": f"{number} " + WORD * target.prompt_words}],
            max_tokens=target.max_tokens,
            stream=True,
            stream_options={"include_usage": True},
        )
        answer.has_begun = True
        async for chunk in stream:
            answer.read(chunk)
        error = None if answer.is_finished else BROKE_OFF
    except APIError as fault:
        error = _kind(fault, has_begun=answer.has_begun)
    return Sample(
        due=due,
        lag=lag,
        total=answer.elapsed(),
        first_token=answer.first_token,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        error=error,
    )


class _Answer:
    """An answer as far as it has come; times are in seconds since it was due."""

    def __init__(self, due: float) -> None:
        self._due = due
        self.has_begun = False
        self.is_finished = False
        self.first_token: float | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None

    def elapsed(self) -> float:
        return max(0.0, time.perf_counter() - self._due)

    def read(self, chunk: "ChatCompletionChunk") -> None:
        if chunk.usage is not None:
            self.input_tokens = chunk.usage.prompt_tokens
            self.output_tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            self.is_finished = self.is_finished or choice.finish_reason is not None
            # Reasoning and calls of tools are tokens too.
            others = (choice.delta.model_extra or {}).values()
            says = choice.delta.content or choice.delta.tool_calls or any(others)
            if says and self.first_token is None:
                self.first_token = self.elapsed()


def _kind(fault: "APIError", *, has_begun: bool) -> str:
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(fault, APIStatusError):
        return f"status {fault.status_code}"
    if isinstance(fault, APITimeoutError):
        return "timed out"
    if isinstance(fault, APIConnectionError):
        return BROKE_OFF if has_begun else "no connection"
    return "fault in mid-stream"
