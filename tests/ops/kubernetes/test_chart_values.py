"""Values of charts that reach an object, and those that nobody reads."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.specs.helm_chart import merged
from ops.kubernetes.chart_values import unused_values
from ops.kubernetes.helm import HelmError

KEYS = st.sampled_from(["image", "resources", "env", "enabled", "name"])
SINGLE = st.none() | st.booleans() | st.integers() | st.text("ab") | st.lists(st.text("ab"))
VALUES = st.recursive(SINGLE, lambda below: st.dictionaries(KEYS, below, max_size=3), max_leaves=8)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


def paths(values: Mapping[str, Any]) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= {(key, *below) for below in paths(value)}
        else:
            found.add((key,))
    return found


def everything(*, values: Mapping[str, Any]) -> str:
    return json.dumps(values)


def nothing(*, values: Mapping[str, Any]) -> str:
    return "the same"


@given(TABLES)
def test_a_chart_that_uses_everything_leaves_nothing_unused(values: dict[str, Any]) -> None:
    assert unused_values(values, {}, everything) == ()


@given(TABLES)
def test_a_chart_that_uses_nothing_has_no_use_for_any_value(values: dict[str, Any]) -> None:
    assert set(unused_values(values, {}, nothing)) == paths(values)


@given(TABLES, TABLES)
def test_what_a_chart_lists_is_never_suspected(
    values: dict[str, Any], others: dict[str, Any]
) -> None:
    assert unused_values(values, merged(others, values), nothing) == ()


@given(TABLES)
def test_one_value_among_others_is_found(values: dict[str, Any]) -> None:
    def render(*, values: Mapping[str, Any]) -> str:
        return json.dumps({key: value for key, value in values.items() if key != "misspelt"})

    assert unused_values({**values, "misspelt": True}, {}, render) == (("misspelt",),)


def test_a_chart_that_refuses_words_is_asked_one_value_at_a_time() -> None:
    def render(*, values: Mapping[str, Any]) -> str:
        if not isinstance(values["copies"], int):
            raise HelmError("copies must be a number")
        return f"copies: {values['copies']}"

    assert unused_values({"copies": 2, "copie": 2}, {}, render) == (("copie",),)


def test_a_chart_that_refuses_a_change_knows_the_value() -> None:
    def render(*, values: Mapping[str, Any]) -> str:
        if values["mode"] not in ("one", "two"):
            raise HelmError("mode must be one or two")
        return "the same"

    assert unused_values({"mode": "one"}, {}, render) == ()
