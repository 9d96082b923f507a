"""Imports run one way: app → stacks → config → llm_constructs; lambdas and jobs stand alone."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import environment_names

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "constructs/llm_constructs": {"app", "stacks", "config", "ops", "lambdas", "gateway", "tests"},
    "config": {"app", "stacks", "ops", "gateway", "tests", "aws_cdk"},
    "stacks": {"app", "ops", "gateway", "tests"},
    "ops": {"app", "stacks", "tests", "aws_cdk"},
    "lambdas": {"app", "stacks", "config", "ops", "llm_constructs", "aws_cdk", "tests"},
    "jobs": {"app", "stacks", "config", "ops", "llm_constructs", "aws_cdk", "gateway", "tests"},
}
for _layer in ("constructs/llm_constructs", "config", "stacks", "ops", "lambdas"):
    FORBIDDEN[_layer].add("curation")
# What a specification says must be readable without the CDK, which takes seconds to load.
FORBIDDEN["constructs/llm_constructs/specs"] = {
    *FORBIDDEN["constructs/llm_constructs"],
    "aws_cdk",
    "constructs",
    "jsii",
    "pydantic",
}


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_nothing_above_it(layer: str) -> None:
    files = sorted((ROOT / layer).rglob("*.py"))
    wrong = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imports_of(file)
        if name in FORBIDDEN[layer]
    }
    assert files
    assert wrong == set()


def nodes_but_keys(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but the keys of subscripts: a file that a service writes may say "local"."""
    nodes = list(ast.walk(tree))
    keys = {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    return (node for node in nodes if id(node) not in keys)


def test_no_construct_knows_an_environments_name() -> None:
    names = set(environment_names())
    wrong = {
        f"{file.relative_to(ROOT)}: {node.value}"
        for file in (ROOT / "constructs" / "llm_constructs").rglob("*.py")
        for node in nodes_but_keys(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert wrong == set()


def test_constructs_is_a_source_root_and_no_package() -> None:
    assert not (ROOT / "constructs" / "__init__.py").exists()


def test_test_files_have_names_of_their_own() -> None:
    # pytest imports them by their base name, and a second one stops the whole run.
    counted = Counter(file.name for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in counted.items() if count > 1] == []
