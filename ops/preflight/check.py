"""What a check is, and what it may say."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from config import Environment
from ops.aws_account import Account, Call


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"
    """The deployment, or what it is for, would fail."""
    WARNING = "warning"
    """It may fail, or nobody could tell."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found. ``reason`` and ``remedy`` are full sentences."""

    subject: str
    reason: str
    remedy: str = ""
    severity: Severity = Severity.PROBLEM

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.subject}: {self.reason}", self.remedy) if part)


class Check(Protocol):
    """One question about an account."""

    @property
    def title(self) -> str:
        """What is checked, as a noun phrase."""

    @property
    def group(self) -> str:
        """What it belongs to, such as the network."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call that it may make, from which the policy of preflight is written."""

    def concerns(self, environment: Environment) -> bool:
        """Say whether the environment has what is checked."""

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Yield what is wrong, or nothing.

        Raises :class:`~ops.aws_account.RefusedError` where AWS does not answer.
        """
