"""The observability stack: it reads all others, and none reads it."""

from collections.abc import Sequence

from aws_cdk import ArnFormat
from constructs import Construct

from config import Environment
from llm_constructs.account_usage import AccountUsage
from llm_constructs.alarm import Severity
from llm_constructs.alarm_topics import AlarmTopics
from llm_constructs.alert_manager import ALERTS_SERVICE
from llm_constructs.boards import Boards
from llm_constructs.layer_alarms import LayerAlarms
from llm_constructs.log_queries import LogQueries
from llm_constructs.prometheus import Prometheus
from llm_constructs.specs.governance import Spending
from llm_constructs.specs.observability import Observability
from llm_constructs.specs.problem import Problems
from llm_constructs.spend_watch import BUDGETS, COST_ANOMALIES, SpendWatch
from llm_constructs.watched import WatchedLayer, watched
from stacks.alerting import alarm_settings, topics_name
from stacks.layer import Layer

_NO_NAME = ArnFormat.NO_RESOURCE_NAME


class ObservabilityStack(Layer):
    """The environment's topics, alarms, boards and saved queries.

    They come from what the constructs of ``layers`` describe, so it is made last.

    Raises :class:`SpecificationError` for a threshold of an alarm that nothing describes.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        observability: Observability,
        layers: Sequence[Layer],
        prometheus: Prometheus | None = None,
    ) -> None:
        super().__init__(
            scope,
            "observability",
            environment=environment,
            description="dashboards, alarms and whom they tell",
        )
        # What belongs to no layer is described here.
        AccountUsage(self, "Account")
        described = [watched(layer.layer_name, layer) for layer in (*layers, self)]
        _check_thresholds(observability, described)
        settings = alarm_settings(environment, observability)
        topics = AlarmTopics(
            self,
            "Topics",
            name=topics_name(environment),
            emails=observability.emails,
            slack=observability.slack,
            removal_policy=self.removal_policy,
        )
        if environment.governance is not None and environment.governance.spending is not None:
            self._watch_spending(environment.governance.spending, topics)
        if prometheus is not None:
            for severity in Severity:
                topics.allow_publish(
                    severity,
                    ALERTS_SERVICE,
                    prometheus.workspace_arn,
                    further_actions=["sns:GetTopicAttributes"],
                )
        # In a scope of their own: what is in it is named for other stacks.
        scope_of_alarms = Construct(self, "Alarms")
        self.alarms = {
            layer.name: LayerAlarms(
                scope_of_alarms,
                layer.name.capitalize(),
                layer=layer,
                settings=settings,
                topics=topics.topics,
            )
            for layer in described
            if any(construct.alarms for construct in layer.constructs)
        }
        self.boards = Boards(
            self,
            "Boards",
            layers=described,
            audiences=observability.boards,
            alarms={
                name: (*alarms.composites.values(), *alarms.momentary)
                for name, alarms in self.alarms.items()
            },
            settings=settings,
        )
        LogQueries(self, "Queries", folder=f"llm-{environment.name}", layers=described)

    def _watch_spending(self, spending: Spending, topics: AlarmTopics) -> None:
        # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
        topics.allow_publish(
            Severity.TICKET,
            BUDGETS,
            self.format_arn(service="budgets", region="", resource="*", arn_format=_NO_NAME),
        )
        # https://docs.aws.amazon.com/cost-management/latest/userguide/ad-SNS.html
        topics.allow_publish(Severity.TICKET, COST_ANOMALIES)
        SpendWatch(
            self,
            "Spending",
            environment=self.environment_name,
            spending=spending,
            topic=topics.topics[Severity.TICKET],
            tags=self.tags_of_all,
        )


def _check_thresholds(observability: Observability, layers: Sequence[WatchedLayer]) -> None:
    names = {
        name
        for layer in layers
        for construct in layer.constructs
        for name in (
            *(description.name for description in construct.alarms),
            *(rule.name for rule in construct.alert_rules),
        )
    }
    problems = Problems("observability")
    for name, threshold in observability.thresholds.items():
        problems.require(
            name in names,
            f"thresholds.{name}",
            threshold,
            "Nothing in this environment describes such an alarm.",
            f"Choose one of {', '.join(sorted(names))}.",
        )
    problems.raise_if_any()
