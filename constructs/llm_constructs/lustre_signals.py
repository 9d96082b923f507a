"""What the boards show of an FSx for Lustre file system."""

from typing import TYPE_CHECKING, Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.lustre_alarms import Publisher
from llm_constructs.signal import LogQuery, Signal
from llm_constructs.specs.observability import Audience

if TYPE_CHECKING:
    from llm_constructs.lustre import LustreFileSystem

_SECTION: Final = "File system"
_MEGABYTE: Final = 1_000_000


def describe_signals(file_system: "LustreFileSystem") -> tuple[Signal, ...]:
    """Describe its throughput, its operations, its room and how far S3 lies behind."""
    free = file_system.metric_free_capacity()
    return (
        _training(
            "Throughput",
            "MB/s",
            _per_second(file_system.metric_read_bytes(), "read"),
            _per_second(file_system.metric_written_bytes(), "written"),
        ),
        _training(
            "Operations",
            "per minute",
            *(
                file_system.metric_operations(name).with_(label=label)
                for name, label in (
                    ("DataReadOperations", "reads"),
                    ("DataWriteOperations", "writes"),
                    ("MetadataOperations", "metadata"),
                )
            ),
        ),
        _training("Free", "bytes", free.with_(label="free"), alarm="LustreCapacityLow"),
        *_lag(file_system),
        Signal(
            title="Free on the file system",
            audience=Audience.CAPACITY,
            section="Storage",
            metrics=[free.with_(label="free")],
            unit="bytes",
            alarm="LustreCapacityLow",
        ),
    )


def describe_queries(file_system: "LustreFileSystem") -> tuple[LogQuery, ...]:
    """Describe what people ask of its log, which holds what failed between it and S3."""
    if not file_system.volume.repositories:
        return ()
    return (
        LogQuery(
            name="files that S3 and the file system did not exchange",
            log_groups=[file_system.log_group],
            statements=("fields @timestamp, @message", "sort @timestamp desc", "limit 100"),
        ),
    )


def _lag(file_system: "LustreFileSystem") -> tuple[Signal, ...]:
    described = {alarm.name for alarm in file_system.alarms}
    # A direction that is not automatic has neither an alarm nor a queue.
    return tuple(
        _training(
            title,
            "s",
            file_system.metric_queue_age(publisher).with_(label="oldest change"),
            alarm=alarm,
        )
        for title, publisher, alarm in (
            ("Waits to reach S3", Publisher.AUTO_EXPORT, "LustreExportLag"),
            ("Waits to come from S3", Publisher.AUTO_IMPORT, "LustreImportLag"),
        )
        if alarm in described
    )


def _training(title: str, unit: str, *shown: cloudwatch.IMetric, alarm: str = "") -> Signal:
    return Signal(
        title=title,
        audience=Audience.TRAINING,
        section=_SECTION,
        metrics=shown,
        unit=unit,
        alarm=alarm or None,
    )


def _per_second(metric: cloudwatch.Metric, name: str) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression=f"{name} / PERIOD({name}) / {_MEGABYTE}",
        using_metrics={name: metric},
        label=name,
        period=Duration.minutes(5),
    )
