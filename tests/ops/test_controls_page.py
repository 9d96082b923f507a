"""The map of controls names tests and resources that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.assembly import Assembly

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| `(tests/[^`]+)` \|$", PAGE, re.MULTILINE)
HIPAA = re.compile(r"164\.3\d\d(\([a-z0-9]+\))+(\([ivx]+\))?(\([A-Z]\))?")
GDPR = re.compile(r"\d{1,2}(\(\d\))?(\([a-f]\))?(, \d{1,2}(\(\d\))?(\([a-f]\))?)*")


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(it.name for it in tree.body if isinstance(it, ast.FunctionDef))


def test_every_row_of_both_tables_is_read() -> None:
    written = [line for line in PAGE.splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(ROWS) == len(written) > 30


@pytest.mark.parametrize("node", sorted({row[3] for row in ROWS}))
def test_each_test_exists(node: str) -> None:
    file, _, name = node.partition("::")
    assert name in functions_of(file)


def test_each_control_is_written_as_the_laws_write_it() -> None:
    wrong = [row[0] for row in ROWS if not (HIPAA.fullmatch(row[0]) or GDPR.fullmatch(row[0]))]
    assert wrong == []


@pytest.mark.synth
def test_each_type_of_resource_is_in_the_templates(assembly: Assembly) -> None:
    made = {it["Type"] for body in assembly.templates.values() for it in body["Resources"].values()}
    named = {kind for row in ROWS for kind in re.findall(r"`(\w+::[\w:]+)`", row[2])}
    assert len(named) > 15
    assert named - made == set()
