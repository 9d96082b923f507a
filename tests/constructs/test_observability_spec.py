"""What the file may say of observability, and what it is told otherwise."""

from typing import Any

import pytest

from llm_constructs.specs.observability import (
    Audience,
    Observability,
    Recipients,
    SlackChannel,
)
from llm_constructs.specs.problem import SpecificationError


def test_an_empty_table_gives_every_board_and_tells_nobody() -> None:
    spec = Observability()
    assert set(spec.boards) == set(Audience)
    assert spec.emails == Recipients()
    assert spec.slack is None


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "deviations": (Observability, {"anomaly_deviations": 0}, "anomaly_deviations = 0: .*above 0"),
    "wide band": (Observability, {"anomaly_deviations": 11}, "at most 10"),
    "board twice": (
        Observability,
        {"boards": (Audience.COST, Audience.COST)},
        r"boards = \['cost', 'cost'\]: A board is named twice",
    ),
    "slash": (
        Observability,
        {"runbooks_url": "https://git.example.com/runbooks/"},
        "runbooks_url = .*without a slash",
    ),
    "plain http": (Observability, {"runbooks_url": "http://git.example.com/x"}, "runbooks_url"),
    "address": (Recipients, {"page": ("on-call",)}, "page = 'on-call': It is not an e-mail"),
    "address twice": (
        Recipients,
        {"ticket": ("a@example.com", "a@example.com")},
        "An address is named twice",
    ),
    "workspace": (
        SlackChannel,
        {"workspace_id": "our team", "channel_id": "C1"},
        "workspace_id = 'our team'",
    ),
    "channel": (SlackChannel, {"workspace_id": "T1", "channel_id": "#alerts"}, "channel_id"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_its_field_and_remedy(mistake: str) -> None:
    kind, values, expected = WRONG[mistake]
    with pytest.raises(SpecificationError, match=expected):
        kind(**values)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as caught:
        Observability(anomaly_deviations=-1, runbooks_url="x")
    assert len(caught.value.problems) == 2
