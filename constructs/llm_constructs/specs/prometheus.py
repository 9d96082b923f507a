"""How metrics of a cluster are collected and kept."""

from dataclasses import dataclass
from typing import Final

from llm_constructs.specs.problem import Problems

SHORTEST_INTERVAL: Final = 30
"""Seconds between two scrapes below which an agentless scraper does not go.

https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-collector-how-to.html
"""

LONGEST_INTERVAL: Final = 300
"""Seconds. After five minutes without a sample a query finds nothing, and scaling stops.

https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness
"""

LONGEST_RETENTION: Final = 1095
"""Days that a workspace keeps metrics at most: three years.

https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-workspace-configuration.html
"""


@dataclass(frozen=True, kw_only=True)
class PrometheusMetrics:
    """A workspace of Amazon Managed Service for Prometheus and its agentless scraper."""

    enabled: bool = True
    """Whether there is a workspace. Without one, nothing scales by what models report."""
    retention_days: int = 150
    """Days to keep metrics."""
    scrape_interval_seconds: int = 30
    """Seconds between two scrapes of a pod. Samples are what the workspace costs."""

    def __post_init__(self) -> None:
        problems = Problems("prometheus")
        problems.require(
            1 <= self.retention_days <= LONGEST_RETENTION,
            "retention_days",
            self.retention_days,
            f"A workspace keeps metrics from 1 to {LONGEST_RETENTION} days.",
            "Choose a number of days in between, or export what must live longer.",
        )
        problems.require(
            SHORTEST_INTERVAL <= self.scrape_interval_seconds <= LONGEST_INTERVAL,
            "scrape_interval_seconds",
            self.scrape_interval_seconds,
            f"The scraper goes every {SHORTEST_INTERVAL} seconds at most, and what is older than "
            f"{LONGEST_INTERVAL} is stale to every query.",
            f"Choose {SHORTEST_INTERVAL} to {LONGEST_INTERVAL} seconds.",
        )
        problems.raise_if_any()
