"""Budgets, and monitors for costs that nobody expected."""

import json
from collections.abc import Mapping
from typing import Final

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_ce as ce
from aws_cdk import aws_sns as sns
from constructs import Construct

from llm_constructs.specs.governance import Spending, TagBudget

BUDGETS: Final = "budgets.amazonaws.com"
COST_ANOMALIES: Final = "costalerts.amazonaws.com"
"""The services that write to the topic; it and its key must let them."""


class SpendWatch(Construct):
    """A budget for the account, one for each tagged part, and a monitor for each such part.

    They tell ``topic``, and nothing is ever stopped: a budget action that takes permissions away
    hits whoever is on call as well. All are a few hours late, as the bill is; the gateway's own
    limits refuse before a call. ``tags`` go onto what bears tags.

    A monitor over all services is not made: an account can have one, and AWS makes it for most
    (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/2515).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: str,
        spending: Spending,
        topic: sns.ITopic,
        tags: Mapping[str, str],
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self._spending = spending
        self._topic = topic
        self._tags = tags
        if spending.usd_per_month is not None:
            self._make_budget("Account", spending.usd_per_month, None)
        monitors = []
        for budget in spending.budgets:
            self._make_budget(_id_of(budget), budget.usd_per_month, budget)
            monitors.append(self._make_monitor(budget))
        if monitors:
            self._make_subscription(monitors)

    def _make_budget(self, construct_id: str, usd: float, part: TagBudget | None) -> None:
        # No name of our own: a change of the notifications replaces the budget, and the new one
        # could not have the name of the old one.
        budgets.CfnBudget(
            self,
            f"{construct_id}Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
                # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-create-filters.html
                cost_filters={"TagKeyValue": [f"user:{part.tag}${part.value}"]} if part else None,
            ),
            notifications_with_subscribers=self._notifications(),
            resource_tags=[
                budgets.CfnBudget.ResourceTagProperty(key=key, value=value)
                for key, value in self._tags.items()
            ],
        )

    def _notifications(self) -> list[budgets.CfnBudget.NotificationWithSubscribersProperty]:
        shares = [("ACTUAL", share) for share in self._spending.notify_at_percent]
        if self._spending.forecast_percent is not None:
            shares.append(("FORECASTED", self._spending.forecast_percent))
        subscriber = budgets.CfnBudget.SubscriberProperty(
            subscription_type="SNS", address=self._topic.topic_arn
        )
        return [
            budgets.CfnBudget.NotificationWithSubscribersProperty(
                notification=budgets.CfnBudget.NotificationProperty(
                    notification_type=kind,
                    comparison_operator="GREATER_THAN",
                    threshold=share,
                    threshold_type="PERCENTAGE",
                ),
                subscribers=[subscriber],
            )
            for kind, share in shares
        ]

    def _make_monitor(self, part: TagBudget) -> ce.CfnAnomalyMonitor:
        return ce.CfnAnomalyMonitor(
            self,
            f"{_id_of(part)}Monitor",
            monitor_name=f"llm-{self._environment}-{part.tag}-{part.value}",
            monitor_type="CUSTOM",
            # https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Expression.html
            monitor_specification=json.dumps({"Tags": {"Key": part.tag, "Values": [part.value]}}),
            resource_tags=[
                ce.CfnAnomalyMonitor.ResourceTagProperty(key=key, value=value)
                for key, value in self._tags.items()
            ],
        )

    def _make_subscription(self, monitors: list[ce.CfnAnomalyMonitor]) -> None:
        impact = {
            "Dimensions": {
                "Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
                "Values": [f"{self._spending.anomaly_usd:g}"],
            }
        }
        ce.CfnAnomalySubscription(
            self,
            "Anomalies",
            subscription_name=f"llm-{self._environment}",
            # Topics take no digests: https://docs.aws.amazon.com/cost-management/latest/userguide/getting-started-ad.html
            frequency="IMMEDIATE",
            monitor_arn_list=[monitor.attr_monitor_arn for monitor in monitors],
            subscribers=[
                ce.CfnAnomalySubscription.SubscriberProperty(
                    type="SNS", address=self._topic.topic_arn
                )
            ],
            threshold_expression=json.dumps(impact),
            resource_tags=[
                ce.CfnAnomalySubscription.ResourceTagProperty(key=key, value=value)
                for key, value in self._tags.items()
            ],
        )


def _id_of(part: TagBudget) -> str:
    words = f"{part.tag} {part.value}"
    return "".join(letter for letter in words.title() if letter.isalnum())
