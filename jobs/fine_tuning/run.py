"""A run: steps with checkpoints between them, that starts where the newest whole one ended."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from fine_tuning.checkpoint_store import CheckpointStore, read_checkpoint
from fine_tuning.errors import FineTuningError
from fine_tuning.stop_request import StopRequest

_LOG = logging.getLogger(__name__)


class Trainer(Protocol):
    """The model and its optimiser; each rank has a part of them and calls the same methods."""

    def load(self, folder: Path) -> None:
        """Take over the state in ``folder``."""

    def train(self, step: int) -> float:
        """Take step number ``step``, counted from 1, and return its loss.

        What it does may depend on the state and on ``step`` alone, or a resumed run is another one.
        """

    def save(self, folder: Path | None) -> None:
        """Write the state into ``folder``, which only the first rank is given."""


class Ranks(Protocol):
    """The processes of a run, and how they agree."""

    @property
    def first(self) -> bool:
        """Whether this one writes checkpoints."""

    def told_by_first(self, value: str | None) -> str | None:
        """Return what the first rank passed."""

    def any(self, flag: bool) -> bool:
        """Return whether any rank passed ``True``; each of them must call it."""


class Alone:
    """One process."""

    first = True

    def told_by_first(self, value: str | None) -> str | None:
        """Return ``value``."""
        return value

    def any(self, flag: bool) -> bool:
        """Return ``flag``."""
        return flag


class Outcome(Enum):
    """How a run ended: all steps are done, or it was asked to end and left a checkpoint."""

    FINISHED = "finished"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Run:
    """``steps`` steps with a checkpoint after every ``save_every``.

    ``settings`` are what the state depends on; a checkpoint of others is not resumed from. More
    ``steps`` than last time continue a finished run.
    """

    store: CheckpointStore
    settings: Mapping[str, Any]
    steps: int
    save_every: int

    def carry_out(self, trainer: Trainer, ranks: Ranks, stop: StopRequest) -> Outcome:
        """Take the steps that are left, and return how it ended; either way the state is saved.

        Raises :class:`FineTuningError` if the newest checkpoint was made with other settings.
        """
        done = self._resume(trainer, ranks)
        for step in range(done + 1, self.steps + 1):
            loss = trainer.train(step)
            if ranks.first:
                _LOG.info("step %d of %d: loss %.4f", step, self.steps, loss)
            stopping = ranks.any(stop.asked)
            if stopping or step == self.steps or step % self.save_every == 0:
                self._save(trainer, ranks, step)
            if stopping and step < self.steps:
                return Outcome.STOPPED
        return Outcome.FINISHED

    def _resume(self, trainer: Trainer, ranks: Ranks) -> int:
        """Load the newest checkpoint, the same on all ranks, and return its step, or 0."""
        newest = self.store.newest() if ranks.first else None
        told = ranks.told_by_first(str(newest.folder) if newest else None)
        if told is None:
            return 0
        checkpoint = newest or read_checkpoint(Path(told))
        self._check_settings(checkpoint.settings)
        trainer.load(checkpoint.folder)
        if ranks.first:
            _LOG.info("resumed from %s", checkpoint.folder.name)
        return checkpoint.step

    def _check_settings(self, made_with: Mapping[str, Any]) -> None:
        different = sorted(
            key
            for key in {*self.settings, *made_with}
            if self.settings.get(key) != made_with.get(key)
        )
        if different:
            told = ", ".join(
                f"{key} = {self.settings.get(key)!r} instead of {made_with.get(key)!r}"
                for key in different
            )
            raise FineTuningError(
                f"The newest checkpoint was made with other settings: {told}. Go on with the old "
                "ones, or give the run another folder."
            )

    def _save(self, trainer: Trainer, ranks: Ranks, step: int) -> None:
        if not ranks.first:
            trainer.save(None)
            return
        with self.store.writing(step, self.settings) as folder:
            trainer.save(folder)
        _LOG.info("saved step %d", step)
