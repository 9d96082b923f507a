"""What alarms of CloudWatch and alerts of Prometheus have in common in an environment."""

from collections.abc import Mapping

from aws_cdk import Stack

from config import Environment
from llm_constructs.alarm import Severity
from llm_constructs.alarm_topics import topic_name
from llm_constructs.alert_rules import AlertRules
from llm_constructs.layer_alarms import AlarmSettings
from llm_constructs.prometheus import Prometheus
from llm_constructs.specs.observability import Observability
from llm_constructs.watched import watched
from stacks.layer import Layer


def alarm_settings(environment: Environment, observability: Observability) -> AlarmSettings:
    """Return what the environment changes of all alarms."""
    return AlarmSettings(
        environment=environment.name,
        thresholds=observability.thresholds,
        anomaly_deviations=observability.anomaly_deviations,
        runbooks_url=observability.runbooks_url,
    )


def topics_name(environment: Environment) -> str:
    """Return the name by which the environment's topics are known."""
    return f"llm-{environment.name}"


def topic_arns(stack: Stack, environment: Environment) -> Mapping[Severity, str] | None:
    """Return the ARNs of the environment's topics, for what is deployed before them.

    ``None`` where nobody is to be told of anything.
    """
    if environment.observability is None:
        return None
    return {
        severity: stack.format_arn(
            service="sns", resource=topic_name(topics_name(environment), severity)
        )
        for severity in Severity
    }


def add_alert_rules(layer: Layer, environment: Environment, prometheus: Prometheus | None) -> None:
    """Have the workspace evaluate what the constructs of ``layer`` describe in ``alert_rules``."""
    if prometheus is None or environment.observability is None:
        return
    constructs = watched(layer.layer_name, layer).constructs
    rules = [rule for construct in constructs for rule in construct.alert_rules]
    if rules:
        AlertRules(
            layer,
            "AlertRules",
            workspace_arn=prometheus.workspace_arn,
            layer=layer.layer_name,
            rules=rules,
            settings=alarm_settings(environment, environment.observability),
        )
