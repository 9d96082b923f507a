"""The app as people run it: from anywhere, with the wrong file, with an insecure resource."""

import filecmp
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from config.node import packaged_node
from ops.synthesis import CLI
from tests.assembly import Assembly
from tests.project_copy import copy_project

# Each test starts the app, or the command line, as a process.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def run_app(
    *arguments: str, root: Path = ROOT, cwd: Path, outdir: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "app.py"), *arguments],
        cwd=cwd,
        env={**os.environ, "CDK_OUTDIR": str(outdir), "CDK_VALIDATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )


def copied_project(folder: Path) -> Path:
    root = folder / "project"
    root.mkdir()
    copy_project(root)
    return root


def test_it_runs_from_any_directory_and_says_nothing(tmp_path: Path) -> None:
    result = run_app(cwd=tmp_path, outdir=tmp_path / "out")

    assert result.returncode == 0, result.stderr
    # No end-of-life banner of Node, no notices, no deprecations.
    assert (result.stdout, result.stderr) == ("", "")
    templates = sorted(path.name for path in (tmp_path / "out").glob("*.template.json"))
    names = (
        "curation",
        "data",
        "eks",
        "fine-tuning",
        "gateway",
        "network",
        "observability",
        "serving",
        "training",
    )
    assert templates == [f"llm-dev-{name}.template.json" for name in names]


def test_the_cloud_assembly_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for outdir in (one, two):
        assert run_app("-c", "env=prod", cwd=tmp_path, outdir=outdir).returncode == 0

    comparison = filecmp.dircmp(one, two)
    assert comparison.left_only == comparison.right_only == []
    _, differing, errors = filecmp.cmpfiles(one, two, comparison.common_files, shallow=False)
    assert (differing, errors) == ([], [])
    assert "llm-prod-data.template.json" in comparison.common_files


def test_an_unknown_environment_ends_with_a_sentence(tmp_path: Path) -> None:
    result = run_app("-c", "env=qa", cwd=tmp_path, outdir=tmp_path / "out")

    assert result.returncode == 1
    assert result.stderr == (
        "qa.toml: env = 'qa': There is no such environment. "
        "Choose dev, local, prod, staging, all, or add the file config/qa.toml.\n"
    )


def test_a_wrong_file_ends_with_sentences_and_loses_nothing(tmp_path: Path) -> None:
    root = copied_project(tmp_path)
    file = root / "config" / "dev.toml"
    file.write_text(file.read_text().replace("capacity_gib = 1200", "capacity_gib = 1300"))
    outdir = tmp_path / "out"
    outdir.mkdir()
    (outdir / "kept").touch()

    result = run_app(root=root, cwd=tmp_path, outdir=outdir)

    assert result.returncode == 1
    assert result.stderr.startswith("dev.toml: lustre.capacity_gib = 1300: ")
    assert "Traceback" not in result.stderr
    assert [path.name for path in outdir.iterdir()] == ["kept"]


def test_context_without_a_value_is_refused(tmp_path: Path) -> None:
    result = run_app("-c", "prod", cwd=tmp_path, outdir=tmp_path / "out")
    assert result.returncode == 2
    assert "prod: context is KEY=VALUE, for example -c env=prod" in result.stderr


INSECURE = """
    import sys
    sys.path[:0] = [{root!r}, {constructs!r}]
    from config.node import use_packaged_node
    use_packaged_node()
    from aws_cdk import aws_s3 as s3
    from config import load_selected
    from stacks.platform import build_app

    app = build_app(load_selected("dev"))
    {change}
    app.synth()
"""


def run_cdk_synth(folder: Path, change: str) -> subprocess.CompletedProcess[str]:
    script = folder / "app.py"
    text = textwrap.dedent(INSECURE).format(
        root=str(ROOT), constructs=str(ROOT / "constructs"), change=change
    )
    script.write_text(text)
    node = packaged_node()
    if node is None or not CLI.exists():
        pytest.skip("the CDK command line is not installed: run `make install`")
    return subprocess.run(
        [
            *(str(node), str(CLI), "synth", "--quiet", "--no-notices", "--no-version-reporting"),
            *("--app", f"{sys.executable} {script}", "--output", str(folder / "out")),
        ],
        cwd=folder,
        env={**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_VALIDATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.synth
def test_cdk_synth_gives_the_templates_of_a_plain_run(tmp_path: Path, assembly: Assembly) -> None:
    result = run_cdk_synth(tmp_path, change="")
    assert result.returncode == 0, result.stderr
    for name in ("llm-dev-network", "llm-dev-data"):
        template = json.loads((tmp_path / "out" / f"{name}.template.json").read_text())
        assert template == assembly.templates[name]


def test_cdk_synth_fails_for_an_insecure_bucket(tmp_path: Path) -> None:
    result = run_cdk_synth(
        tmp_path, change='s3.Bucket(app.node.find_child("llm-dev-data"), "Insecure")'
    )
    assert result.returncode == 1
    assert "llm-dev-data/Insecure/Resource" in result.stdout + result.stderr
