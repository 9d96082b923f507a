"""A trainer of the standard library, whose state says which steps made it and in which order.

Run as a script, it is the job's loop in a process that tests may kill.
"""

import hashlib
import logging
import sys
from pathlib import Path

from fine_tuning.checkpoint_store import CheckpointStore
from fine_tuning.run import Alone, Outcome, Run
from fine_tuning.stop_request import StopRequest

PARTS = 4
PART_BYTES = 200_000
SETTINGS = {"model": "hash-chain"}


class HashChain:
    """A state that is the hash of the one before and of the step: a step left out shows."""

    def __init__(self) -> None:
        self.state = b"start"

    def load(self, folder: Path) -> None:
        parts = [(folder / f"part-{number}").read_bytes() for number in range(PARTS)]
        assert {len(part) for part in parts} == {PART_BYTES}
        (self.state,) = {part[:32] for part in parts}

    def train(self, step: int) -> float:
        self.state = hashlib.sha256(self.state + step.to_bytes(8, "big")).digest()
        return 1 / step

    def save(self, folder: Path | None) -> None:
        assert folder
        for number in range(PARTS):
            (folder / f"part-{number}").write_bytes(self.state.ljust(PART_BYTES, b"."))


def run_of(folder: Path, *, steps: int, save_every: int = 1, keep: int = 2) -> Run:
    store = CheckpointStore(folder, keep=keep)
    return Run(store=store, settings=SETTINGS, steps=steps, save_every=save_every)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    trainer, stop = HashChain(), StopRequest()
    with stop.from_signals():
        outcome = run_of(Path(sys.argv[1]), steps=int(sys.argv[2])).carry_out(
            trainer, Alone(), stop
        )
    print(outcome.value, trainer.state.hex())  # noqa: T201
    sys.exit(0 if outcome is Outcome.FINISHED else 75)
