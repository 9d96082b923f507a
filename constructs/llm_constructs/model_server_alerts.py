"""What Prometheus alone sees of a model server: its queue, its first tokens and its cache."""

from typing import Final

from llm_constructs.alarm import Severity
from llm_constructs.alert_rule import AlertRule
from llm_constructs.model_server_alarms import pascal_case
from llm_constructs.replica_autoscaling import FIRST_TOKEN, MODEL_LABEL, WAITING
from llm_constructs.specs.model_server import ModelServer

PREEMPTIONS: Final = "vllm:num_preemptions_total"
"""vLLM's counter of requests whose cache was taken for others, and which begin anew.

https://github.com/vllm-project/vllm/blob/main/vllm/v1/metrics/loggers.py
"""

PREEMPTED_SHARE: Final = 0.02
"""Of all requests, from which prompts are longer than copies have room for, and not by chance."""

LATE_FACTOR: Final = 2
"""How much longer than the scaling's target first tokens may take while copies are coming."""

MINUTES: Final = 20
"""Longer than a copy needs to come: before, scaling may still help."""


def describe_alert_rules(server: ModelServer) -> tuple[AlertRule, ...]:
    """Describe the alerts of a model."""
    title, scaling = pascal_case(server.name), server.scaling
    these = f'{{{MODEL_LABEL}="{server.name}"}}'
    first_tokens = f"sum by (le) (rate({FIRST_TOKEN}_bucket{these}[5m]))"
    return (
        AlertRule(
            name=f"ModelQueue{title}",
            summary=f"More requests have waited for {server.name} for {MINUTES} minutes than all "
            "its copies are meant to keep waiting.",
            expression=f"sum({WAITING}{these})",
            threshold=scaling.waiting_requests * scaling.maximum,
            minutes=MINUTES,
            severity=Severity.TICKET,
            runbook="serving-queue",
        ),
        AlertRule(
            name=f"ModelFirstToken{title}",
            summary=f"One first token of {server.name} in twenty takes more than {LATE_FACTOR} "
            "times as long as copies are added for.",
            expression=f"histogram_quantile(0.95, {first_tokens})",
            threshold=scaling.first_token_seconds * LATE_FACTOR,
            minutes=MINUTES,
            severity=Severity.TICKET,
            runbook="serving-queue",
        ),
        AlertRule(
            name=f"ModelPreemptions{title}",
            summary=f"{server.name} lacks room for its requests' caches: it puts some aside, and "
            "begins them anew.",
            expression=f"sum(rate({PREEMPTIONS}{these}[15m])) / "
            f"sum(rate({FIRST_TOKEN}_count{these}[15m]))",
            threshold=PREEMPTED_SHARE,
            minutes=MINUTES,
            severity=Severity.TICKET,
            runbook="serving-preemptions",
        ),
    )
