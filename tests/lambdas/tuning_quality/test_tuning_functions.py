"""The functions of fine-tuning, with real clients: S3 of an emulator, and the fake Bedrock."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from ops.fake_bedrock.reply import Reply, text_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.tuning_quality.invocation import Context
from tests.s3_on_loopback import s3_on_loopback
from tuning_quality import evaluator, validator
from tuning_quality.evaluator import EvaluationError
from tuning_quality.settings import SettingsError

DEPLOYMENT = "arn:aws:bedrock:us-east-1:111111111111:custom-model-deployment/abcdefghijkl"
KEYS = {name: f"team/{name}.jsonl" for name in ("training", "validation", "evaluation")}
RULES = {
    "format": "prompt-completion",
    "record_tokens": 100,
    "least_records": 2,
    "most_records": 100,
    "duplicate_percent": 5,
    "personal_data": False,
}
GATE = {"f1_percent": 60, "gain_points": 10, "refusal_points": 0, "records": 4}


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with s3_on_loopback() as address:
        yield address


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as bedrock:
        yield bedrock


@pytest.fixture
def lake(storage: str, bedrock: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": storage,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.endpoint_url,
        "DATASETS": "s3://lake/datasets/",
        "REPORTS": "s3://lake/models/fine-tuning/",
        "RULES": json.dumps(RULES),
        "GATE": json.dumps(GATE),
        "FORMAT": "prompt-completion",
        "BASE_MODEL": "amazon.nova-micro-v1:0",
    }.items():
        monkeypatch.setenv(name, value)
    validator._client.cache_clear()
    evaluator._client.cache_clear()
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake")
    yield client
    for entry in client.list_objects_v2(Bucket="lake").get("Contents", []):
        client.delete_object(Bucket="lake", Key=entry["Key"])
    client.delete_bucket(Bucket="lake")
    validator._client.cache_clear()
    evaluator._client.cache_clear()


def line(question: str, answer: str = "yes") -> str:
    return json.dumps({"prompt": question, "completion": answer})


def put(lake: Any, name: str, *lines: str) -> None:
    body = "".join(f"{it}\n" for it in lines).encode()
    lake.put_object(Bucket="lake", Key=f"datasets/{KEYS[name]}", Body=body)


def put_all(lake: Any) -> None:
    put(lake, "training", line("a"), line("b"))
    put(lake, "validation", line("c"))
    put(lake, "evaluation", line("d"), line("e"), line("f"))


def report(lake: Any, name: str) -> dict[str, Any]:
    key = f"models/fine-tuning/run-1/{name}.json"
    loaded: dict[str, Any] = json.loads(lake.get_object(Bucket="lake", Key=key)["Body"].read())
    return loaded


def validate(**members: str) -> dict[str, Any]:
    return validator.handler({"name": "run-1", **KEYS, **members}, None)


def test_data_in_order_is_accepted_and_counted(
    lake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    put_all(lake)
    answer = validate()
    assert answer["accepted"] is True
    assert answer["report"] == "s3://lake/models/fine-tuning/run-1/validation.json"
    logged = json.loads(capsys.readouterr().out)
    assert (logged["records"], logged["bad_records"]) == (6, 0)


def test_each_bad_record_is_told_by_its_line_and_none_is_quoted(lake: Any) -> None:
    put_all(lake)
    put(lake, "training", line("a"), '{"prompt": "SECRETWORD"', line("b"), line("c", ""))
    answer = validate()
    assert answer["accepted"] is False
    assert "line 2" in answer["summary"]
    training = report(lake, "validation")["datasets"][0]
    assert [it["line"] for it in training["problems"]] == [2, 4]
    assert "SECRETWORD" not in json.dumps(report(lake, "validation"))


def test_data_that_is_not_there_is_told_beside_the_rest(lake: Any) -> None:
    put_all(lake)
    lake.delete_object(Bucket="lake", Key=f"datasets/{KEYS['validation']}")
    answer = validate()
    assert answer["accepted"] is False
    assert "There is no datasets/team/validation.jsonl" in answer["summary"]
    assert len(report(lake, "validation")["datasets"]) == 3


@pytest.mark.parametrize("name", ["a_b", "-a", "a--b", "a" * 41, "a.b"])
def test_names_that_bedrock_would_refuse_are_refused_first(name: str, lake: Any) -> None:
    put_all(lake)
    answer = validate(name=name)
    assert answer["accepted"] is False
    assert "single hyphens" in answer["summary"]


def answers(text: str, count: int = 3, stop: str = "end_turn") -> list[Reply]:
    return [Reply(text_steps(text, stop=stop)) for _ in range(count)]


def evaluate(context: Context | None = None) -> dict[str, Any]:
    event = {"name": "run-1", "evaluation": KEYS["evaluation"], "deployment": DEPLOYMENT}
    return evaluator.handler(event, context or Context())


def test_a_better_model_passes(lake: Any, bedrock: FakeBedrock) -> None:
    put_all(lake)
    bedrock.script(*answers("no"), *answers("Yes."))
    answer = evaluate()
    assert answer["passed"] is True
    assert [call.model_id for call in bedrock.calls] == [
        *["amazon.nova-micro-v1:0"] * 3,
        *[DEPLOYMENT] * 3,
    ]
    written = report(lake, "evaluation")
    assert written["tuned"]["exact_percent"] == 100
    assert [it["line"] for it in written["records"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("base", "tuned", "told"),
    [
        (answers("no"), answers("no"), "F1 is 0.0 %"),
        (answers("yes"), answers("yes"), "+0.0 points from the base model's"),
        (
            answers("no"),
            [*answers("yes", 2), *answers("I'm sorry, I can't help.", 1)],
            "Refusals are +33.3 points",
        ),
        (
            answers("no"),
            [*answers("yes", 2), *answers("yes", 1, "guardrail_intervened")],
            "Refusals are +33.3 points",
        ),
    ],
    ids=["wrong", "no gain", "refuses", "filtered"],
)
def test_a_model_that_is_not_better_does_not_pass(
    base: list[Reply], tuned: list[Reply], told: str, lake: Any, bedrock: FakeBedrock
) -> None:
    put_all(lake)
    bedrock.script(*base, *tuned)
    answer = evaluate()
    assert answer["passed"] is False
    assert told in answer["summary"]


def test_no_more_records_are_asked_than_the_gate_says(lake: Any, bedrock: FakeBedrock) -> None:
    put(lake, "evaluation", *(line(f"question {number}") for number in range(9)))
    evaluate()
    assert len(bedrock.calls) == 2 * GATE["records"]


def test_an_evaluation_without_records_or_time_says_so(lake: Any) -> None:
    put(lake, "evaluation")
    with pytest.raises(EvaluationError, match="no record"):
        evaluate()
    put_all(lake)
    with pytest.raises(EvaluationError, match=r"lower quality\.records"):
        evaluate(Context(1000))


@pytest.mark.parametrize("missing", ["DATASETS", "REPORTS", "RULES"])
def test_a_missing_variable_is_named(
    missing: str, lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all(lake)
    monkeypatch.delenv(missing)
    with pytest.raises(SettingsError, match=missing):
        validate()
