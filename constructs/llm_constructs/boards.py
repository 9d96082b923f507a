"""Dashboards, one for each audience, laid out from what constructs describe."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from llm_constructs.alarm import AlarmDescription
from llm_constructs.layer_alarms import AlarmSettings
from llm_constructs.signal import LogQuery, Signal
from llm_constructs.specs.observability import Audience
from llm_constructs.specs.problem import Problems
from llm_constructs.watched import WatchedConstruct, WatchedLayer

COLUMNS: Final = 24
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""

GRAPHS_IN_A_ROW: Final = 3
GRAPH_HEIGHT: Final = 6
HEADING_HEIGHT: Final = 1
ALARMS_HEIGHT: Final = 2

_TITLES: Final = {
    Audience.SERVICE: "Service: are users served?",
    Audience.TRAINING: "Training: are nodes and data healthy and busy?",
    Audience.COST: "Cost: what is spent, on what and by whom?",
    Audience.CAPACITY: "Capacity: what is used of what there is?",
}

_INTERVALS: Final = {
    Audience.SERVICE: Duration.hours(3),
    Audience.TRAINING: Duration.hours(12),
    Audience.COST: Duration.days(7),
    Audience.CAPACITY: Duration.days(7),
}
"""What a board shows at first."""

Drawing = Callable[[int], cloudwatch.IWidget]
"""Makes a widget of the width that its row has for it."""


class Boards(Construct):
    """A dashboard for each of ``audiences`` that any of ``layers`` has a signal for.

    A board begins with the layers' alarms (``alarms``, by the name of the layer). Below, each
    section has a heading and its graphs, three in a row, in the order of the layers. ``dashboards``
    has what was made. A new signal appears by being described; nothing here names one.

    Raises :class:`SpecificationError` for a signal that names an alarm its construct has not.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        layers: Sequence[WatchedLayer],
        audiences: Sequence[Audience],
        alarms: Mapping[str, Sequence[cloudwatch.IAlarm]],
        settings: AlarmSettings,
    ) -> None:
        super().__init__(scope, construct_id)
        self._layers = layers
        self._alarms = alarms
        self._settings = settings
        self.dashboards: Mapping[Audience, cloudwatch.Dashboard] = {
            audience: self._make_dashboard(audience, sections)
            for audience in audiences
            if (sections := self._sections(audience))
        }

    def _sections(self, audience: Audience) -> Mapping[str, list[Drawing]]:
        sections: defaultdict[str, list[Drawing]] = defaultdict(list)
        for construct in (it for layer in self._layers for it in layer.constructs):
            for signal in construct.signals:
                if signal.audience is audience:
                    sections[signal.section].append(partial(self._graph, signal, construct))
            for query in construct.queries:
                if query.audience is audience:
                    sections[query.section].append(partial(_table, query))
        return sections

    def _make_dashboard(
        self, audience: Audience, sections: Mapping[str, Sequence[Drawing]]
    ) -> cloudwatch.Dashboard:
        rows: list[list[cloudwatch.IWidget]] = [[_heading(f"# {_TITLES[audience]}")]]
        alarms = [
            alarm
            for layer in self._layers
            if _appears(layer, audience)
            for alarm in self._alarms.get(layer.name, ())
        ]
        if alarms:
            rows.append(
                [
                    cloudwatch.AlarmStatusWidget(
                        title="Alarms", alarms=alarms, width=COLUMNS, height=ALARMS_HEIGHT
                    )
                ]
            )
        for section, drawings in sections.items():
            rows.append([_heading(f"## {section}")])
            rows.extend(_rows(drawings))
        return cloudwatch.Dashboard(
            self,
            audience.value.capitalize(),
            # People look for it by its name.
            dashboard_name=f"llm-{self._settings.environment}-{audience}",
            default_interval=_INTERVALS[audience],
            # A sum over another period than the alarm's would not fit the line of its threshold.
            period_override=cloudwatch.PeriodOverride.INHERIT,
            widgets=rows,
        )

    def _graph(
        self, signal: Signal, construct: WatchedConstruct, width: int
    ) -> cloudwatch.GraphWidget:
        line = self._line(signal, construct)
        return cloudwatch.GraphWidget(
            title=signal.title,
            left=list(signal.metrics),
            stacked=signal.stacked,
            region=signal.region,
            width=width,
            height=GRAPH_HEIGHT,
            left_y_axis=cloudwatch.YAxisProps(label=signal.unit, min=0, show_units=False),
            left_annotations=[line] if line else None,
        )

    def _line(
        self, signal: Signal, construct: WatchedConstruct
    ) -> cloudwatch.HorizontalAnnotation | None:
        if signal.threshold is not None:
            return cloudwatch.HorizontalAnnotation(
                value=signal.threshold, label="limit", fill=cloudwatch.Shading.ABOVE
            )
        if signal.alarm is None:
            return None
        for description in construct.alarms:
            if description.name == signal.alarm:
                return cloudwatch.HorizontalAnnotation(
                    value=self._settings.threshold_of(description),
                    label=f"alarm: {description.severity}",
                    fill=_bad_side(description),
                )
        problems = Problems(f"signal {signal.title}")
        problems.add(
            "alarm",
            signal.alarm,
            f"{construct.name} describes no alarm of this name.",
            "Name one of the same construct, or give a threshold.",
        )
        raise problems.error()


def _bad_side(description: AlarmDescription) -> cloudwatch.Shading:
    below = (
        cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
    )
    return cloudwatch.Shading.BELOW if description.comparison in below else cloudwatch.Shading.ABOVE


def _appears(layer: WatchedLayer, audience: Audience) -> bool:
    audiences = {
        shown
        for construct in layer.constructs
        for shown in (
            *(signal.audience for signal in construct.signals),
            *(query.audience for query in construct.queries),
        )
    }
    return audience in audiences


def _table(query: LogQuery, width: int) -> cloudwatch.LogQueryWidget:
    return cloudwatch.LogQueryWidget(
        title=query.name,
        log_group_names=[group.log_group_name for group in query.log_groups],
        query_string=query.text,
        view=cloudwatch.LogQueryVisualizationType.TABLE,
        width=width,
        height=GRAPH_HEIGHT,
    )


def _heading(markdown: str) -> cloudwatch.TextWidget:
    return cloudwatch.TextWidget(
        markdown=markdown,
        width=COLUMNS,
        height=HEADING_HEIGHT,
        background=cloudwatch.TextWidgetBackground.TRANSPARENT,
    )


def _rows(drawings: Sequence[Drawing]) -> Iterator[list[cloudwatch.IWidget]]:
    for start in range(0, len(drawings), GRAPHS_IN_A_ROW):
        row = drawings[start : start + GRAPHS_IN_A_ROW]
        yield [draw(COLUMNS // len(row)) for draw in row]
