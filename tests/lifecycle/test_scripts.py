"""What the scripts are made of: they must start on any node, however they came there."""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.fake_node import LIFECYCLE

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for path in LIFECYCLE.rglob("*")
    if path.is_file() and path.suffix != ".pyc" and path.name != "settings.json"
)
PYTHON = [path for path in FILES if path.suffix == ".py"]
SHELL = [path for path in FILES if path.suffix == ".sh"]

OLDEST_PYTHON = (3, 9)
"""Of Amazon Linux 2023; Ubuntu 22.04 has 3.10."""


def imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("file", PYTHON, ids=lambda file: file.name)
def test_python_needs_the_standard_library_alone_and_no_newer_python(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=OLDEST_PYTHON)
    foreign = set(imported_names(tree)) - sys.stdlib_module_names - {"hyperpod_node"}
    assert foreign == set()
    # feature_version lets unions in annotations through, which 3.9 would evaluate.
    annotated = any(isinstance(node, ast.AnnAssign | ast.arg) for node in ast.walk(tree))
    assert not annotated or "from __future__ import annotations" in file.read_text()
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_has_unix_line_ends(file: Path) -> None:
    content = file.read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")


@pytest.mark.parametrize("file", SHELL, ids=lambda file: file.name)
def test_every_shell_script_is_strict_and_can_be_started(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "set -euo pipefail" in lines
    assert os.access(file, os.X_OK)


@pytest.mark.slow
def test_shellcheck_finds_nothing() -> None:
    scripts = [*SHELL, Path(__file__).parent / "stub.sh"]
    shellcheck = Path(sys.executable).parent / "shellcheck"
    result = subprocess.run(
        [str(shellcheck), *map(str, scripts)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_every_file_is_in_the_published_package() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = pyproject["tool"]["setuptools"]["package-data"]["llm_constructs"]
    package = LIFECYCLE.parent
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    assert set(FILES) - packed == set()
