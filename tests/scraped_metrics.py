"""What queries of Prometheus select, and what programs in the cluster expose."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser

EXPOSED = Path(__file__).with_name("scraped_metrics.toml")


def exposed() -> set[str]:
    text = EXPOSED.read_text(encoding="utf-8")
    return {
        metric for rows in tomllib.loads(text).values() for row in rows for metric in row["metrics"]
    }


def metrics_of(query: str) -> set[str]:
    """Return the metrics that a query selects; raises ValueError for one that is none."""
    found: set[str] = set()
    left: list[Any] = [promql_parser.parse(query)]
    while left:
        part = left.pop()
        if isinstance(part, promql_parser.VectorSelector):
            found.add(str(part.name))
        elif isinstance(part, promql_parser.MatrixSelector):
            found.add(str(part.vector_selector.name))
        else:
            for name in ("lhs", "rhs", "expr"):
                left += [getattr(part, name)] if hasattr(part, name) else []
            left += getattr(part, "args", [])
    return found


def rules_of(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the alerts of a template, as Prometheus reads them."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::APS::RuleGroupsNamespace":
            for group in json.loads(resource["Properties"]["Data"])["groups"]:
                yield from group["rules"]
