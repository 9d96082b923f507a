"""The metrics that alarms, dashboards and anomaly detectors of templates name."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_constructs.dashboard_rules import text_of
from tests.emitters import Metric

# SEARCH('{Namespace,Dimension,…} MetricName="…" …', …)
SEARCH = re.compile(r"""SEARCH\('\{(?P<schema>[^}]+)\}(?P<query>[^']*)'""")
METRIC_NAME = re.compile(r'MetricName="([^"]+)"')


def metrics_of_alarm(properties: Mapping[str, Any]) -> Iterator[Metric]:
    """Return the metrics that an alarm watches, whether alone or in an expression."""
    if "MetricName" in properties:
        yield _metric(properties)
    for query in properties.get("Metrics", ()):
        if "MetricStat" in query:
            yield _metric(query["MetricStat"]["Metric"])
        yield from searched(text_of(query.get("Expression", "")))


def metrics_of_dashboard(properties: Mapping[str, Any]) -> Iterator[Metric]:
    """Return the metrics that a dashboard shows."""
    for widget in json.loads(text_of(properties["DashboardBody"]))["widgets"]:
        for row in widget["properties"].get("metrics", ()):
            options = row[-1] if isinstance(row[-1], dict) else {}
            names = row[:-1] if options else row
            if names:
                yield names[0], names[1], frozenset(names[2::2])
            yield from searched(options.get("expression", ""))


def searched(expression: str) -> Iterator[Metric]:
    """Return the metrics that the searches of an expression can find."""
    for found in SEARCH.finditer(expression):
        namespace, *dimensions = found["schema"].split(",")
        for name in METRIC_NAME.findall(found["query"]):
            yield namespace, name, frozenset(dimensions)


def named_metrics(templates: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    """Return every metric that anything in ``templates`` names."""
    readers = {
        "AWS::CloudWatch::Alarm": metrics_of_alarm,
        "AWS::CloudWatch::Dashboard": metrics_of_dashboard,
    }
    for template in templates:
        for resource in template.get("Resources", {}).values():
            if resource["Type"] in readers:
                yield from readers[resource["Type"]](resource["Properties"])


def _metric(properties: Mapping[str, Any]) -> Metric:
    dimensions = frozenset(it["Name"] for it in properties.get("Dimensions", ()))
    return properties["Namespace"], properties["MetricName"], dimensions
