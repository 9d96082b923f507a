"""For how many days CloudWatch Logs may keep what a log group holds."""

from typing import Final

from llm_constructs.specs.problem import Problems

LOG_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557),
    *(2922, 3288, 3653),
)
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""


def check_log_retention(problems: Problems, days: int, field: str = "log_retention_days") -> None:
    """Note a problem of ``field`` unless a log group can keep its events for ``days``."""
    nearest = min(LOG_RETENTION_DAYS, key=lambda possible: abs(possible - days))
    problems.require(
        days in LOG_RETENTION_DAYS,
        field,
        days,
        "CloudWatch Logs keeps log groups only for certain numbers of days.",
        f"The nearest is {nearest}; all are {', '.join(map(str, LOG_RETENTION_DAYS))}.",
    )
