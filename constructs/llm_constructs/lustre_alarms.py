"""What to watch on an FSx for Lustre file system."""

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.alarm import AlarmDescription, Severity

if TYPE_CHECKING:
    from llm_constructs.lustre import LustreFileSystem

LOW_CAPACITY: Final = 0.20
"""Share of the capacity below which someone should make room within days."""

CRITICAL_CAPACITY: Final = 0.05
"""Share of the capacity below which a checkpoint of a large model may no longer fit."""

LONGEST_QUEUE_AGE: Final = Duration.hours(1)
"""How far S3 and the file system may lie apart. A lost file system loses what was not exported."""

IDLE_DAYS: Final = 7
"""As far back as an alarm can look.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

_GIB = 1024**3


class Publisher(StrEnum):
    """Which way changes travel, as the ``Publisher`` dimension of FSx's metrics names it."""

    AUTO_EXPORT = "AutoExport"
    AUTO_IMPORT = "AutoImport"


def describe_alarms(file_system: "LustreFileSystem") -> tuple[AlarmDescription, ...]:
    """Describe its alarms; links are watched only in the directions that are automatic."""
    repositories = file_system.volume.repositories
    exports = any(repository.export_events for repository in repositories)
    imports = any(repository.import_events for repository in repositories)
    return (
        _capacity(file_system, "LustreCapacityLow", LOW_CAPACITY, Severity.TICKET),
        _capacity(file_system, "LustreCapacityCritical", CRITICAL_CAPACITY, Severity.PAGE),
        _idle(file_system),
        *([_export_lag(file_system)] if exports else []),
        *([_import_lag(file_system)] if imports else []),
        *([_repository_errors(file_system)] if repositories else []),
    )


def _capacity(
    file_system: "LustreFileSystem", name: str, share: float, severity: Severity
) -> AlarmDescription:
    return AlarmDescription(
        name=name,
        summary=f"Less than {share:.0%} of the file system's capacity is free.",
        metric=file_system.metric_free_capacity(),
        threshold=int(file_system.volume.capacity_gib * _GIB * share),
        comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        severity=severity,
        runbook="lustre-free-capacity",
        treat_missing_data=cloudwatch.TreatMissingData.MISSING,
        missing_data_reason="FSx emits it every minute. When it does not, nothing is known, and "
        "what was known last stays.",
        evaluation_periods=15,
        datapoints_to_alarm=15,
    )


def _idle(file_system: "LustreFileSystem") -> AlarmDescription:
    day = Duration.days(1)
    return AlarmDescription(
        name="LustreIdle",
        summary=f"Nobody has read or written the file system for {IDLE_DAYS} days.",
        metric=cloudwatch.MathExpression(
            expression="read + written",
            using_metrics={
                "read": file_system.metric_read_bytes().with_(period=day),
                "written": file_system.metric_written_bytes().with_(period=day),
            },
            label="bytes a day",
            period=day,
        ),
        threshold=0,
        comparison=cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
        severity=Severity.TICKET,
        runbook="idle-file-system",
        evaluation_periods=IDLE_DAYS,
        datapoints_to_alarm=IDLE_DAYS,
        missing_data_reason="FSx emits it as long as there is a file system, and one that is gone "
        "costs nothing.",
    )


def _export_lag(file_system: "LustreFileSystem") -> AlarmDescription:
    return AlarmDescription(
        name="LustreExportLag",
        summary="Changes on the file system have waited over an hour to reach S3.",
        metric=file_system.metric_queue_age(Publisher.AUTO_EXPORT),
        threshold=LONGEST_QUEUE_AGE.to_seconds(),
        comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        severity=Severity.PAGE,
        runbook="lustre-export-lag",
    )


def _import_lag(file_system: "LustreFileSystem") -> AlarmDescription:
    return AlarmDescription(
        name="LustreImportLag",
        summary="Changes in S3 have waited over an hour to reach the file system.",
        metric=file_system.metric_queue_age(Publisher.AUTO_IMPORT),
        threshold=LONGEST_QUEUE_AGE.to_seconds(),
        comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        severity=Severity.TICKET,
        runbook="lustre-import-lag",
    )


def _repository_errors(file_system: "LustreFileSystem") -> AlarmDescription:
    return AlarmDescription(
        name="LustreRepositoryErrors",
        summary="FSx could not import, export or restore files.",
        metric=file_system.metric_repository_events(),
        threshold=0,
        comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        severity=Severity.TICKET,
        runbook="lustre-repository-errors",
        evaluation_periods=1,
        datapoints_to_alarm=1,
    )
