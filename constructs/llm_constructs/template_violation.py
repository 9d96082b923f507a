"""What a rule says of a resource."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Violation:
    """One thing that a resource has wrong: where in its properties, why, and what to do."""

    location: str
    reason: str
    remedy: str


Rule = Callable[[Properties], Iterator[Violation]]
