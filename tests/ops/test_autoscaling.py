"""Whether the scaling of a model keeps up with a load: the rules, the run, and the command."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops.__main__ import app
from ops.autoscaling.findings import findings
from ops.autoscaling.load_profile import LoadProfile, ProfileError, read, wave
from ops.autoscaling.scaled_object import Clock, Load, Policy, Scaling, ScalingError, scaling_of
from ops.autoscaling.simulation import Outcome, Server, Simulation
from tests.assembly import Assembly

MONDAY_NINE = 9 * 60
CALM = Load(waiting=0, running=0, first_token=0, calls=0, minute=0)
DOUBLE = Policy(seconds=120, value=100, is_percent=True)
ONE_LESS = Policy(seconds=300, value=1, is_percent=False)
SCALING = Scaling(
    minimum=1,
    maximum=6,
    waiting_target=4,
    first_token_target=5,
    calm_seconds=600,
    growth=(DOUBLE,),
    shrinkage=(ONE_LESS,),
)
SERVER = Server(
    concurrency=8,
    answer_seconds=4,
    first_token_seconds=0.5,
    start_seconds=300,
    metrics_seconds=60,
)
SLEEPER = replace(SCALING, minimum=0, wakes_on_calls=True, idle_seconds=1800)


def steady(rate: float, minutes: float = 60) -> LoadProfile:
    return LoadProfile(((0, rate), (minutes, rate)))


def outcome_of(
    profile: LoadProfile, scaling: Scaling = SCALING, server: Server = SERVER, **options: int
) -> Outcome:
    return Simulation(scaling=scaling, server=server, profile=profile, **options).run()


class TestProposals:
    """What the HorizontalPodAutoscaler would propose, by the rules that Kubernetes documents."""

    @pytest.mark.parametrize(
        ("waiting", "replicas", "wanted"),
        [
            (0, 3, 1),
            (9, 2, 3),
            # 8.6 for each of two is within a tenth of the target of four each.
            (8, 2, 2),
            (100, 2, 6),
        ],
    )
    def test_a_metric_per_pod_is_divided_by_its_target(
        self, waiting: int, replicas: int, wanted: int
    ) -> None:
        load = replace(CALM, waiting=waiting)
        assert SCALING.wanted(load, replicas=replicas, ready=replicas) == wanted

    @pytest.mark.parametrize(
        ("first_token", "ready", "wanted"), [(10, 2, 4), (5.4, 2, 3), (10, 1, 2), (2, 3, 2)]
    )
    def test_a_value_as_it_is_multiplies_the_pods_that_are_ready(
        self, first_token: float, ready: int, wanted: int
    ) -> None:
        load = replace(CALM, first_token=first_token)
        # Within the tolerance the number stays what it is, ready or not.
        assert SCALING.wanted(load, replicas=3, ready=ready) == wanted

    def test_the_largest_proposal_counts(self) -> None:
        load = replace(CALM, waiting=9, first_token=10)
        assert SCALING.wanted(load, replicas=2, ready=2) == 4

    def test_hours_ask_for_their_copies_and_only_then(self) -> None:
        hours = Clock(start=8 * 60, end=18 * 60, days=frozenset(range(5)), replicas=3)
        clocked = replace(SCALING, clocks=(hours,))
        at_work = replace(CALM, minute=MONDAY_NINE)
        on_saturday = replace(CALM, minute=MONDAY_NINE + 5 * 24 * 60)
        assert clocked.wanted(at_work, replicas=1, ready=1) == 3
        assert clocked.wanted(on_saturday, replicas=3, ready=3) == 1

    @given(
        waiting=st.integers(0, 10_000),
        first_token=st.floats(0, 1000),
        replicas=st.integers(1, 6),
    )
    def test_no_load_leads_out_of_the_bounds(
        self, waiting: int, first_token: float, replicas: int
    ) -> None:
        load = replace(CALM, waiting=waiting, first_token=first_token)
        assert 1 <= SCALING.wanted(load, replicas=replicas, ready=replicas) <= SCALING.maximum

    def test_a_sleeping_model_is_woken_by_a_call(self) -> None:
        assert not SLEEPER.is_active(CALM)
        assert SLEEPER.is_active(replace(CALM, calls=1))
        assert SLEEPER.is_active(replace(CALM, running=1))


class TestRun:
    """A load, followed second by second."""

    @given(
        rate=st.floats(0, 6),
        minimum=st.integers(0, 3),
        cold_start=st.integers(0, 900),
        seed=st.integers(0, 3),
    )
    def test_every_request_is_answered_or_refused_or_waits_still(
        self, rate: float, minimum: int, cold_start: int, seed: int
    ) -> None:
        profile = LoadProfile(((0, rate), (20, 2 * rate)))
        outcome = outcome_of(
            profile,
            replace(SLEEPER, minimum=minimum),
            replace(SERVER, start_seconds=cold_start),
            seed=seed,
        )
        assert outcome.requests == sum(profile.arrivals(seed))
        assert all(each >= SERVER.first_token_seconds for each in outcome.first_tokens)

    @settings(max_examples=25)
    @given(rate=st.floats(0.5, 8), seed=st.integers(0, 3))
    def test_copies_come_and_go_as_slowly_as_the_policies_say(self, rate: float, seed: int) -> None:
        profile = wave(base=0.2, peak=rate, ramp_minutes=2, peak_minutes=10)
        replicas = [each.replicas for each in outcome_of(profile, seed=seed).moments]
        assert all(1 <= each <= SCALING.maximum for each in replicas)
        for second, now in list(enumerate(replicas))[::5]:
            assert now <= 2 * min(replicas[max(0, second - 119) : second + 1])
            assert now >= max(replicas[max(0, second - 299) : second + 1]) - 1

    @given(rate=st.floats(0.1, 6), copies=st.integers(1, 4))
    def test_more_copies_that_never_change_answer_no_later(self, rate: float, copies: int) -> None:
        profile = steady(rate, minutes=10)
        fewer, more = (
            outcome_of(profile, Scaling.fixed(number)) for number in (copies, copies + 1)
        )
        assert max(more.first_tokens, default=0) <= max(fewer.first_tokens, default=0)

    def test_what_one_copy_can_do_is_done_at_once_by_one(self) -> None:
        outcome = outcome_of(steady(0.3))
        assert outcome.good_share(1.0) == 1.0
        assert {each.replicas for each in outcome.moments} == {1}

    def test_a_queue_brings_copies_which_answer_only_after_their_start(self) -> None:
        outcome = outcome_of(steady(5.0, minutes=40))
        asked = next(n for n, each in enumerate(outcome.moments) if each.replicas > 1)
        ready = next(n for n, each in enumerate(outcome.moments) if each.ready > 1)
        assert ready - asked == SERVER.start_seconds
        assert outcome.moments[-1].waiting == 0

    def test_a_slower_start_is_worse(self) -> None:
        profile = wave(base=0.5, peak=5, ramp_minutes=5, peak_minutes=20)
        shares = [
            outcome_of(profile, server=replace(SERVER, start_seconds=seconds)).good_share(2)
            for seconds in (30, 600)
        ]
        assert shares[0] > shares[1]

    def test_callers_of_a_sleeping_model_are_refused_until_it_is_there(self) -> None:
        outcome = outcome_of(steady(1.0, minutes=20), SLEEPER)
        awake = next(n for n, each in enumerate(outcome.moments) if each.ready)
        assert awake >= SERVER.start_seconds
        assert outcome.refused > 0.5 * awake
        assert outcome.unanswered == 0

    def test_an_idle_model_falls_asleep_and_not_before_its_time(self) -> None:
        profile = LoadProfile(((0, 1), (10, 1), (11, 0), (90, 0)))
        replicas = [each.replicas for each in outcome_of(profile, SLEEPER).moments]
        awake = [second for second, each in enumerate(replicas) if each]
        assert replicas[-1] == 0
        assert awake[-1] - 10 * 60 >= SLEEPER.idle_seconds

    def test_the_same_seed_gives_the_same_run(self) -> None:
        runs = [outcome_of(steady(3.0, minutes=10), seed=seed) for seed in (1, 1, 2)]
        assert runs[0] == runs[1]
        assert runs[0] != runs[2]


class TestFindings:
    """Sentences, each with what would help."""

    @pytest.mark.parametrize(
        ("profile", "scaling", "told"),
        [
            (steady(20, 10), SCALING, "Raise maximum to at least 10"),
            (steady(1, 10), SLEEPER, "were refused"),
            (steady(5, 30), SCALING, "while copies were starting, which takes 5 min"),
            (steady(1, 10), Scaling.fixed(4), "2 fewer would have done"),
        ],
        ids=["too-few", "asleep", "too-late", "too-many"],
    )
    def test_what_is_wrong_is_told_with_a_remedy(
        self, profile: LoadProfile, scaling: Scaling, told: str
    ) -> None:
        outcome = outcome_of(profile, scaling)
        sentences = findings(outcome, scaling=scaling, server=SERVER, profile=profile)
        assert told in "\n".join(sentences)

    def test_what_fits_needs_no_word(self) -> None:
        profile = steady(0.3)
        found = findings(outcome_of(profile), scaling=SCALING, server=SERVER, profile=profile)
        assert list(found) == []


class TestScaledObject:
    """The object that a template holds, read again."""

    def test_a_trigger_that_cannot_be_followed_is_told(self) -> None:
        body = {
            "metadata": {"name": "model"},
            "spec": {
                "advanced": {
                    "horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": {}, "scaleDown": {}}}
                },
                "triggers": [{"type": "kafka", "metadata": {"query": ""}}],
            },
        }
        with pytest.raises(ScalingError, match="kafka"):
            scaling_of(body)

    @pytest.mark.synth
    def test_each_one_that_is_deployed_is_understood(self, assembly: Assembly) -> None:
        from ops.kubernetes.contents import clusters

        found = [
            (each, scaling_of(each.body))
            for cluster in clusters(assembly.directory)
            for each in cluster.of_kind("ScaledObject")
        ]
        assert found
        for each, scaling in found:
            assert scaling.waiting_target
            assert scaling.first_token_target
            assert scaling.growth == (DOUBLE,)
            assert f"[{scaling.latency_window_seconds // 60}m]" in str(each.body)
            assert scaling.calls_window_seconds == 300
            assert scaling.wakes_on_calls == (scaling.minimum == 0), each.title


class TestProfile:
    """A load in a file."""

    def test_rates_change_evenly_between_the_points(self, tmp_path: Path) -> None:
        file = tmp_path / "load.csv"
        file.write_text("minute,requests_per_second\n0,1\n10,3\n", encoding="utf-8")
        load = read(file)
        assert (load.seconds, load.peak, load.rate(300)) == (600, 3, 2)
        assert load.expected == 1200

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("time,rate\n0,1\n", "Its first line must be minute,requests_per_second"),
            ("minute,requests_per_second\n0,one\n5,2,3\n", "load.csv:3: '5,2,3' is not a minute"),
            ("minute,requests_per_second\n0,1\n", "A load has at least two points"),
            ("minute,requests_per_second\n5,1\n5,2\n", "Minutes must rise"),
            ("minute,requests_per_second\n0,-1\n5,2\n", "A rate is 0 requests"),
            ("minute,requests_per_second\n0,900\n90,900\n", "Shorten the load"),
        ],
    )
    def test_what_is_no_load_is_told(self, tmp_path: Path, text: str, told: str) -> None:
        file = tmp_path / "load.csv"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ProfileError, match=told):
            read(file)

    @given(rate=st.floats(0, 50), seed=st.integers(0, 5))
    def test_about_as_many_come_as_the_rates_say(self, rate: float, seed: int) -> None:
        load = steady(rate, minutes=5)
        count = sum(load.arrivals(seed))
        assert abs(count - load.expected) <= 6 * load.expected**0.5 + 1


@pytest.mark.synth
class TestCommand:
    """The command, on what would be deployed."""

    COPY = ("--concurrency", "16", "--cold-start", "480", "--answer", "8", "--first-token", "0.4")

    def run(self, assembly: Assembly, *arguments: str) -> Any:
        line = ["autoscaling", "--assembly", str(assembly.directory), *arguments]
        return CliRunner().invoke(app, line, env={"COLUMNS": "200"})

    def test_a_load_that_one_copy_bears_meets_the_objective(
        self, assembly: Assembly, tmp_path: Path
    ) -> None:
        file = tmp_path / "run.json"
        options = ("--env", "staging", "--peak", "0.5", "--output", str(file))
        result = self.run(assembly, "qwen3-8b", *options, *self.COPY)
        assert result.exit_code == 0, result.output
        assert "100.0 % had their first token within 2 s" in result.output
        written = json.loads(file.read_text())
        assert written["good_share"] == 1.0
        assert len(written["moments"]) >= 110 * 60

    def test_a_load_at_night_finds_nobody_awake(self, assembly: Assembly) -> None:
        options = ("--env", "staging", "--peak", "1", "--starts", "sun 03:00")
        result = self.run(assembly, "qwen3-8b", *options, *self.COPY)
        assert result.exit_code == 1, result.output
        assert "were refused, because no copy was ready" in result.output

    def test_what_a_load_test_measured_is_taken(self, assembly: Assembly, tmp_path: Path) -> None:
        file = tmp_path / "measured.json"
        sample = {"error": None, "total": 8.0, "first_token": 0.4}
        failed = {"error": "timed out", "total": 120.0, "first_token": None}
        file.write_text(json.dumps({"samples": [sample, sample, failed]}), encoding="utf-8")
        options = ("--env", "staging", "--peak", "1", "--measured", str(file))
        result = self.run(assembly, "qwen3-8b", *options, *self.COPY[:4])
        assert result.exit_code == 0, result.output

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("other", "--env", "staging", *COPY), "serves no model 'other'. Choose from qwen3-8b"),
            (("qwen3-8b", "--env", "staging", *COPY[:4]), "How long an answer takes is not known"),
            (("qwen3-8b", "--env", "staging", *COPY, "--starts", "noon"), "no day and time"),
            (("qwen3-8b", "--env", "staging", *COPY, "--answer", "0.1"), "before the end"),
            (
                ("qwen3-8b", "--env", "staging", *COPY, "--measured", "none.json"),
                "No such file or directory. Give a file of `ops load`",
            ),
        ],
        ids=["model", "answer", "start", "first-token", "file"],
    )
    def test_what_is_wrong_is_a_sentence(
        self, assembly: Assembly, arguments: tuple[str, ...], told: str
    ) -> None:
        result = self.run(assembly, *arguments)
        assert result.exit_code == 2, result.output
        assert told in " ".join(result.output.split())
        assert "Traceback" not in result.output
