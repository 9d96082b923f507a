"""What constructs say of themselves: the alarms, signals and queries of a tree of constructs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from constructs import Construct, IConstruct

from llm_constructs.alarm import AlarmDescription
from llm_constructs.alert_rule import AlertRule
from llm_constructs.signal import LogQuery, Signal

T = TypeVar("T")


@dataclass(frozen=True)
class WatchedConstruct:
    """One construct with what it describes; ``name`` is its path in PascalCase."""

    name: str
    alarms: tuple[AlarmDescription, ...]
    signals: tuple[Signal, ...]
    queries: tuple[LogQuery, ...]
    alert_rules: tuple[AlertRule, ...] = ()


@dataclass(frozen=True)
class WatchedLayer:
    """The watched constructs of one stack, in the order of the tree."""

    name: str
    constructs: tuple[WatchedConstruct, ...]


def watched(name: str, stack: Construct) -> WatchedLayer:
    """Return every construct of ``stack`` that describes something about itself.

    The attributes ``alarms``, ``signals``, ``queries`` and ``alert_rules`` hold sequences of
    :class:`AlarmDescription`, :class:`Signal`, :class:`LogQuery` and :class:`AlertRule`; a
    construct has those that apply to it. The tree is read once, which takes milliseconds for
    hundreds of constructs.
    """
    return WatchedLayer(name, tuple(_watched(stack)))


def _watched(stack: Construct) -> Iterator[WatchedConstruct]:
    for construct in stack.node.find_all():
        alarms = _all_of(construct, "alarms", AlarmDescription)
        signals = _all_of(construct, "signals", Signal)
        queries = _all_of(construct, "queries", LogQuery)
        rules = _all_of(construct, "alert_rules", AlertRule)
        if alarms or signals or queries or rules:
            yield WatchedConstruct(_name(construct, stack), alarms, signals, queries, rules)


def _all_of(construct: IConstruct, attribute: str, kind: type[T]) -> tuple[T, ...]:
    # AWS's own constructs may have attributes of the same names, which hold other things.
    values = getattr(construct, attribute, ())
    if not isinstance(values, (list, tuple)):
        return ()
    return tuple(value for value in values if isinstance(value, kind))


def _name(construct: IConstruct, stack: Construct) -> str:
    path = construct.node.path.removeprefix(stack.node.path)
    return "".join(letter for letter in path if letter.isalnum())
