"""Whom a Prometheus workspace tells of its alerts."""

import json
from collections.abc import Mapping

from llm_constructs.alarm import Severity

ALERTS_SERVICE = "aps.amazonaws.com"
"""The service that publishes them.

https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-alertmanager-receiver-AMPpermission.html
"""


def alert_manager_definition(*, name: str, region: str, topics: Mapping[Severity, str]) -> str:
    """Return the definition that sends pages and tickets to ``topics``, by their ARNs.

    Alerts of one name are one message, told again after a day while they ring. A ticket says
    nothing while a page of the same layer rings. ``name`` is what messages are about.

    https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-alertmanager-config.html
    """
    configuration = {
        "route": {
            "receiver": str(Severity.TICKET),
            "group_by": ["alertname", "layer"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "24h",
            "routes": [
                {"match": {"severity": str(severity)}, "receiver": str(severity)}
                for severity in topics
            ],
        },
        "inhibit_rules": [
            {
                "source_match": {"severity": str(Severity.PAGE)},
                "target_match": {"severity": str(Severity.TICKET)},
                "equal": ["layer"],
            }
        ],
        "receivers": [
            {
                "name": str(severity),
                "sns_configs": [
                    {
                        "topic_arn": arn,
                        # Required, unlike elsewhere; and a subject of the default template may be
                        # longer than SNS takes.
                        "sigv4": {"region": region},
                        "subject": f"{name} {severity}: Prometheus",
                        "attributes": {"severity": str(severity)},
                    }
                ],
            }
            for severity, arn in topics.items()
        ],
    }
    # JSON is YAML, and the configuration is a text within it.
    return json.dumps({"alertmanager_config": json.dumps(configuration, sort_keys=True)})
