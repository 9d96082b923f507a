"""What a file may say about spending and the audit log."""

import pytest

from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.governance import AuditLog, Governance, Spending, TagBudget
from llm_constructs.specs.problem import SpecificationError


def refused(build: object) -> list[str]:
    with pytest.raises(SpecificationError) as caught:
        build()  # type: ignore[operator]
    return [str(problem) for problem in caught.value.problems]


def test_spending_without_any_budget_is_refused() -> None:
    (problem,) = refused(Spending)
    assert "There is no budget" in problem


def test_amounts_must_be_above_nothing() -> None:
    problems = refused(lambda: Spending(usd_per_month=0, anomaly_usd=-1))
    assert [it.split(" ")[0] for it in problems] == ["usd_per_month", "anomaly_usd"]


def test_a_budget_has_at_most_five_notifications() -> None:
    shares = (50, 60, 70, 80, 100)
    (problem,) = refused(lambda: Spending(usd_per_month=10, notify_at_percent=shares))
    assert "these are 6 notifications" in problem
    assert Spending(usd_per_month=10, notify_at_percent=shares, forecast_percent=None)


def test_a_share_is_named_once_and_above_nothing() -> None:
    (problem,) = refused(lambda: Spending(usd_per_month=10, notify_at_percent=(0, 80, 80)))
    assert "above 0 and named once" in problem


def test_no_value_of_a_tag_has_two_budgets() -> None:
    twice = tuple(TagBudget(value="research", usd_per_month=it) for it in (1, 2))
    (problem,) = refused(lambda: Spending(budgets=twice))
    assert "cost-center has two budgets" in problem


def test_a_value_cannot_hold_what_separates_it_from_the_key() -> None:
    (problem,) = refused(lambda: TagBudget(value="a$b", usd_per_month=1))
    assert problem.startswith("value = 'a$b'")


def test_an_audit_log_is_kept_longer_than_cloudtrail_does_by_itself() -> None:
    (problem,) = refused(lambda: AuditLog(retention_days=30))
    assert "90 days" in problem


def test_an_audit_log_is_kept_for_days_that_cloudwatch_knows() -> None:
    (problem,) = refused(lambda: AuditLog(retention_days=2190))
    assert "2192" in problem


def test_an_audit_log_of_nothing_is_refused() -> None:
    (problem,) = refused(lambda: AuditLog(changes_of=(), reads_of=(), management_events=False))
    assert "Nothing would be recorded" in problem


def test_an_area_is_named_once() -> None:
    (problem,) = refused(lambda: AuditLog(reads_of=(LakeArea.MODELS, LakeArea.MODELS)))
    assert problem.startswith("reads_of")


def test_budgets_alone_make_no_stack_of_their_own() -> None:
    assert not Governance(spending=Spending(usd_per_month=1)).makes_resources
    assert Governance(tag_rule=True).makes_resources
    assert Governance(audit_log=AuditLog()).makes_resources
