"""The calls to a model server themselves, without the gateway around them."""

from collections.abc import Iterator

import pytest

from gateway.catalogue import Model, Price
from gateway.vllm.client import VllmCall, VllmClient, VllmEmbeddingCall
from gateway.vllm.keys import ServerKeys
from tests.fake_vllm import Answer, FakeVllm, text_steps
from tests.lambdas.gateway.stack import PATIENCE_SECONDS

SERVED = "qwen3-8b"
KEY = "k" * 48


class Secrets:
    """Secrets Manager with one secret."""

    def get_secret_value(self, **_: object) -> dict[str, str]:
        return {"SecretString": KEY}


@pytest.fixture
def vllm() -> Iterator[FakeVllm]:
    with FakeVllm(SERVED, KEY) as vllm:
        yield vllm


@pytest.fixture
def model(vllm: FakeVllm) -> Model:
    price = Price(input=50_000, output=400_000)
    return Model(model_id=SERVED, price=price, context_tokens=32_768, base_url=vllm.base_url)


@pytest.fixture
def client() -> VllmClient:
    keys = ServerKeys(Secrets(), {SERVED: "secret"})
    return VllmClient(keys, connections=2, read_timeout_seconds=PATIENCE_SECONDS)


def test_a_call_given_up_does_not_stop_the_next_one_of_its_thread(
    vllm: FakeVllm, model: Model, client: VllmClient
) -> None:
    vllm.script(Answer([*text_steps("first", "second")[:2], {"wait": "never"}]))
    body = {"model": SERVED, "messages": [{"role": "user", "content": "Hello"}]}
    given_up = VllmCall(client, model, body, stream=True)
    events = given_up.events()
    next(events)
    given_up.close()
    answer, tokens = VllmEmbeddingCall(client, model)(SERVED, {"model": SERVED, "input": ["x"]})
    assert tokens == len(answer["data"]) == 1
