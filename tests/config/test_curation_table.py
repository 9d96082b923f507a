"""What an environment's file may say about curation beside the rest of the file."""

from pathlib import Path

import pytest

from config import ConfigError, load
from llm_constructs.specs.network import Capability

HEAD = """
account = "111111111111"
region = "{region}"
jurisdiction = "us"

[tags]
owner = "ml-platform"
cost-center = "research"

[network.vpc]
cidr = "10.40.0.0/16"
availability_zones = ["{region}a", "{region}b"]
"""

CURATION = """
[curation]
repository = "llm/curation"
version = "1.0.0"
tokenizer = "base/tokenizer.json"
"""


def problems_of(folder: Path, text: str) -> str:
    (folder / "team.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load("team", folder)
    return str(caught.value)


def test_three_lines_make_a_pipeline_and_ask_for_its_endpoints(tmp_path: Path) -> None:
    text = f"{HEAD.format(region='us-east-2')}\n[data]\n{CURATION}"
    (tmp_path / "team.toml").write_text(text, encoding="utf-8")
    environment = load("team", tmp_path)
    assert environment.curation is not None
    assert environment.curation.rules.minimum_words == 50
    assert Capability.CURATION in environment.capabilities


def test_without_a_lake_there_is_nothing_to_curate(tmp_path: Path) -> None:
    told = problems_of(tmp_path, HEAD.format(region="us-east-2") + CURATION)
    assert "curation: The pipeline reads and writes the lake" in told


def test_types_that_the_region_does_not_have_are_refused(tmp_path: Path) -> None:
    gpu = """
[curation.gpu_deduplication]
repository = "nemo/curator"
version = "26.07"
command = ["run"]
"""
    told = problems_of(tmp_path, f"{HEAD.format(region='us-west-1')}\n[data]\n{CURATION}{gpu}")
    assert "curation.gpu_deduplication.instance_types = 'g6e.2xlarge'" in told
    assert "EC2 does not offer it in us-west-1." in told


def test_a_problem_of_the_rules_is_told_with_its_place(tmp_path: Path) -> None:
    wrong = CURATION + "[curation.rules]\nbands = 5\n"
    told = problems_of(tmp_path, f"{HEAD.format(region='us-east-2')}\n[data]\n{wrong}")
    assert "curation.rules.permutations = 112" in told


def test_every_problem_of_one_table_is_told_at_once(tmp_path: Path) -> None:
    wrong = CURATION + "workers = 1\nattempts = 99\n"
    told = problems_of(tmp_path, f"{HEAD.format(region='us-east-2')}\n[data]\n{wrong}")
    assert "curation.workers = 1" in told
    assert "curation.attempts = 99" in told
