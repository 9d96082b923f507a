"""How long log groups keep what they hold."""

from aws_cdk import aws_logs as logs

from llm_constructs.specs.log_retention import LOG_RETENTION_DAYS

_BY_DAYS = dict(zip(LOG_RETENTION_DAYS, logs.RetentionDays, strict=False))


def retention_of(days: int) -> logs.RetentionDays:
    """Return the CDK's name for a number of days that CloudWatch Logs accepts.

    Raises :class:`KeyError` for any other number.
    """
    return _BY_DAYS[days]
