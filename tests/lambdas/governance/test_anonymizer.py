"""The second pass, against botocore's own model of ApplyGuardrail."""

from collections.abc import Iterator
from typing import Any, cast

import boto3
import pytest
from botocore.stub import ANY, Stubber

from gateway.governance.anonymizer import (
    CHARACTERS_PER_CALL,
    AnonymizationFailed,
    GuardrailAnonymizer,
)

USAGE = {
    "topicPolicyUnits": 0,
    "contentPolicyUnits": 0,
    "wordPolicyUnits": 0,
    "sensitiveInformationPolicyUnits": 1,
    "sensitiveInformationPolicyFreeUnits": 0,
    "contextualGroundingPolicyUnits": 0,
}


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    with Stubber(client) as stub:
        yield stub


def answer(action: str, outputs: list[str], entity_action: str | None = None) -> dict[str, Any]:
    assessments: list[dict[str, Any]] = []
    if entity_action:
        entity = {"type": "NAME", "match": "Ada", "action": entity_action}
        assessments.append({"sensitiveInformationPolicy": {"piiEntities": [entity], "regexes": []}})
    return {
        "usage": USAGE,
        "action": action,
        "outputs": [{"text": text} for text in outputs],
        "assessments": assessments,
    }


def request(text: Any) -> dict[str, Any]:
    return {
        "guardrailIdentifier": "gr-1",
        "guardrailVersion": "3",
        "source": "OUTPUT",
        "content": [{"text": {"text": text}}],
    }


def anonymize(stub: Stubber, text: str) -> str:
    return GuardrailAnonymizer(cast("Any", stub.client), "gr-1", "3").anonymize(text)


def test_what_the_guardrail_masks_is_masked(stub: Stubber) -> None:
    masked = answer("GUARDRAIL_INTERVENED", ["I am {NAME}"], "ANONYMIZED")
    stub.add_response("apply_guardrail", masked, request("I am Ada"))
    assert anonymize(stub, "I am Ada") == "I am {NAME}"


def test_text_without_findings_is_kept(stub: Stubber) -> None:
    stub.add_response("apply_guardrail", answer("NONE", []), request("hello"))
    assert anonymize(stub, "hello") == "hello"


def test_a_guardrail_that_blocks_leaves_no_text(stub: Stubber) -> None:
    blocked = answer("GUARDRAIL_INTERVENED", ["Sorry, no."], "BLOCKED")
    stub.add_response("apply_guardrail", blocked, request("I am Ada"))
    with pytest.raises(AnonymizationFailed, match="blocks"):
        anonymize(stub, "I am Ada")


def test_a_failure_is_told_without_the_text_or_the_cause(stub: Stubber) -> None:
    stub.add_client_error("apply_guardrail", "ThrottlingException", "I am Ada is too much")
    with pytest.raises(AnonymizationFailed, match="failed with ThrottlingException") as caught:
        anonymize(stub, "I am Ada")
    assert "Ada" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_long_text_is_sent_in_parts_that_are_cut_at_spaces(stub: Stubber) -> None:
    text = "Ada Lovelace wrote. " * 2_500
    parts = -(-len(text) // CHARACTERS_PER_CALL)
    for _ in range(parts):
        stub.add_response("apply_guardrail", answer("NONE", []), request(ANY))
    assert anonymize(stub, text) == text
    stub.assert_no_pending_responses()


def test_a_word_longer_than_a_call_is_cut_where_it_must_be(stub: Stubber) -> None:
    for part in ("x" * CHARACTERS_PER_CALL, "x" * 5):
        stub.add_response("apply_guardrail", answer("NONE", []), request(part))
    assert len(anonymize(stub, "x" * (CHARACTERS_PER_CALL + 5))) == CHARACTERS_PER_CALL + 5


def test_nothing_is_asked_about_nothing(stub: Stubber) -> None:
    assert anonymize(stub, "") == ""
