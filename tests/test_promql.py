"""Every query of Prometheus, in templates and in runbooks, is one, and asks for what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kubernetes.contents import clusters
from tests.assembly import Assembly
from tests.scraped_metrics import exposed, metrics_of, rules_of

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```promql\n(.*?)```", re.DOTALL)


def of_runbooks() -> list[tuple[str, str]]:
    return [
        (page.name, line)
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def of_alerts(assembly: Assembly) -> Iterator[tuple[str, str]]:
    for stack, template in assembly.templates.items():
        for rule in rules_of(template):
            yield f"{stack} {rule['alert']}", rule["expr"]


def of_triggers(assembly: Assembly) -> Iterator[tuple[str, str]]:
    for cluster in clusters(assembly.directory):
        for made in cluster.of_kind("ScaledObject"):
            for trigger in made.body["spec"]["triggers"]:
                if trigger["type"] == "prometheus":
                    yield made.title, trigger["metadata"]["query"]


@pytest.mark.parametrize(("page", "query"), of_runbooks())
def test_a_query_of_the_docs_asks_for_what_is_exposed(page: str, query: str) -> None:
    assert metrics_of(query) <= exposed(), page


@pytest.mark.synth
def test_alerts_and_triggers_ask_for_what_is_exposed(assembly: Assembly) -> None:
    asked = [*of_alerts(assembly), *of_triggers(assembly)]
    assert {name.split()[0].split("-")[1] for name, _ in of_alerts(assembly)} == {
        "dev",
        "staging",
        "prod",
    }
    assert any("ScaledObject" in name for name, _ in asked)
    wrong = {name: metrics_of(query) - exposed() for name, query in asked}
    assert {name: metrics for name, metrics in wrong.items() if metrics} == {}
    assert all(metrics_of(query) for _, query in asked)


def test_what_is_no_query_is_noticed() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        metrics_of("sum(rate(up[5m])")
    assert metrics_of('sum(rate(a_total{b="c"}[5m])) / (max(d) or vector(0)) > 1') == {
        "a_total",
        "d",
    }
