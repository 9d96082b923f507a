"""What an environment may spend, and what is written down about what happens in its account."""

from dataclasses import dataclass
from typing import Final

from llm_constructs.specs.data_lake import DataClass, LakeArea
from llm_constructs.specs.log_retention import LOG_RETENTION_DAYS
from llm_constructs.specs.problem import Problems

MOST_NOTIFICATIONS: Final = 5
"""Notifications of one budget.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-budgets-budget.html
"""

SHORTEST_RETENTION_DAYS: Final = 90
"""CloudTrail's own event history reaches as far back without any trail.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events.html
"""

SIX_YEARS: Final = 2192
"""Days. What HIPAA asks of documentation: 45 CFR 164.316(b)(2)(i)."""


@dataclass(frozen=True, kw_only=True)
class TagBudget:
    """What everything that bears one value of a tag may cost in a month."""

    value: str
    """The value of the tag, such as the name of a team or a cost center."""
    usd_per_month: float
    """The budget in USD."""
    tag: str = "cost-center"
    """The key of the tag. It must be active as a cost allocation tag in the billing console."""

    def __post_init__(self) -> None:
        problems = Problems(f"budget of {self.tag} {self.value}")
        _require_text(problems, "tag", self.tag)
        _require_text(problems, "value", self.value)
        _require_money(problems, "usd_per_month", self.usd_per_month)
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Budgets and what Cost Anomaly Detection watches. They tell, and never stop anything."""

    usd_per_month: float | None = None
    """The budget of the whole account in USD. Left out: none."""
    budgets: tuple[TagBudget, ...] = ()
    """Budgets by the values of tags; each value also gets a monitor for anomalies."""
    notify_at_percent: tuple[int, ...] = (80, 100)
    """Shares of a budget at which people are told, once each has been spent."""
    forecast_percent: int | None = 100
    """Share of a budget at which people are told when the month is expected to end above it.
    AWS needs about five weeks of history to expect anything."""
    anomaly_usd: float = 100.0
    """USD that an anomaly must have cost before people are told."""

    def __post_init__(self) -> None:
        problems = Problems("spending")
        problems.require(
            self.usd_per_month is not None or bool(self.budgets),
            "usd_per_month",
            None,
            "There is no budget, neither for the account nor for a tag.",
            "Give usd_per_month or budgets, or remove the table.",
        )
        if self.usd_per_month is not None:
            _require_money(problems, "usd_per_month", self.usd_per_month)
        _require_money(problems, "anomaly_usd", self.anomaly_usd)
        self._check_notifications(problems)
        named = [(budget.tag, budget.value) for budget in self.budgets]
        for tag, value in sorted({it for it in named if named.count(it) > 1}):
            problems.add(
                "budgets",
                value,
                f"The tag {tag} has two budgets with this value.",
                "Keep one.",
            )
        problems.raise_if_any()

    def _check_notifications(self, problems: Problems) -> None:
        shares = self.notify_at_percent
        problems.require(
            len(set(shares)) == len(shares) and all(share > 0 for share in shares),
            "notify_at_percent",
            list(shares),
            "Each share must be above 0 and named once.",
            "Write for example [80, 100].",
        )
        problems.require(
            self.forecast_percent is None or self.forecast_percent > 0,
            "forecast_percent",
            self.forecast_percent,
            "The share must be above 0.",
            "Write 100, or leave it out.",
        )
        number = len(shares) + (self.forecast_percent is not None)
        problems.require(
            1 <= number <= MOST_NOTIFICATIONS,
            "notify_at_percent",
            list(shares),
            f"With the forecast these are {number} notifications, and a budget has 1 to "
            f"{MOST_NOTIFICATIONS}.",
            "Name as many shares as people will act on.",
        )


@dataclass(frozen=True, kw_only=True)
class AuditLog:
    """A CloudTrail trail of all regions: management events, and who changed or read the lake."""

    retention_days: int = SIX_YEARS
    """Days until its files go."""
    changes_of: tuple[DataClass, ...] = (DataClass.CORPUS, DataClass.ARTIFACTS)
    """Classes of the lake of which every change is recorded: `corpus`, `artifacts`, `logs`."""
    reads_of: tuple[LakeArea, ...] = (LakeArea.MODELS,)
    """Areas of the lake of which every read is recorded too. Each 100,000 cost 0.10 USD, and a run
    that reads a corpus file by file makes many."""
    management_events: bool = True
    """Whether calls that configure the account are recorded, those of Bedrock's models among them.
    The first trail of an account records them free of charge; where an organisation's trail does
    already, say false."""

    def __post_init__(self) -> None:
        problems = Problems("audit log")
        problems.require(
            self.retention_days >= SHORTEST_RETENTION_DAYS,
            "retention_days",
            self.retention_days,
            f"CloudTrail shows {SHORTEST_RETENTION_DAYS} days without any trail.",
            f"Keep files for at least {SHORTEST_RETENTION_DAYS} days; HIPAA's documentation is "
            f"kept for {SIX_YEARS}.",
        )
        problems.require(
            self.retention_days in LOG_RETENTION_DAYS,
            "retention_days",
            self.retention_days,
            "The calls that weaken the trail are kept as long in CloudWatch Logs, which does not "
            "know this number of days.",
            f"Choose one of {', '.join(str(it) for it in LOG_RETENTION_DAYS if it >= 90)}.",
        )
        for name in ("changes_of", "reads_of"):
            named: tuple[str, ...] = getattr(self, name)
            problems.require(
                len(set(named)) == len(named),
                name,
                [str(it) for it in named],
                "Something is named twice.",
                "Name each once.",
            )
        problems.require(
            self.management_events or bool(self.changes_of) or bool(self.reads_of),
            "management_events",
            self.management_events,
            "Nothing would be recorded at all.",
            "Record something, or remove the table.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class Governance:
    """Spending limits that tell people, the audit log, and tags that AWS Config looks after."""

    spending: Spending | None = None
    """Budgets and anomaly monitors. They need [observability], whose topics they tell."""
    audit_log: AuditLog | None = None
    """The account's audit log. Left out: none of its own."""
    tag_rule: bool = False
    """Whether an AWS Config rule looks for resources without the platform's tags, also for those
    that nobody made with this project. The account needs a recorder of AWS Config, which is not
    made here."""

    @property
    def makes_resources(self) -> bool:
        """Whether there is anything beside spending, which tells the topics of observability."""
        return self.audit_log is not None or self.tag_rule


def _require_text(problems: Problems, field: str, text: str) -> None:
    problems.require(
        bool(text.strip()) and "$" not in text,
        field,
        text,
        "It is empty, or holds the $ that separates key and value in a budget.",
        "Write it as it stands in [tags].",
    )


def _require_money(problems: Problems, field: str, usd: float) -> None:
    problems.require(
        0 < usd < float("inf"),
        field,
        usd,
        "It must be an amount above 0.",
        "Give USD.",
    )
