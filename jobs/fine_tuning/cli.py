"""The commands: ``train``, which torchrun starts once for each rank, and ``status``.

Of the standard library until ``train`` has read its arguments, for ``status`` is asked by scripts
on nodes where nothing is installed.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Final

from fine_tuning.checkpoint_store import CheckpointStore
from fine_tuning.errors import FineTuningError
from fine_tuning.run import Outcome, Run
from fine_tuning.settings import Settings
from fine_tuning.stop_request import StopRequest

REFUSED: Final = 2
"""Exit code of what another try would not change."""

STOPPED: Final = os.EX_TEMPFAIL
"""Exit code of a run that was asked to end and is to be started again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parsed = _parser().parse_args(arguments)
    try:
        command: int = parsed.command(parsed)
    except FineTuningError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return REFUSED
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fine_tuning", description="Fine-tune with LoRA.")
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train", help="Train until all steps are done.")
    train.set_defaults(command=_train)
    status = commands.add_parser(
        "status", help="Print the newest whole checkpoint's step, or 'finished'."
    )
    status.set_defaults(command=_status)
    # Both take the same, so that a script passes its own arguments to either.
    for command in (train, status):
        _add_options(command)
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--checkpoints", type=Path, required=True, help="The run's folder.")
    add("--dataset", type=Path, required=True, help="A folder that curation made.")
    add("--steps", type=int, required=True, help="Of the whole run.")
    add("--save-every", type=int, default=50, help="Steps between checkpoints.")
    add("--keep", type=int, default=3, help="How many checkpoints are kept.")
    add("--on-cpu", action="store_true", help="Try it without accelerators.")
    for field in fields(Settings):
        required = field.default is MISSING
        add(
            f"--{field.name.replace('_', '-')}",
            type=field.type if isinstance(field.type, type) else str,
            required=required,
            default=None if required else field.default,
        )


def _status(parsed: argparse.Namespace) -> int:
    newest = CheckpointStore(parsed.checkpoints).newest()
    step = newest.step if newest else 0
    print("finished" if step >= parsed.steps else step)  # noqa: T201
    return 0


def _train(parsed: argparse.Namespace) -> int:
    settings = Settings(**{field.name: getattr(parsed, field.name) for field in fields(Settings)})
    for name in ("steps", "save_every"):
        if getattr(parsed, name) < 1:
            raise FineTuningError(f"{name} = {getattr(parsed, name)}: It must be at least 1.")
    # PyTorch and NumPy are in the job's image alone.
    from fine_tuning.lora import LoraTrainer
    from fine_tuning.ranks import process_group
    from fine_tuning.token_dataset import TokenDataset

    dataset = TokenDataset(parsed.dataset)
    run = Run(
        store=CheckpointStore(parsed.checkpoints, keep=parsed.keep),
        settings=settings.with_dataset(dataset.run),
        steps=parsed.steps,
        save_every=parsed.save_every,
    )
    stop = StopRequest()
    with stop.from_signals(), process_group(on_cpu=parsed.on_cpu) as ranks:
        settings.check_ranks(ranks.count)
        outcome = run.carry_out(LoraTrainer(settings, ranks, dataset), ranks, stop)
    return 0 if outcome is Outcome.FINISHED else STOPPED
