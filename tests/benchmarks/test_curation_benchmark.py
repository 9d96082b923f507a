"""The benchmark of curation runs, on a corpus small enough for a test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "curation.py"

pytestmark = pytest.mark.slow


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARK), "--megabytes", "1", "-n", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_ends_with_one_object_of_figures_and_fails_as_a_gate() -> None:
    result = run("--max-ratio", "0.1")
    assert result.returncode == 1
    assert "times the floor, above 0.1" in result.stderr
    figures = json.loads(result.stdout.splitlines()[-1])
    assert set(figures["stages"]) == {"filter", "deduplicate", "tokenise", "publish"}
    assert figures["whole"]["ratio_to_floor"]["median"] > 1
    # Near copies are found, and nothing but them is left out.
    assert 0 < figures["published"] < figures["records"]
