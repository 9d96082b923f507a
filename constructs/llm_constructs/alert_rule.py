"""Alerts on metrics in a Prometheus workspace, described as data beside what emits them."""

from dataclasses import dataclass

from llm_constructs.alarm import Severity
from llm_constructs.specs.problem import Problems


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """What to watch in Prometheus, where CloudWatch does not see it, and what to do about it.

    It rings once ``expression`` (PromQL) has been above ``threshold`` for ``minutes``. ``name``
    is PascalCase and unique within the environment; ``runbook`` is the name of a page in
    ``docs/runbooks`` without its ending. Without samples it is silent: that nothing is scraped is
    an alarm of CloudWatch's.
    """

    name: str
    summary: str
    expression: str
    threshold: float
    minutes: int
    severity: Severity
    runbook: str

    def __post_init__(self) -> None:
        problems = Problems(f"alert {self.name}")
        problems.require(
            self.minutes >= 1,
            "minutes",
            self.minutes,
            "One sample above the threshold is no reason to tell anybody.",
            "Give at least 1.",
        )
        problems.raise_if_any()
