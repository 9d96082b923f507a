"""Embeddings with OpenAI's own client, over Titan's and Cohere's forms."""

import json
from typing import Any

import openai
import pytest

from ops.fake_bedrock.reply import Reply
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import GatewayStack


def test_each_text_has_its_vector_from_titan(client: openai.OpenAI, bedrock: FakeBedrock) -> None:
    bedrock.script(Reply(embedding=[[0.5, -0.25]]), Reply(embedding=[[1.0, 0.0]]))
    answer = client.embeddings.create(model="titan", input=["one", "two words"], dimensions=256)
    assert [item.embedding for item in answer.data] == [[0.5, -0.25], [1.0, 0.0]]
    assert answer.usage.prompt_tokens == 3
    bodies = [json.loads(call.params["body"]) for call in bedrock.calls]
    assert bodies == [
        {"inputText": "one", "dimensions": 256, "normalize": True},
        {"inputText": "two words", "dimensions": 256, "normalize": True},
    ]


def test_many_texts_are_one_call_to_cohere(client: openai.OpenAI, bedrock: FakeBedrock) -> None:
    answer = client.embeddings.create(
        model="cohere",
        input=["one", "two words"],
        encoding_format="float",
        extra_body={"input_type": "search_query"},
    )
    (call,) = bedrock.calls
    body = json.loads(call.params["body"])
    assert body["texts"] == ["one", "two words"]
    assert body["input_type"] == "search_query"
    assert body["truncate"] == "NONE"
    assert len(answer.data) == 2
    assert answer.usage.total_tokens == 3


def test_more_texts_than_cohere_takes_are_several_calls(
    client: openai.OpenAI, bedrock: FakeBedrock
) -> None:
    texts = [f"text {number}" for number in range(100)]
    answer = client.embeddings.create(model="cohere", input=texts, encoding_format="float")
    assert [item.index for item in answer.data] == list(range(100))
    assert len({tuple(item.embedding) for item in answer.data}) == 100
    assert [len(json.loads(c.params["body"])["texts"]) for c in bedrock.calls] == [96, 4]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"dimensions": 7}, "dimensions"),
        ({"input_type": "search_query"}, "input_type"),
        ({"input": [[1, 2]]}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(
    gateway: GatewayStack, members: dict[str, Any], param: str
) -> None:
    with gateway.http() as http:
        response = http.post("/v1/embeddings", json={"model": "titan", "input": "x", **members})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert gateway.bedrock.calls == []


def test_a_chat_model_is_no_embedding_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="cohere, titan"):
        client.embeddings.create(model="smart", input="x")


def test_throttling_is_passed_on(client: openai.OpenAI, bedrock: FakeBedrock) -> None:
    error = {"code": "ThrottlingException", "message": "slow"}
    bedrock.script(*[Reply(error=error)] * 2)
    with pytest.raises(openai.RateLimitError):
        client.embeddings.create(model="titan", input="x")
