"""What is wrong with a value, as sentences."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    ``field`` is the dotted path of the value inside the thing that refuses it ("" for the whole),
    ``value`` what was given, ``reason`` why it cannot be, and ``remedy`` what to do instead.
    Both are full sentences.
    """

    field: str
    value: object
    reason: str
    remedy: str

    def within(self, parent: str) -> "Problem":
        """Return the same problem, seen from the object whose ``parent`` field holds this one."""
        field = ".".join(part for part in (parent, self.field) if part)
        return Problem(field, self.value, self.reason, self.remedy)

    def __str__(self) -> str:
        return f"{self.field or 'value'} = {self.value!r}: {self.reason} {self.remedy}"


class SpecificationError(ValueError):
    """A value that cannot be built, with every problem it has (at least one)."""

    def __init__(self, subject: str, problems: Iterable[Problem]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{subject}: {problem}" for problem in self.problems))


class Problems:
    """Collects the problems of one subject, so that all of them are told at once."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._problems: list[Problem] = []

    def add(self, field: str, value: object, reason: str, remedy: str) -> None:
        """Note one problem; see :class:`Problem` for the parts."""
        self._problems.append(Problem(field, value, reason, remedy))

    def require(self, ok: bool, field: str, value: object, reason: str, remedy: str) -> None:
        """Note a problem unless ``ok``."""
        if not ok:
            self.add(field, value, reason, remedy)

    @contextmanager
    def inside(self, field: str) -> Iterator[None]:
        """Note what a specification refuses meanwhile as problems of ``field``."""
        try:
            yield
        except SpecificationError as error:
            self._problems += [problem.within(field) for problem in error.problems]

    @property
    def found(self) -> tuple[Problem, ...]:
        """Everything noted so far."""
        return tuple(self._problems)

    def raise_if_any(self) -> None:
        """Raise :class:`SpecificationError` with everything noted so far, if anything was."""
        if self._problems:
            raise self.error()

    def error(self) -> SpecificationError:
        """Return everything noted so far as one error, for where something surely was."""
        return SpecificationError(self._subject, self._problems)
