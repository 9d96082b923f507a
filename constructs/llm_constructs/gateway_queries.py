"""Questions about the gateway that its logs answer."""

from aws_cdk import aws_logs as logs

from llm_constructs.gateway_alarms import MICRO
from llm_constructs.signal import LogQuery
from llm_constructs.specs.observability import Audience

_METRICS = "filter ispresent(CostMicroUsd)"


def describe_queries(
    *,
    application: logs.ILogGroup,
    access: logs.ILogGroup,
    firewall: logs.ILogGroup,
    authorizer: logs.ILogGroup,
) -> tuple[LogQuery, ...]:
    """Describe the queries of the gateway; the application's log has both lines of a request."""
    return (
        LogQuery(
            name="spend by team",
            log_groups=[application],
            # A team is no dimension of a metric: each would make 32 more that are paid for.
            statements=(
                _METRICS,
                (
                    f"stats sum(CostMicroUsd) / {MICRO} as usd, sum(Tokens) as tokens, "
                    "sum(Requests) as requests by team"
                ),
                "sort usd desc",
                "limit 20",
            ),
            audience=Audience.COST,
            section="Spend on models",
        ),
        LogQuery(
            name="spend by key",
            log_groups=[application],
            statements=(
                _METRICS,
                (
                    f"stats sum(CostMicroUsd) / {MICRO} as usd, sum(Requests) as requests "
                    "by team, key_id, Model"
                ),
                "sort usd desc",
                "limit 50",
            ),
        ),
        LogQuery(
            name="slowest requests",
            log_groups=[application],
            statements=(
                "filter ispresent(TimeToFirstToken)",
                (
                    "fields @timestamp, team, Model, TimeToFirstToken, Latency, OutputTokens, "
                    "request_id"
                ),
                "sort TimeToFirstToken desc",
                "limit 50",
            ),
        ),
        LogQuery(
            name="failures by model",
            log_groups=[application],
            statements=(
                "filter ispresent(Requests)",
                (
                    "stats sum(Errors) as errors, sum(Throttles) as throttles, "
                    "sum(Fallbacks) as fallbacks by Model, bin(5m)"
                ),
                "sort errors desc",
            ),
        ),
        LogQuery(
            name="outcomes other than an answer",
            log_groups=[application],
            statements=(
                'filter event = "request" and outcome not in ["ok", "client_closed"]',
                "stats count(*) as requests by outcome, model",
                "sort requests desc",
                "limit 50",
            ),
        ),
        LogQuery(
            name="lines without text because redaction failed",
            log_groups=[application],
            statements=(
                'filter event = "request" and redaction_failed = 1',
                "fields @timestamp, team, key_id, model, outcome, request_id",
                "sort @timestamp desc",
                "limit 100",
            ),
        ),
        LogQuery(
            name="refused callers",
            log_groups=[access],
            statements=(
                "filter status like /^4/",
                "stats count(*) as requests by status, resource, firewall, team",
                "sort requests desc",
                "limit 50",
            ),
        ),
        LogQuery(
            name="errors of the authoriser",
            log_groups=[authorizer],
            statements=(
                "filter @message like /(?i)(error|task timed out)/",
                "fields @timestamp, @message",
                "sort @timestamp desc",
                "limit 50",
            ),
        ),
        LogQuery(
            name="what the firewall refused",
            log_groups=[firewall],
            statements=(
                'filter action = "BLOCK"',
                (
                    "stats count(*) as requests by terminatingRuleId, httpRequest.country, "
                    "httpRequest.uri"
                ),
                "sort requests desc",
                "limit 50",
            ),
        ),
    )
