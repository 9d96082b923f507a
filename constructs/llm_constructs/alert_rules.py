"""The alerts of one layer, in its Prometheus workspace."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_aps as aps
from constructs import Construct

from llm_constructs.alert_rule import AlertRule
from llm_constructs.layer_alarms import AlarmSettings
from llm_constructs.specs.problem import Problems


class AlertRules(Construct):
    """Evaluates ``rules`` in the workspace; its alert manager tells people, by severity.

    Messages name environment, layer, summary and runbook, as those of CloudWatch's alarms do.

    Raises :class:`SpecificationError` for two rules of one name.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        workspace_arn: str,
        layer: str,
        rules: Sequence[AlertRule],
        settings: AlarmSettings,
    ) -> None:
        super().__init__(scope, construct_id)
        _check_names(rules)
        group = {"name": layer, "rules": [_body(rule, layer, settings) for rule in rules]}
        aps.CfnRuleGroupsNamespace(
            self,
            "Resource",
            workspace=workspace_arn,
            name=layer,
            # JSON is YAML.
            data=json.dumps({"groups": [group]}, sort_keys=True),
        )


def _check_names(rules: Sequence[AlertRule]) -> None:
    problems = Problems("alert rules")
    names = [rule.name for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(
            "name", name, "Two alerts have it, and nobody could tell them apart.", "Rename one."
        )
    problems.raise_if_any()


def _body(rule: AlertRule, layer: str, settings: AlarmSettings) -> Mapping[str, Any]:
    """Return a rule as Prometheus reads it.

    https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
    """
    threshold = settings.thresholds.get(rule.name, rule.threshold)
    return {
        "alert": rule.name,
        "expr": f"{rule.expression} > {threshold:g}",
        "for": f"{rule.minutes}m",
        "labels": {
            "severity": str(rule.severity),
            "environment": settings.environment,
            "layer": layer,
        },
        "annotations": {"summary": rule.summary, "runbook": settings.runbook(rule.runbook)},
    }
