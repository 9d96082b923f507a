"""The arithmetic of budgets."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.governance.budget import (
    Amounts,
    BudgetExceeded,
    Dimension,
    Limits,
    ModelRates,
    Scope,
    Usage,
    UsageLine,
    UsageReport,
    Window,
)

MOMENTS = st.integers(min_value=0, max_value=4_000_000_000)
PRICES = st.integers(min_value=0, max_value=100_000_000)
TOKENS = st.integers(min_value=0, max_value=10_000_000)


@given(moment=MOMENTS, window=st.sampled_from(Window))
def test_a_window_ends_after_every_moment_in_it_and_the_next_one_begins_there(
    moment: int, window: Window
) -> None:
    end = window.end(moment)
    assert end > moment
    assert window.label(end - 1) == window.label(moment)
    assert window.label(end) != window.label(moment)


def test_windows_are_those_of_the_calendar_in_utc() -> None:
    leap_day = datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC).timestamp()
    march = datetime(2028, 3, 1, tzinfo=UTC).timestamp()
    assert [window.end(leap_day) for window in Window] == [march, march, march]
    assert Window.MONTH.label(leap_day) == "2028-02"
    assert Window.DAY.label(leap_day) == "2028-02-29"
    assert Window.MINUTE.label(leap_day) == "2028-02-29T23:59"


@given(
    rates=st.builds(
        ModelRates,
        input_price=PRICES,
        output_price=PRICES,
        cache_read_price=PRICES,
        cache_write_price=PRICES,
        output_weight=st.integers(min_value=1, max_value=10),
    ),
    usage=st.builds(
        Usage,
        input_tokens=TOKENS,
        output_tokens=TOKENS,
        cache_read_tokens=TOKENS,
        cache_write_tokens=TOKENS,
    ),
    unused=TOKENS,
)
def test_an_answer_never_costs_more_than_was_reserved_for_it(
    rates: ModelRates, usage: Usage, unused: int
) -> None:
    all_input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    reserved = rates.reservation(all_input + unused, usage.output_tokens + unused)
    used = rates.amounts(usage)
    assert used.requests == reserved.requests == 1
    assert used.tokens <= reserved.tokens
    assert used.micro_usd <= reserved.micro_usd


def test_output_is_weighted_and_cache_reads_take_no_quota() -> None:
    rates = ModelRates(
        input_price=3_000_000,
        output_price=15_000_000,
        cache_read_price=300_000,
        cache_write_price=3_750_000,
        output_weight=5,
    )
    usage = Usage(
        input_tokens=1_000, output_tokens=200, cache_read_tokens=50_000, cache_write_tokens=400
    )
    assert rates.amounts(usage) == Amounts(
        requests=1,
        tokens=1_000 + 400 + 5 * 200,
        micro_usd=3_000 + 3_000 + 15_000 + 1_500,
    )


def test_a_fraction_of_a_micro_usd_is_charged_as_a_whole_one() -> None:
    rates = ModelRates(input_price=1, output_price=0)
    assert rates.amounts(Usage(input_tokens=1, output_tokens=0)).micro_usd == 1
    assert rates.amounts(Usage(input_tokens=0, output_tokens=0)).micro_usd == 0


def test_negative_limits_are_refused_together_by_name() -> None:
    with pytest.raises(ValueError, match="requests_per_day is -1, micro_usd_per_month is -5"):
        Limits(requests_per_day=-1, micro_usd_per_month=-5, tokens_per_day=3)


def test_a_limit_that_does_not_exist_is_no_limit() -> None:
    limits = Limits(micro_usd_per_month=7)
    assert limits.of(Window.MONTH, Dimension.MICRO_USD) == 7
    assert limits.of(Window.MINUTE, Dimension.MICRO_USD) is None
    assert limits.of(Window.DAY, Dimension.TOKENS) is None


@pytest.mark.parametrize(
    ("never_fits", "advice"), [(False, "Retry in 30 seconds"), (True, "Lower max_tokens")]
)
def test_a_refusal_says_whose_budget_and_what_to_do(never_fits: bool, advice: str) -> None:
    refusal = BudgetExceeded(
        window=Window.MINUTE,
        scope=Scope.TEAM,
        dimension=Dimension.TOKENS,
        limit=100,
        used=90,
        retry_after_seconds=30,
        never_fits=never_fits,
    )
    assert "The team's budget of 100 tokens per minute" in str(refusal)
    assert advice in str(refusal)


def test_a_report_finds_its_lines_and_never_shows_less_than_nothing_left() -> None:
    line = UsageLine(
        scope=Scope.KEY,
        name="abc",
        window=Window.MONTH,
        dimension=Dimension.TOKENS,
        used=90,
        held=20,
        limit=100,
        resets_at=0,
    )
    report = UsageReport((line,))
    assert report.line(Scope.KEY, Window.MONTH, Dimension.TOKENS) is line
    assert report.line(Scope.TEAM, Window.MONTH, Dimension.TOKENS) is None
    assert line.left == 0
