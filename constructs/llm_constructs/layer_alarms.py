"""The alarms of one layer, and who is told of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from aws_cdk import Duration, Stack, Token
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Anomaly, Severity
from llm_constructs.nag import acknowledge
from llm_constructs.specs.problem import Problems
from llm_constructs.watched import WatchedLayer

RUNBOOKS: Final = "docs/runbooks"
"""Where the pages are in the repository."""

MOST_CHILDREN: Final = 60
"""Alarms that one composite alarm names: its rule has room for 10,240 characters, and names each by
its ARN, of some 160.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
"""

SUPPRESSION: Final = Duration.minutes(2)
"""How long tickets wait for a page of the same layer, which would say the same louder."""

_OUTSIDE: Final = {
    Anomaly.ABOVE: cloudwatch.ComparisonOperator.GREATER_THAN_UPPER_THRESHOLD,
    Anomaly.EITHER: (cloudwatch.ComparisonOperator.LESS_THAN_LOWER_OR_GREATER_THAN_UPPER_THRESHOLD),
}


@dataclass(frozen=True, kw_only=True)
class AlarmSettings:
    """What an environment changes: see :class:`~llm_constructs.specs.observability.Observability`.

    ``environment`` names it in messages.
    """

    environment: str
    thresholds: Mapping[str, float] = field(default_factory=dict)
    anomaly_deviations: float = 2.0
    runbooks_url: str | None = None

    def threshold_of(self, description: AlarmDescription) -> float:
        """Return where the alarm rings."""
        return self.thresholds.get(description.name, description.threshold)

    def runbook(self, name: str) -> str:
        """Return where people find a runbook."""
        return f"{self.runbooks_url or RUNBOOKS}/{name}.md"


class LayerAlarms(Construct):
    """Every alarm that a layer's constructs describe, and one composite alarm for each severity.

    Only composites tell people, so that a failure which many alarms see is one message; it names
    the alarms that ring. While a page of the layer rings, its tickets say nothing. Those of
    ``momentary`` descriptions are in no composite and tell people themselves.

    Raises :class:`SpecificationError` for an alarm on a metric of another region, which CloudWatch
    would never evaluate, and for more alarms than a composite can name.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        layer: WatchedLayer,
        settings: AlarmSettings,
        topics: Mapping[Severity, sns.ITopic],
    ) -> None:
        super().__init__(scope, construct_id)
        self._layer = layer
        self._settings = settings
        self._topics = topics
        self.momentary: list[cloudwatch.IAlarm] = []
        self._check_regions()
        rung: dict[Severity, list[cloudwatch.IAlarm]] = {severity: [] for severity in Severity}
        for construct in layer.constructs:
            for description in construct.alarms:
                for severity, alarm in self._make(construct.name, description):
                    rung[severity].append(alarm)
        _check_numbers(layer.name, rung)
        self.composites = self._make_composites(rung)

    def _make(
        self, owner: str, description: AlarmDescription
    ) -> Iterator[tuple[Severity, cloudwatch.IAlarm]]:
        construct_id = f"{owner}{description.name.removeprefix(owner)}"
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=self._subject(construct_id) if description.momentary else None,
            alarm_description=self._text(description, description.severity),
            metric=description.metric,
            threshold=self._settings.threshold_of(description),
            comparison_operator=description.comparison,
            evaluation_periods=description.evaluation_periods,
            datapoints_to_alarm=description.datapoints_to_alarm,
            treat_missing_data=description.treat_missing_data,
        )
        if description.momentary:
            alarm.add_alarm_action(actions.SnsAction(self._topics[description.severity]))
            self.momentary.append(alarm)
            return
        yield description.severity, _quiet(alarm)
        if description.anomaly is not None:
            anomaly = self._make_anomaly(construct_id, description, description.anomaly)
            yield Severity.TICKET, _quiet(anomaly)

    def _make_anomaly(
        self, construct_id: str, description: AlarmDescription, side: Anomaly
    ) -> cloudwatch.AnomalyDetectionAlarm:
        return cloudwatch.AnomalyDetectionAlarm(
            self,
            f"{construct_id}Anomaly",
            alarm_description=self._text(description, Severity.TICKET, unusual=True),
            metric=description.metric,
            std_devs=self._settings.anomaly_deviations,
            comparison_operator=_OUTSIDE[side],
            evaluation_periods=description.evaluation_periods,
            datapoints_to_alarm=description.datapoints_to_alarm,
            treat_missing_data=description.treat_missing_data,
        )

    def _text(
        self, description: AlarmDescription, severity: Severity, *, unusual: bool = False
    ) -> str:
        """Return what people read in the message; CloudWatch shows it as Markdown."""
        summary = (
            "The value is unlike what CloudWatch learnt of past weeks. Its alarm with a threshold "
            f"says: {description.summary}"
            if unusual
            else description.summary
        )
        where = (
            f"Environment: {self._settings.environment}, layer: {self._layer.name}, "
            f"alarm: {description.name}."
        )
        return "\n\n".join(
            (
                summary,
                f"Severity: {severity}. {where}",
                f"Runbook: {self._settings.runbook(description.runbook)}",
                f"Missing data: {description.missing_data_reason}",
            )
        )

    def _subject(self, what: str) -> str:
        """Return an alarm's name, which is its message's subject; CloudFormation's says little."""
        return f"llm-{self._settings.environment}-{self._layer.name}-{what}"

    def _make_composites(
        self, rung: Mapping[Severity, list[cloudwatch.IAlarm]]
    ) -> Mapping[Severity, cloudwatch.CompositeAlarm]:
        composites: dict[Severity, cloudwatch.CompositeAlarm] = {}
        # Pages first: tickets are silent while one rings.
        for severity in (Severity.PAGE, Severity.TICKET):
            if not rung[severity]:
                continue
            page = composites.get(Severity.PAGE)
            composite = cloudwatch.CompositeAlarm(
                self,
                severity.value.capitalize(),
                composite_alarm_name=self._subject(severity.value),
                alarm_description=f"Something in the layer {self._layer.name} of "
                f"{self._settings.environment} needs a person ({severity}). The alarms that ring "
                "say what, and what to do.",
                alarm_rule=cloudwatch.AlarmRule.any_of(
                    *(
                        cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)
                        for alarm in rung[severity]
                    )
                ),
                actions_suppressor=page,
                actions_suppressor_wait_period=SUPPRESSION if page else None,
                actions_suppressor_extension_period=SUPPRESSION if page else None,
            )
            action = actions.SnsAction(self._topics[severity])
            composite.add_alarm_action(action)
            composite.add_ok_action(action)
            composites[severity] = composite
        return composites

    def _check_regions(self) -> None:
        here = Stack.of(self).region
        problems = Problems(f"alarms of {self._layer.name}")
        for construct in self._layer.constructs:
            for description in construct.alarms:
                regions = {
                    region
                    for region in _regions(description.metric)
                    if not Token.is_unresolved(region) and region != here
                }
                problems.require(
                    not regions or Token.is_unresolved(here),
                    description.name,
                    ", ".join(sorted(regions)),
                    f"CloudWatch evaluates an alarm in its metric's region, and these stand in "
                    f"{here}.",
                    "Describe it as a signal, which a board can show from any region.",
                )
        problems.raise_if_any()


def _regions(metric: cloudwatch.IMetric) -> Iterator[str]:
    if isinstance(metric, cloudwatch.MathExpression):
        for part in metric.using_metrics.values():
            yield from _regions(part)
    elif isinstance(metric, cloudwatch.Metric) and metric.region is not None:
        yield metric.region


def _check_numbers(layer: str, rung: Mapping[Severity, list[cloudwatch.IAlarm]]) -> None:
    problems = Problems(f"alarms of {layer}")
    for severity, alarms in rung.items():
        problems.require(
            len(alarms) <= MOST_CHILDREN,
            severity.value,
            len(alarms),
            f"A composite alarm names at most {MOST_CHILDREN} others.",
            "Describe fewer, for example one over all models instead of one for each.",
        )
    problems.raise_if_any()


def _quiet(alarm: cloudwatch.AlarmBase) -> cloudwatch.IAlarm:
    acknowledge(
        alarm,
        "HIPAA.Security-CloudWatchAlarmAction",
        "NIST.800.53.R5-CloudWatchAlarmAction",
        reason="It tells people by the composite alarm of its layer and severity, which names it. "
        "Were each alarm to send messages, one failure would send dozens.",
    )
    return alarm
