"""The page that lists every alarm, written from the synthesised templates."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.assembly import stacks

PAGE_FILE: Final = "docs/alarms.md"

_ALARM: Final = "AWS::CloudWatch::Alarm"
_RULES: Final = "AWS::APS::RuleGroupsNamespace"
_PLACE: Final = re.compile(r"Severity: (\w+)\. Environment: (\S+), layer: (\S+), alarm: (\w+)\.")
_BAND: Final = re.compile(r"ANOMALY_DETECTION_BAND\(\w+, ([\d.]+)\)")
_RUNBOOK: Final = re.compile(r"Runbook: \S+/([a-z0-9-]+)\.md")
_SYMBOLS: Final = {
    "GreaterThanOrEqualToThreshold": "≥",
    "GreaterThanThreshold": ">",
    "LessThanOrEqualToThreshold": "≤",
    "LessThanThreshold": "<",
}
_HEAD: Final = """\
# Alarms

<!-- Written by `make docs` from the synthesised templates; do not edit. -->

Every alarm of every environment, by the layer that describes it. Thresholds are in the unit of the
metric; `[observability.thresholds]` replaces them by the name of the alarm. A page means that a
person must act now, a ticket within working days. Where a band is named, a second alarm rings when
the metric leaves what CloudWatch expects. Those of Prometheus are evaluated in the cluster's
workspace, whose alert manager tells the same people. How they reach people:
[observability](observability.md).
"""


@dataclass(frozen=True)
class Alarm:
    """One alarm as the template says it; ``rings`` is its threshold or its band."""

    name: str
    layer: str
    environment: str
    severity: str
    summary: str
    rings: str
    missing_data: str
    runbook: str


def alarms(directory: Path) -> tuple[Alarm, ...]:
    """Return the alarms of all environments of the assembly in ``directory``.

    Raises :class:`~ops.assembly.AssemblyError` where there is no assembly.
    """
    return tuple(
        alarm
        for stack in stacks(directory)
        for resource in stack.template.get("Resources", {}).values()
        for alarm in _described(resource)
    )


def _described(resource: Mapping[str, Any]) -> Iterator[Alarm]:
    if resource["Type"] == _ALARM:
        alarm = _alarm(resource["Properties"])
        if alarm is not None:
            yield alarm
    elif resource["Type"] == _RULES:
        for group in json.loads(resource["Properties"]["Data"])["groups"]:
            yield from map(_alert, group["rules"])


def _alert(rule: Mapping[str, Any]) -> Alarm:
    """Return an alert of Prometheus."""
    labels, notes = rule["labels"], rule["annotations"]
    return Alarm(
        name=rule["alert"],
        layer=labels["layer"],
        environment=labels["environment"],
        severity=labels["severity"],
        summary=notes["summary"].replace("|", "\\|"),
        rings=f"> {float(rule['expr'].rsplit(' > ', 1)[1]):,g}, {rule['for']} (Prometheus)",
        missing_data="notBreaching",
        runbook=Path(notes["runbook"]).stem,
    )


def page(directory: Path) -> str:
    """Return the page for the assembly in ``directory``."""
    layers: defaultdict[str, defaultdict[tuple[str, str], list[Alarm]]]
    layers = defaultdict(lambda: defaultdict(list))
    for alarm in alarms(directory):
        layers[alarm.layer][alarm.name, alarm.summary].append(alarm)
    lines = [_HEAD]
    for layer, by_name in sorted(layers.items()):
        lines += [
            f"## {layer}\n",
            "| alarm | rings when | threshold | missing data | severity | environments | runbook |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(_row(same) for _, same in sorted(by_name.items())),
            "",
        ]
    return "\n".join(lines)


def _row(same: list[Alarm]) -> str:
    first = same[0]
    thresholds = "; ".join(sorted({alarm.rings for alarm in same}))
    environments = ", ".join(sorted({alarm.environment for alarm in same}))
    return (
        f"| `{first.name}` | {first.summary} | {thresholds} | {first.missing_data} "
        f"| {first.severity} | {environments} "
        f"| [{first.runbook}](runbooks/{first.runbook}.md) |"
    )


def _alarm(properties: Mapping[str, Any]) -> Alarm | None:
    text = properties.get("AlarmDescription", "")
    place, runbook = _PLACE.search(text), _RUNBOOK.search(text)
    if place is None or runbook is None:
        # Such as those that roll a deployment back, and tell nobody.
        return None
    return Alarm(
        name=place[4],
        layer=place[3],
        environment=place[2],
        severity=place[1],
        # The alarm on the unusual quotes that of the threshold.
        summary=text.split("\n\n")[0].rsplit(" says: ", 1)[-1].replace("|", "\\|"),
        rings=_rings(properties),
        missing_data=properties.get("TreatMissingData", "missing"),
        runbook=runbook[1],
    )


def _rings(properties: Mapping[str, Any]) -> str:
    band = next(_bands(properties), None)
    if band is not None:
        return f"outside {band} standard deviations"
    times = f"{properties['DatapointsToAlarm']} of {properties['EvaluationPeriods']}"
    symbol = _SYMBOLS[properties["ComparisonOperator"]]
    return f"{symbol} {properties['Threshold']:,}, {times}"


def _bands(properties: Mapping[str, Any]) -> Iterator[str]:
    for query in properties.get("Metrics", ()):
        found = re.fullmatch(
            r"ANOMALY_DETECTION_BAND\(\w+, ([\d.]+)\)", query.get("Expression", "")
        )
        if found:
            yield found[1]
