"""What belongs to the whole account: its bill and its quotas."""

from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from llm_constructs.signal import Signal
from llm_constructs.specs.observability import Audience
from llm_constructs.specs.region import REGIONS, Jurisdiction

BILLING_REGION: Final = "us-east-1"
"""The only region with billing metrics, and of the commercial partition alone.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/monitor_estimated_charges_with_cloudwatch.html
"""

_BILLING_PERIOD: Final = Duration.hours(6)
_SECTION: Final = "The whole account"


class AccountUsage(Construct):
    """Signals of the account and region: the bill by service, and quotas of EC2 and Lambda.

    It makes no resource. The bill appears only where the account's billing preferences let
    CloudWatch have it; it is a few hours old, and covers everything in the account. It has no
    alarm here, because CloudWatch evaluates one only in :data:`BILLING_REGION`.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        region = Stack.of(self).region
        bill = () if REGIONS.get(region) is Jurisdiction.US_GOV else (_bill(),)
        self.signals: tuple[Signal, ...] = (*bill, *_quotas())


def _bill() -> Signal:
    return Signal(
        title="Bill since the beginning of the month, by service",
        audience=Audience.COST,
        section=_SECTION,
        # A search, because which services an account uses is not known here.
        metrics=[
            cloudwatch.SearchExpression(
                expression=_search(
                    "AWS/Billing,Currency,ServiceName",
                    'MetricName="EstimatedCharges"',
                    "Maximum",
                    _BILLING_PERIOD,
                ),
                label="",
                period=_BILLING_PERIOD,
            )
        ],
        unit="USD",
        stacked=True,
        region=BILLING_REGION,
    )


def _quotas() -> tuple[Signal, ...]:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Quotas-Visualize-Alarms.html
    return (
        _quota(
            "EC2: processors of each family in use",
            'MetricName="ResourceCount" Service="EC2" Resource="vCPU"',
        ),
        _quota(
            "Lambda: functions that run at the same time",
            'MetricName="ConcurrentExecutions" Service="Lambda"',
        ),
    )


def _quota(title: str, query: str) -> Signal:
    period = Duration.minutes(5)
    usage = _search("AWS/Usage,Class,Resource,Service,Type", query, "Maximum", period)
    return Signal(
        title=title,
        audience=Audience.CAPACITY,
        section=_SECTION,
        metrics=[
            cloudwatch.MathExpression(
                expression=f"100 * {usage} / SERVICE_QUOTA({usage})", label="", period=period
            )
        ],
        unit="percent of the quota",
        threshold=100,
    )


def _search(dimensions: str, query: str, statistic: str, period: Duration) -> str:
    seconds = int(period.to_seconds())
    return f"SEARCH('{{{dimensions}}} {query}', '{statistic}', {seconds})"
