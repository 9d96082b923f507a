"""What an environment's file may say of the curation pipeline."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.rules import Rules
from llm_constructs.specs.curation import Curation, CurationSchedule, GpuDeduplication, JobSize
from llm_constructs.specs.curation_rules import CurationRules
from llm_constructs.specs.problem import SpecificationError

SMALLEST: dict[str, Any] = {
    "repository": "llm/curation",
    "version": "1.0.0",
    "tokenizer": "base/tokenizer.json",
}
GPU: dict[str, Any] = {"repository": "nemo/curator", "version": "26.07", "command": ("run",)}


def test_the_rules_are_those_of_the_job() -> None:
    def described(rules: type[CurationRules | Rules]) -> dict[str, tuple[str, object]]:
        fields = dataclasses.fields(rules)
        return {it.name: (getattr(it.type, "__name__", ""), it.default) for it in fields}

    ours, its = described(CurationRules), described(Rules)
    assert {name: (kind, str(default)) for name, (kind, default) in ours.items()} == {
        name: (kind, str(default)) for name, (kind, default) in its.items()
    }


def test_personal_data_can_be_treated_as_the_job_treats_it() -> None:
    ours, its = CurationRules().personal_data, Rules().personal_data
    assert [*type(ours)] == [*type(its)]


NUMBERS = st.one_of(st.sampled_from([-1, 0, 1, 2]), st.integers(0, 200))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            it.name: st.floats(-1, 2) if isinstance(it.default, float) else NUMBERS
            for it in dataclasses.fields(Rules)
            if isinstance(it.default, int | float)
        },
    )
)
def test_rules_that_an_environment_may_have_are_none_that_the_job_refuses(
    change: dict[str, Any],
) -> None:
    try:
        rules = CurationRules(**change)
    except SpecificationError:
        return
    assert Rules.from_json(rules.as_json()).as_dict() == json.loads(rules.as_json())


def test_the_job_reads_what_the_rules_say() -> None:
    rules = CurationRules(minimum_words=7, stop_words=("der", "die"), fuzzy_threshold=0.5)
    read = Rules.from_json(rules.as_json())
    assert read.as_dict() == json.loads(rules.as_json())
    assert read != Rules()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"repository": "https://registry/x"}, "repository"),
        ({"version": "latest"}, "version"),
        ({"tokenizer": "/models/tokenizer.json"}, "tokenizer"),
        ({"tokenizer": "base/"}, "tokenizer"),
        ({"dataset": "Pre training"}, "dataset"),
        ({"workers": 1}, "workers"),
        ({"workers": 10_001}, "workers"),
        ({"attempts": 11}, "attempts"),
        ({"stage_hours": 0}, "stage_hours"),
        ({"volume_gib": 8}, "volume_gib"),
        ({"rejected_percent": 0}, "rejected_percent"),
        ({"log_retention_days": 91}, "log_retention_days"),
        ({"instance_families": ("m9x",)}, "instance_families"),
        ({"instance_families": ("g6e",)}, "instance_families"),
        ({"instance_families": ("m7i", "m7g")}, "instance_families"),
        ({"instance_families": ()}, "deduplication_size"),
        ({"max_vcpus": 2}, "deduplication_size"),
        ({"deduplication_size": JobSize(vcpus=4, memory_mib=500_000)}, "deduplication_size"),
    ],
)
def test_what_batch_would_refuse_or_wait_for_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError) as error:
        Curation(**{**SMALLEST, **change})
    assert field in {problem.field for problem in error.value.problems}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"instance_types": ("trn2.48xlarge",)}, "instance_types"),
        ({"instance_types": ("m7i.8xlarge",)}, "instance_types"),
        ({"instance_types": ()}, "gpus"),
        ({"gpus": 2}, "instance_types"),
        ({"command": ()}, "command"),
        ({"size": JobSize(vcpus=8, memory_mib=64_000)}, "instance_types"),
    ],
)
def test_a_gpu_job_that_fits_nowhere_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError) as error:
        GpuDeduplication(**{**GPU, **change})
    assert field in {problem.field for problem in error.value.problems}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bands": 5}, "permutations"),
        ({"fuzzy_threshold": 0.0}, "fuzzy_threshold"),
        ({"minimum_words": 9, "maximum_words": 8}, "minimum_words"),
        ({"minimum_mean_word_length": 11.0}, "minimum_mean_word_length"),
        ({"stop_words": ("the",)}, "minimum_stop_words"),
        ({"sequence_length": 0}, "sequence_length"),
        ({"maximum_personal_data": -1}, "maximum_personal_data"),
    ],
)
def test_rules_that_would_reject_everything_are_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError) as error:
        CurationRules(**change)
    assert [problem.field for problem in error.value.problems] == [field]


@pytest.mark.parametrize(
    ("expression", "folder", "field"),
    [("daily", "web/", "expression"), ("rate(1 day)", "/web", "input")],
)
def test_a_schedule_that_cannot_be_is_refused(expression: str, folder: str, field: str) -> None:
    with pytest.raises(SpecificationError) as error:
        CurationSchedule(expression=expression, input=folder)
    assert [problem.field for problem in error.value.problems] == [field]


def test_a_job_without_a_size_is_refused() -> None:
    with pytest.raises(SpecificationError, match="A job needs some"):
        JobSize(vcpus=0, memory_mib=1)
