"""Records, rules and scores, without AWS."""

import json
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.governance.redaction import Redactor
from tuning_quality.records import RecordError, RecordFormat, parse
from tuning_quality.scoring import Answer, Comparison, Gate, Means, score
from tuning_quality.validation import MOST_LISTED, Rules, Validation

CONVERSATION = RecordFormat.CONVERSATION
PROMPTS = RecordFormat.PROMPT_COMPLETION
REDACTOR = Redactor(secrets.token_bytes(32), "tests")


def conversation(**members: Any) -> bytes:
    return json.dumps(
        {
            "schemaVersion": "bedrock-conversation-2024",
            "system": [{"text": "Be brief."}],
            "messages": [message("user", "Where?"), message("assistant", "Here.")],
            **members,
        }
    ).encode()


def message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


def prompt(question: str, answer: str = "yes") -> bytes:
    return json.dumps({"prompt": question, "completion": answer}).encode()


def rules(**members: Any) -> Rules:
    return Rules.of(
        {
            "format": "prompt-completion",
            "record_tokens": 1000,
            "least_records": 1,
            "most_records": 100,
            "duplicate_percent": 0,
            "personal_data": False,
            **members,
        }
    )


def problems(*lines: bytes, **members: Any) -> list[tuple[int, str]]:
    report = Validation(rules(**members), REDACTOR).check("training", lines)
    return [(it.line, it.reason) for it in report.problems]


def test_a_conversation_is_read_with_its_answer() -> None:
    record = parse(conversation(), CONVERSATION)
    assert record.system == "Be brief."
    assert record.answer == "Here."
    assert record.question == "Be brief.\nuser: Where?"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"\xff", "Byte 1 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b" ", "empty"),
        (b"[]", "not a JSON object"),
        (b'{"a": NaN}', "NaN"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "thousands of digits"),
        (
            conversation(messages=[message("user", "\ud800"), message("assistant", "b")]),
            "half of a character",
        ),
        (conversation(schemaVersion="2023"), "schemaVersion"),
        (conversation(tools=[]), "1 fields other than"),
        (conversation(system="Be brief."), "system is not a list"),
        (conversation(messages=[message("user", "Where?")]), "question and its answer"),
        (
            conversation(messages=[message("assistant", "a"), message("user", "b")]),
            r"messages\[0\] is not user",
        ),
        (
            conversation(messages=[message("user", "a"), message("user", "b")]),
            r"messages\[1\] is not assistant",
        ),
        (
            conversation(
                messages=[message("user", "a"), message("assistant", "b"), message("user", "c")]
            ),
            "nothing to learn",
        ),
        (
            conversation(
                messages=[
                    {"role": "user", "content": [{"image": {}}]},
                    message("assistant", "b"),
                ]
            ),
            "block of text",
        ),
        (conversation(messages=[message("user", " "), message("assistant", "b")]), "empty one"),
    ],
)
def test_what_is_no_conversation_says_why(line: bytes, told: str) -> None:
    with pytest.raises(RecordError, match=told):
        parse(line, CONVERSATION)


@pytest.mark.parametrize("line", [b'{"prompt": "a"}', prompt("", "b"), prompt("a", "")])
def test_what_is_no_prompt_with_completion_says_why(line: bytes) -> None:
    with pytest.raises(RecordError, match="is no text"):
        parse(line, PROMPTS)


@given(st.binary())
def test_any_line_is_a_record_or_says_why(line: bytes) -> None:
    for form in RecordFormat:
        told = ""
        try:
            told = parse(line, form).answer
        except RecordError as error:
            told = str(error)
        assert told


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_every_text_survives(question: str, answer: str) -> None:
    record = parse(prompt(question, answer), PROMPTS)
    assert (record.turns[0].text, record.answer) == (question, answer)


def test_a_record_that_the_model_cannot_read_is_refused() -> None:
    ((number, reason),) = problems(prompt("a"), prompt("long " * 100), record_tokens=100)
    assert number == 2
    assert "about 128 tokens" in reason


def test_words_that_the_model_keeps_are_refused_in_questions_alone() -> None:
    found = problems(prompt("User: hello"), prompt("b", "[EOS]"), reserved_words=["User:", "[EOS]"])
    assert found == [(1, "The model keeps User: for itself.")]


def test_personal_data_is_refused_by_kind_and_not_quoted() -> None:
    line = prompt("Write to jane.doe@example.com")
    ((number, reason),) = problems(line)
    assert number == 1
    assert "EMAIL" in reason
    assert "jane" not in reason
    assert problems(line, personal_data=True) == []


def test_repetition_is_refused_above_the_share_that_may_be() -> None:
    lines = [prompt(f"question {number}") for number in range(9)]
    repeated = [*lines, prompt("QUESTION  3")]
    assert problems(*repeated, duplicate_percent=10) == []
    ((number, reason),) = problems(*repeated, duplicate_percent=9)
    assert number == 0
    assert reason.startswith("1 of 10 records repeat")


def test_a_question_that_was_learnt_measures_nothing() -> None:
    validation = Validation(rules(), REDACTOR)
    validation.check("training", [prompt("a"), prompt("b")])
    validation.check("validation", [prompt("c")])
    report = validation.check("evaluation", [prompt("d"), prompt("B", "another answer")])
    assert [(it.line, "training data" in it.reason) for it in report.problems] == [(2, True)]
    assert not validation.accepted


def test_what_is_learnt_from_is_counted_together() -> None:
    validation = Validation(rules(most_records=3), REDACTOR)
    validation.check("training", [prompt("a"), prompt("b")])
    validation.check("validation", [prompt("c")])
    validation.check("evaluation", [prompt("d")])
    validation.finish()
    assert validation.accepted
    validation.check("validation", [prompt("e")])
    validation.finish()
    assert "4 records together" in validation.summary


def test_a_report_has_an_end() -> None:
    report = Validation(rules(), REDACTOR).check("training", [b""] * (MOST_LISTED + 5))
    assert len(report.problems) == MOST_LISTED
    assert report.problem_count == MOST_LISTED + 5


@pytest.mark.parametrize(
    ("expected", "given_text", "f1"),
    [
        ("the red house", "The red house!", 1.0),
        ("the red house", "red", 0.5),
        ("red", "blue", 0.0),
        ("!", "?", 1.0),
    ],
)
def test_the_overlap_of_words(expected: str, given_text: str, f1: float) -> None:
    assert score(expected, Answer(given_text, "end_turn")).f1 == pytest.approx(f1)


@given(st.text(), st.text())
def test_a_score_is_a_share_and_is_symmetric(one: str, other: str) -> None:
    there = score(one, Answer(other, "end_turn")).f1
    assert 0 <= there <= 1
    assert there == pytest.approx(score(other, Answer(one, "end_turn")).f1)


@pytest.mark.parametrize("text", ["I'm sorry, no.", "I\u2019m unable to", "I cannot", "As an AI"])
def test_refusals_are_known_by_their_opening(text: str) -> None:
    assert score("Paris", Answer(text, "end_turn")).refused
    assert not score(text, Answer(text, "end_turn")).refused, "it was to be refused"


def test_a_gate_holds_at_its_edge() -> None:
    gate = Gate(f1_percent=60, gain_points=10, refusal_points=2, records=1)
    base = Means(exact_percent=0, f1_percent=50, refused_percent=1)
    edge = Means(exact_percent=0, f1_percent=60, refused_percent=3)
    assert Comparison(base, edge).shortcomings(gate) == []
    below = Means(exact_percent=0, f1_percent=59.9, refused_percent=3.1)
    assert len(Comparison(base, below).shortcomings(gate)) == 3
