"""What to watch on a fine-tuning pipeline: alarms, and graphs for the board of who trains."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_stepfunctions as sfn

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.signal import Signal
from llm_constructs.specs.observability import Audience

_SECTION = "Fine-tuning"
_PERIOD = Duration.minutes(5)


def describe_alarms(machines: Mapping[str, sfn.StateMachine]) -> tuple[AlarmDescription, ...]:
    """Describe an alarm for each pipeline; one failed execution is enough."""
    return tuple(
        AlarmDescription(
            name=f"{name}FineTuningFailed",
            summary="A fine-tuning pipeline published nothing: its data, its job, the quality of "
            "the model or an approval stood against it.",
            metric=_failed(machine),
            threshold=0,
            comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            severity=Severity.TICKET,
            runbook="fine-tuning-failed",
            evaluation_periods=1,
            datapoints_to_alarm=1,
        )
        for name, machine in machines.items()
    )


def describe_signals(
    machines: Mapping[str, sfn.StateMachine],
    *,
    f1: cloudwatch.IMetric | None,
    gain: cloudwatch.IMetric | None,
) -> tuple[Signal, ...]:
    """Describe the graphs; ``f1`` and ``gain`` are those of evaluations, where there are some."""
    runs = tuple(
        Signal(
            title=f"Runs of fine-tuning in {name}",
            audience=Audience.TRAINING,
            section=_SECTION,
            metrics=[
                machine.metric_succeeded(period=_PERIOD, label="published"),
                _failed(machine),
            ],
            unit="executions",
            alarm=f"{name}FineTuningFailed",
        )
        for name, machine in machines.items()
    )
    measured = [metric for metric in (f1, gain) if metric is not None]
    if not measured:
        return runs
    return (
        *runs,
        Signal(
            title="Quality of tuned models",
            audience=Audience.TRAINING,
            section=_SECTION,
            metrics=measured,
            unit="percent",
        ),
    )


def _failed(machine: sfn.StateMachine) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression="FILL(failed, 0) + FILL(timedout, 0) + FILL(aborted, 0)",
        using_metrics={
            "failed": machine.metric_failed(period=_PERIOD),
            "timedout": machine.metric_timed_out(period=_PERIOD),
            "aborted": machine.metric_aborted(period=_PERIOD),
        },
        label="Executions that did not publish",
        period=_PERIOD,
    )
