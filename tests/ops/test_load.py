"""The load test: its arithmetic by properties, its measuring against a real server on loopback."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from ops.__main__ import app
from ops.load.command import needs_confirmation
from ops.load.plan import MOST_REQUESTS, Arrivals, LoadPlan, PlanError
from ops.load.run import Target, measure
from ops.load.sample import Objective, Sample, Summary, percentiles
from tests.fake_vllm import Answer, FakeVllm, refusal, text_steps

KEY = "k" * 48
MODEL = "qwen3-8b"
TIMES = st.floats(0, 100)
SAMPLES = st.builds(
    Sample,
    due=TIMES,
    lag=TIMES,
    total=st.floats(0.001, 100),
    first_token=st.none() | TIMES,
    output_tokens=st.none() | st.integers(0, 500),
    error=st.none() | st.sampled_from(["status 429", "broke off"]),
)


@pytest.fixture
def vllm() -> Iterator[FakeVllm]:
    with FakeVllm(MODEL, KEY) as vllm:
        yield vllm


def target(vllm: FakeVllm, *, timeout: float = 120) -> Target:
    return Target(vllm.base_url, MODEL, KEY, prompt_words=3, max_tokens=9, timeout=timeout)


def run(vllm: FakeVllm, *options: str, key: str = KEY) -> Result:
    arguments = ["load", "--base-url", vllm.base_url, "--model", MODEL, "--rate", "50"]
    # An objective that is met even where the machine stands still, if an answer comes at all.
    arguments += ["--seconds", "0.2", "--arrivals", "steady", "--first-token", "120"]
    arguments += ["--token", "120", *options]
    return CliRunner().invoke(app, arguments, env={"LLM_API_KEY": key})


@given(st.floats(0.01, 200), st.floats(0.01, 100), st.sampled_from(Arrivals), st.integers())
def test_moments_are_in_order_within_the_run_and_the_same_for_a_seed(
    rate: float, seconds: float, arrivals: Arrivals, seed: int
) -> None:
    plan = LoadPlan(rate, seconds, arrivals, seed)
    moments = plan.moments()
    assert moments == sorted(moments) == plan.moments()
    assert len(moments) <= MOST_REQUESTS
    assert all(0 <= moment < seconds for moment in moments)


def test_arrivals_by_chance_come_at_the_rate() -> None:
    moments = LoadPlan(rate=50, seconds=400, seed=1).moments()
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert len(moments) == pytest.approx(20_000, rel=0.03)
    # Of an exponential distribution, mean and standard deviation are the same.
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "seconds", "sentence"),
    [(0, 1, "The rate is 0"), (1, 9999, "lasts 9999"), (200, 3600, "That is 720000 requests")],
)
def test_a_load_without_bounds_is_refused(rate: float, seconds: float, sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        LoadPlan(rate, seconds)


@given(st.lists(SAMPLES, min_size=1), st.builds(Objective, first_token=TIMES, token=TIMES))
def test_only_answers_without_a_fault_are_good(samples: list[Sample], objective: Objective) -> None:
    summary = Summary.of(samples, objective)
    assert 0 <= summary.good <= summary.requests - sum(summary.errors.values())
    json.dumps(summary.body())


@given(st.lists(TIMES, min_size=1))
def test_percentiles_are_values_that_were_measured_in_order(values: list[float]) -> None:
    found = list(percentiles(values).values())
    assert found == sorted(found)
    assert {round(value, 4) for value in values} >= set(found)
    assert percentiles([7.0]) == {"p50": 7.0, "p90": 7.0, "p95": 7.0, "p99": 7.0}


def test_no_request_waits_for_the_answer_to_another(vllm: FakeVllm) -> None:
    """The first answers are held until the last request has come: a closed loop would hang."""
    plan = LoadPlan(rate=40, seconds=0.25, arrivals=Arrivals.STEADY)
    expected = len(plan.moments())
    vllm.script(*[Answer([{"early": "all"}, *text_steps("a", "b")])] * expected)

    def open_when_all_are_there() -> None:
        until = time.monotonic() + 60
        poll = threading.Event()
        while len(vllm.calls) < expected and time.monotonic() < until:
            poll.wait(0.005)
        vllm.gate("all").set()

    opener = threading.Thread(target=open_when_all_are_there)
    opener.start()
    samples = measure(target(vllm), plan)
    opener.join()
    assert len(vllm.calls) == expected == 10
    assert all(sample.error is None for sample in samples)
    # From when a request was due: the first one waited for the last one to be sent.
    assert samples[0].first_token is not None
    assert samples[0].first_token > 0.2
    assert {sample.output_tokens for sample in samples} == {5}


BEGUN = text_steps("a", "b")[:2]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(429, "Busy."), "status 429"),
        (refusal(503, "Full."), "status 503"),
        (Answer([*BEGUN, {"cut": True}]), "broke off"),
        (
            Answer([*BEGUN, {"error": {"message": "Boom.", "code": 500}}]),
            "fault in mid-stream",
        ),
        (Answer([*BEGUN, {"done": True}]), "broke off"),
        (Answer(text_steps("a", "b")), None),
    ],
)
def test_each_kind_of_fault_is_told_apart(
    vllm: FakeVllm, answer: Answer, error: str | None
) -> None:
    vllm.script(answer)
    plan = LoadPlan(rate=10, seconds=0.1, arrivals=Arrivals.STEADY)
    (sample,) = measure(target(vllm), plan)
    assert sample.error == error


def test_a_server_that_says_nothing_times_out(vllm: FakeVllm) -> None:
    vllm.script(Answer([{"early": "never"}]))
    plan = LoadPlan(rate=10, seconds=0.1, arrivals=Arrivals.STEADY)
    (sample,) = measure(target(vllm, timeout=0.2), plan)
    assert sample.error == "timed out"
    assert sample.first_token is None


def test_results_are_written_without_the_key(vllm: FakeVllm, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    result = run(vllm, "--output", str(file))
    assert result.exit_code == 0, result.output
    results = json.loads(file.read_text())
    assert results["summary"]["requests"] == len(results["samples"]) == 10
    assert results["summary"]["good_share"] == 1
    assert results["plan"] == {"rate": 50, "seconds": 0.2, "arrivals": "steady", "seed": 0}
    assert KEY not in file.read_text() + result.output
    assert "to the first token" in result.output


def test_an_objective_that_is_not_met_is_an_exit_code(vllm: FakeVllm) -> None:
    vllm.script(*[refusal(429, "Busy.")] * 10)
    result = run(vllm)
    assert result.exit_code == 1
    assert "error: status 429" in result.output
    assert "0.0 % were good" in result.output


def test_without_a_key_nothing_is_sent(vllm: FakeVllm) -> None:
    result = run(vllm, key="")
    assert result.exit_code == 2
    assert "LLM_API_KEY is not set" in result.output
    assert not vllm.calls


@pytest.mark.parametrize(
    ("url", "confirmed"),
    [
        ("http://127.0.0.1:8000/v1", None),
        ("https://api.dev.llm.example.com/v1", None),
        ("https://api.llm.example.com/v1", "api.llm.example.com"),
        ("https://qwen3-8b.staging.llm.example.com/v1", "qwen3-8b.staging.llm.example.com"),
        ("https://notdev.llm.example.com/v1", "notdev.llm.example.com"),
        ("https://api.example.org/v1", "api.example.org"),
    ],
)
def test_hosts_that_may_serve_users_need_a_persons_word(url: str, confirmed: str | None) -> None:
    assert needs_confirmation(url) == confirmed


def test_no_script_puts_production_under_load() -> None:
    arguments = ["load", "--base-url", "https://api.llm.example.com/v1", "--model", "fast"]
    result = CliRunner().invoke(
        app, arguments, env={"LLM_API_KEY": KEY}, input="api.llm.example.com\n"
    )
    assert result.exit_code == 2
    assert "nobody is here who could confirm" in result.output
