"""Taking a setting over and giving it back: what is decided, without any call of its own.

A setting exists once per account and region. Before it is changed for the first time, what was in
force is recorded together with the owner, so that a crash at any point leaves either the earlier
setting or a record of it. The record is also the lock: whoever finds another owner's record stops.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

Configuration = Mapping[str, Any]


class SettingError(Exception):
    """The setting cannot be changed; the message says why and what to do."""


class AccountSetting(Protocol):
    """One setting of Bedrock's, as the service keeps it. Calls raise :class:`SettingError`."""

    @property
    def name(self) -> str:
        """What sentences call it."""

    def read(self) -> Configuration | None:
        """Return what is in force; ``None`` when nothing is configured."""

    def write(self, configuration: Configuration) -> None:
        """Put a configuration in force."""

    def reset(self) -> None:
        """Put the setting where AWS has it in a new account."""

    def same(self, stated: Configuration, present: Configuration) -> bool:
        """Return whether ``present``, as the service tells it, is what ``stated`` asked for."""

    def obstacle(self, configuration: Configuration) -> str | None:
        """Return a sentence when ``configuration`` could not be written back later."""


@dataclass(frozen=True)
class Record:
    """Who changed the setting, what was there before (``None``: nothing), and what was written."""

    owner: str
    previous: Configuration | None
    ours: Configuration


class RecordStore(Protocol):
    """Keeps the one record of a setting. Calls raise :class:`SettingError`."""

    @property
    def name(self) -> str:
        """Where the record is, for sentences."""

    def load(self) -> Record | None:
        """Return the record, if there is one."""

    def create(self, record: Record) -> bool:
        """Keep a record unless there is one; return whether it was kept."""

    def replace(self, record: Record) -> None:
        """Keep a record in place of the present one."""

    def delete(self) -> None:
        """Forget the record; nothing happens when there is none."""


class Outcome(StrEnum):
    """What became of a setting."""

    WRITTEN = "written"
    RESTORED = "restored"
    LEFT_TO_OTHERS = "left-to-others"
    """Somebody else changed it in the meantime, and their change stands."""
    NOT_OURS = "not-ours"
    """There is no record of this owner: nothing was ever changed, or it was given back already."""


class Custodian:
    """Changes one setting on behalf of ``owner``, and gives it back. Every step can be repeated."""

    def __init__(self, setting: AccountSetting, records: RecordStore, owner: str) -> None:
        self._setting = setting
        self._records = records
        self._owner = owner

    def create(self, wanted: Configuration) -> Outcome:
        """Record what is in force and put ``wanted`` in its place.

        Raises:
            SettingError: another owner has the setting, what is in force could not be put back
                later, or AWS refuses. What was in force before then is in force again.
        """
        try:
            return self._take(wanted, known=())
        except _UnwrittenError as refusal:
            # CloudFormation sends no Delete for a creation that failed.
            with suppress(SettingError):
                self.delete(wanted)
            raise SettingError(str(refusal)) from refusal

    def update(self, wanted: Configuration, old: Configuration) -> Outcome:
        """Put ``wanted`` in the place of ``old``.

        When somebody else changed the setting since, it is their setting that will be put back.

        Raises:
            SettingError: another owner has the setting, or AWS refuses.
        """
        return self._take(wanted, known=(old,))

    def delete(self, ours: Configuration) -> Outcome:
        """Put back what was in force before, unless somebody changed the setting meanwhile.

        Raises:
            SettingError: AWS refuses.
        """
        record = self._records.load()
        if record is None or record.owner != self._owner:
            return Outcome.NOT_OURS
        mine = self._is_any(self._setting.read(), (record.ours, ours))
        if mine and record.previous is None:
            self._setting.reset()
        elif mine and record.previous is not None:
            self._write_back(record.previous)
        self._records.delete()
        return Outcome.RESTORED if mine else Outcome.LEFT_TO_OTHERS

    def _take(self, wanted: Configuration, known: tuple[Configuration, ...]) -> Outcome:
        present = self._setting.read()
        record = self._records.load()
        if record is None:
            self._claim(present, wanted, known)
        else:
            self._check_owner(record)
            ours = self._is_any(present, (record.ours, wanted, *known))
            previous = record.previous if ours else present
            self._records.replace(Record(self._owner, previous, wanted))
        try:
            self._setting.write(wanted)
        except SettingError as refusal:
            raise _UnwrittenError(str(refusal)) from refusal
        return Outcome.WRITTEN

    def _claim(
        self,
        present: Configuration | None,
        wanted: Configuration,
        known: tuple[Configuration, ...],
    ) -> None:
        # What an earlier version of this resource wrote is not worth going back to.
        previous = None if self._is_any(present, known) else present
        obstacle = self._setting.obstacle(previous) if previous is not None else None
        if obstacle:
            raise SettingError(obstacle)
        if not self._records.create(Record(self._owner, previous, wanted)):
            record = self._records.load()
            if record is not None:
                self._check_owner(record)

    def _write_back(self, previous: Configuration) -> None:
        try:
            self._setting.write(previous)
        except SettingError as refusal:
            raise SettingError(
                f"{refusal} So {self._setting.name} could not be put back to what it was before "
                "this stack. Set it as you want it to be, then delete again: a setting that "
                "somebody changed is left as it is."
            ) from refusal

    def _check_owner(self, record: Record) -> None:
        if record.owner != self._owner:
            raise SettingError(
                f"There is only one {self._setting.name} in an account and region, and it is "
                f"managed by {record.owner}. Let one stack manage it: remove it from that stack "
                "or from this one. If that stack no longer exists, delete the Systems Manager "
                f"parameter {self._records.name}, which holds what was in force before it."
            )

    def _is_any(self, present: Configuration | None, candidates: Iterable[Configuration]) -> bool:
        return present is not None and any(
            self._setting.same(candidate, present) for candidate in candidates
        )


class _UnwrittenError(SettingError):
    """The record was made and the setting was not written."""
