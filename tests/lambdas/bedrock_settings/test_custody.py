"""What is decided, for any order of events and a crash between any two calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bedrock_settings.custody import Configuration, Custodian, Record

OWNER = "Setting of stack"
VALUES = st.sampled_from([{"to": name} for name in ("before", "first", "second", "third")])
FOREIGN = {"to": "somebody else's"}
NEVER = 10**6


class Crash(BaseException):
    """The function is gone."""


@dataclass
class World:
    """An account: what is in force, what is recorded, and after how many calls a crash comes."""

    present: Configuration | None
    record: Record | None = None
    calls_left: int = field(default=NEVER, compare=False)

    def call(self) -> None:
        if self.calls_left == 0:
            raise Crash
        self.calls_left -= 1


class WorldSetting:
    name = "setting"

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self) -> Configuration | None:
        self._world.call()
        return self._world.present

    def write(self, configuration: Configuration) -> None:
        self._world.call()
        self._world.present = configuration

    def reset(self) -> None:
        self._world.call()
        self._world.present = None

    def same(self, stated: Configuration, present: Configuration) -> bool:
        return stated == present

    def obstacle(self, _configuration: Configuration) -> str | None:
        return None


class WorldRecords:
    name = "record"

    def __init__(self, world: World) -> None:
        self._world = world

    def load(self) -> Record | None:
        self._world.call()
        return self._world.record

    def create(self, record: Record) -> bool:
        self._world.call()
        if self._world.record is not None:
            return False
        self._world.record = record
        return True

    def replace(self, record: Record) -> None:
        self._world.call()
        self._world.record = record

    def delete(self) -> None:
        self._world.call()
        self._world.record = None


Step = Callable[[World], object]


def custodian(world: World) -> Custodian:
    return Custodian(WorldSetting(world), WorldRecords(world), OWNER)


def steps(values: list[Mapping[str, Any]], foreign: set[int]) -> list[Step]:
    """Return a life: created, updated through ``values``, deleted, and what others do between."""

    def others(world: World) -> None:
        world.present = FOREIGN

    def create(world: World) -> None:
        custodian(world).create(values[0])

    def update(number: int) -> Step:
        return lambda world: custodian(world).update(values[number], values[number - 1])

    def delete(world: World) -> None:
        custodian(world).delete(values[-1])

    life: list[Step] = []
    events = [create, *(update(number) for number in range(1, len(values))), delete]
    for number, event in enumerate(events):
        if number in foreign:
            life.append(others)
        life.append(event)
    return life


LIVES = st.builds(
    steps, st.lists(VALUES, min_size=1, max_size=4), st.sets(st.integers(0, 4), max_size=3)
)


@given(st.none() | VALUES, LIVES, st.lists(st.integers(0, 7), min_size=9, max_size=9))
def test_a_crash_between_any_two_calls_changes_nothing_once_the_event_is_repeated(
    before: Configuration | None, life: list[Step], crashes: list[int]
) -> None:
    calm, rough = World(before), World(before)
    for step, calls in zip(life, crashes, strict=False):
        step(calm)
        rough.calls_left = calls
        try:
            step(rough)
        except Crash:
            rough.calls_left = NEVER
            step(rough)
        rough.calls_left = NEVER
        assert rough == calm


@given(st.none() | VALUES, st.lists(VALUES, min_size=1, max_size=4))
def test_what_was_there_before_is_there_afterwards(
    before: Configuration | None, values: list[Mapping[str, Any]]
) -> None:
    world = World(before)
    for step in steps(values, set()):
        step(world)
    assert world == World(before)


@given(st.none() | VALUES, st.lists(VALUES, min_size=1, max_size=4), st.sets(st.integers(1, 4)))
def test_the_last_thing_that_others_set_is_there_afterwards(
    before: Configuration | None, values: list[Mapping[str, Any]], moments: set[int]
) -> None:
    foreign = {moment for moment in moments if moment <= len(values)}
    world = World(before)
    for step in steps(values, foreign):
        step(world)
    assert world == World(FOREIGN if foreign else before)
