"""The benchmark runs, on an app small enough for a test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BENCHMARK = ROOT / "benchmarks" / "synth.py"

APP = """
import sys

from aws_cdk import App, CfnResource, Stack

app = App()
stack = Stack(app, sys.argv[-1].replace("env=", "llm-") + "-topics")
CfnResource(stack, "First", type="AWS::SNS::Topic")
CfnResource(stack, "Second", type="AWS::SNS::Topic")
app.synth()
"""

pytestmark = pytest.mark.slow


def run(app: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARK), "-n", "1", "--app", str(app), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture
def app(tmp_path: Path) -> Path:
    script = tmp_path / "app.py"
    script.write_text(APP, encoding="utf-8")
    return script


def test_an_app_is_measured_against_an_empty_one(app: Path) -> None:
    done = run(app, "--env", "dev", "--engine", "off", "--max-cpu-ratio", "0.1")
    report = json.loads(done.stdout.splitlines()[-1])
    (result,) = report["results"]
    assert (result["env"], result["engine"], result["resources"]) == ("dev", "off", 2)
    # The app, the tree's metadata node, the stack, two resources, and the bootstrap parameter and
    # rule, which the CDK adds to each stack.
    assert result["constructs"] == 7
    assert result["jsii_messages"] > result["resources"]
    ratio = result["ratio"]["cpu"]
    assert ratio["median"] == pytest.approx(
        result["app"]["cpu_s"]["median"] / result["floor"]["cpu_s"]["median"], abs=0.01
    )
    # Nothing is ten times cheaper than an app without stacks: the limit above must be refused.
    assert done.returncode == 1
    assert "dev, engine off: The CPU ratio is" in done.stderr


def test_an_app_that_fails_is_named_with_its_output(tmp_path: Path) -> None:
    broken = tmp_path / "app.py"
    broken.write_text("raise SystemExit('no such environment')", encoding="utf-8")
    done = run(broken, "--env", "dev", "--engine", "off")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "It ended with 1, so there is nothing to measure" in done.stderr
    assert "no such environment" in done.stderr
    assert "Traceback" not in done.stderr
