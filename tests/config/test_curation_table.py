"""What an environment's file may say about curation beside the rest of the file."""

from pathlib import Path

from llm_constructs.specs.network import Capability
from tests.minimal_environment import loaded, minimal, problems_of

CURATION = """
[curation]
repository = "llm/curation"
version = "1.0.0"
tokenizer = "base/tokenizer.json"
"""


def test_three_lines_make_a_pipeline_and_ask_for_its_endpoints(tmp_path: Path) -> None:
    text = f"{minimal()}\n[data]\n{CURATION}"
    environment = loaded(tmp_path, text)
    assert environment.curation is not None
    assert environment.curation.rules.minimum_words == 50
    assert Capability.CURATION in environment.capabilities


def test_without_a_lake_there_is_nothing_to_curate(tmp_path: Path) -> None:
    told = problems_of(tmp_path, minimal() + CURATION)
    assert "curation: The pipeline reads and writes the lake" in told


def test_types_that_the_region_does_not_have_are_refused(tmp_path: Path) -> None:
    gpu = """
[curation.gpu_deduplication]
repository = "nemo/curator"
version = "26.07"
command = ["run"]
"""
    told = problems_of(tmp_path, f"{minimal('us-west-1')}\n[data]\n{CURATION}{gpu}")
    assert "curation.gpu_deduplication.instance_types = 'g6e.2xlarge'" in told
    assert "EC2 does not offer it in us-west-1." in told


def test_a_problem_of_the_rules_is_told_with_its_place(tmp_path: Path) -> None:
    wrong = CURATION + "[curation.rules]\nbands = 5\n"
    told = problems_of(tmp_path, f"{minimal()}\n[data]\n{wrong}")
    assert "curation.rules.permutations = 112" in told


def test_every_problem_of_one_table_is_told_at_once(tmp_path: Path) -> None:
    wrong = CURATION + "workers = 1\nattempts = 99\n"
    told = problems_of(tmp_path, f"{minimal()}\n[data]\n{wrong}")
    assert "curation.workers = 1" in told
    assert "curation.attempts = 99" in told
