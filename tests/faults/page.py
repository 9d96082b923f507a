"""docs/planted-faults.md: which check finds which mistake."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.faults.fault import Fault, FileFault, ObjectFault
from tests.faults.layers import LAYERS, Caught

PAGE_FILE: Final = Path(__file__).parents[2] / "docs" / "planted-faults.md"

_PAGE: Final = """\
# Planted faults

<!-- Written by `python -m tests.faults`; do not edit. -->

A check that never found anything may be unable to. `tests/faults` therefore takes what is right
(the templates, Kubernetes objects and files of the environments), plants one mistake at a time,
and asks every check. What a check said before the mistake does not count. {number} mistakes are
planted; none passes all checks, and the tests fail when one begins to, or when this page is out of
date.

The checks, in the order in which a change meets them:

| check | what it is | run by | finds | finds first |
| --- | --- | --- | --- | --- |
{layers}

Two things are not proved here. Templates are asked in parts, a resource with what it refers to, so
that a mistake is found for its own sake. And no check knows what AWS alone knows: quotas, capacity,
names that are taken.

## Environments' files

{files}

## Templates

{templates}

## Kubernetes objects

{objects}
"""

_MEANING: Final = {
    "configuration": ("loading of the environments' files, and the constructors", "make synth"),
    "our rules": ("`llm_constructs/template_rules.py`, over finished templates", "make synth"),
    "rule packs": ("the five packs of cdk-nag", "make synth"),
    "CloudFormation's rules": ("the CDK's own validation of templates", "make synth"),
    "cfn-lint": ("AWS's linter, with the rules of each stack's region", "make lint-templates"),
    "policies": (
        "AWS's list of actions, resources and keys, and the keys of what roles use",
        "make lint-templates",
    ),
    "objects": ("schemas, references and places of all objects", "python -m ops kubernetes"),
    "changes": ("what an update would do to data", "make diff"),
    "tests": ("metrics and runbooks that alarms name, and queries of alerts", "make test"),
}

Row = tuple[Fault, Caught]


def page(rows: Iterable[Row]) -> str:
    """Return the content of the page."""
    listed = list(rows)
    first = Counter(_in_order(caught)[0] for _, caught in listed if caught)
    every = Counter(layer for _, caught in listed for layer in caught)
    layers = [
        f"| {layer} | {_MEANING[layer][0]} | `{_MEANING[layer][1]}` "
        f"| {every[layer]} | {first[layer]} |"
        for layer in LAYERS
    ]
    kinds = {"files": FileFault, "objects": ObjectFault}
    parts = {name: [row for row in listed if isinstance(row[0], of)] for name, of in kinds.items()}
    others = [row for row in listed if not isinstance(row[0], tuple(kinds.values()))]
    return _PAGE.format(
        number=len(listed),
        layers="\n".join(layers),
        files=table(parts["files"]),
        templates=table(others),
        objects=table(parts["objects"]),
    )


def table(rows: Iterable[Row]) -> str:
    """Return one row for each mistake."""
    lines = ["| mistake | why it matters | found first by | and by |", "| --- | --- | --- | --- |"]
    for fault, caught in rows:
        first, *others = _in_order(caught) or ["**nothing**"]
        lines.append(f"| {fault.name} | {fault.why} | {first} | {', '.join(others)} |")
    return "\n".join(lines)


def _in_order(caught: Caught) -> list[str]:
    return [layer for layer in LAYERS if layer in caught]
