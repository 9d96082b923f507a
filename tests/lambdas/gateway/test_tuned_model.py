"""A fine-tuned model, by its deployment's ARN, through the gateway and in its permissions."""

from pathlib import Path

import openai
import pytest

from llm_constructs.specs.gateway import Gateway
from tests.constructs.test_fine_tuning_spec import DEPLOYED, HEAD
from tests.lambdas.gateway.stack import MODELS, GatewayStack
from tests.minimal_environment import loaded

ARN = "arn:aws:bedrock:us-west-2:111111111111:custom-model-deployment/abcdefghijkl"


@pytest.fixture
def offered(tmp_path: Path) -> Gateway:
    text = HEAD + DEPLOYED.format(region="us-west-2", account="111111111111")
    gateway = loaded(tmp_path, text).gateway
    assert gateway is not None
    return gateway


def test_the_gateways_catalogue_of_the_tests_is_what_the_file_makes(offered: Gateway) -> None:
    entry = offered.catalogue()["support"]
    assert entry.keys() >= {"model_id", "price", "context_tokens", "max_output_tokens"}
    assert entry["model_id"] == MODELS["tuned"]["model_id"] == ARN


MESSAGE: openai.types.chat.ChatCompletionUserMessageParam = {"role": "user", "content": "Hello"}


def test_a_tuned_model_answers_through_the_gateway(gateway: GatewayStack) -> None:
    with gateway.openai() as client:
        answer = client.chat.completions.create(model="tuned", messages=[MESSAGE])
    assert str(answer.choices[0].message.content).strip() == "You said: Hello"
    call = gateway.sent()
    assert (call.operation, call.model_id) == ("Converse", ARN)


def test_a_tuned_model_streams_through_the_gateway(gateway: GatewayStack) -> None:
    with gateway.openai() as client:
        chunks = client.chat.completions.create(model="tuned", messages=[MESSAGE], stream=True)
        parts = [it.choices[0].delta.content or "" for it in chunks if it.choices]
    assert "".join(parts).strip() == "You said: Hello"
    call = gateway.sent()
    assert (call.operation, call.model_id) == ("ConverseStream", ARN)
