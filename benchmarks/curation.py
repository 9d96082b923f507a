"""What the curation job costs over reading and parsing the same text, per core.

The floor reads the same shard line by line and parses each line as JSON, in the same run and by
turns with the stages. Both are measured in CPU seconds of the process, so the figures are those of
one core whatever else the machine does. The text is generated: words with the frequencies of a
language, one document in ten a near copy of another, and a tokenizer trained on it. The table goes
to stderr; the last line of stdout is one JSON object.
"""

import argparse
import io
import itertools
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
# One core: the figures are per core, and threads would wait for one another on a busy machine.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from curation import cli
from curation.plan import load_plan
from curation.storage import open_storage

END_OF_TEXT = "<|endoftext|>"
COMMON = ("the", "of", "and", "to", "with", "that", "have", "be")
VOCABULARY = 20_000
MEAN_WORDS = 400
TOKENS = 8_000
TRAINED_ON = 500
STAGES = ("filter", "deduplicate", "tokenise", "publish")

Folder = Path


def documents(dice: random.Random) -> Iterator[str]:
    """Return texts without end, with words by Zipf's law."""
    words = [
        *COMMON,
        *(
            "".join(dice.choices("aeioulnrstdmpck", k=dice.randint(3, 9)))
            for _ in range(VOCABULARY)
        ),
    ]
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(words))))
    last = ""
    while True:
        if last and dice.random() < 0.1:
            yield last.replace(" the ", " a ", 1)
        count = max(60, int(dice.expovariate(1 / MEAN_WORDS)))
        text = dice.choices(words, cum_weights=weights, k=count)
        lines = (" ".join(text[start : start + 80]) for start in range(0, count, 80))
        last = ".\n".join(lines) + "."
        yield last


def write_corpus(folder: Folder, megabytes: int) -> int:
    """Write one shard and a tokenizer; return the shard's bytes."""
    dice = random.Random(1)  # noqa: S311 - not for secrets
    source = documents(dice)
    sample = list(itertools.islice(source, TRAINED_ON))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS, special_tokens=[END_OF_TEXT], show_progress=False
    )
    tokenizer.train_from_iterator(sample, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "input").mkdir()
    with (folder / "input" / "shard.jsonl").open("wb") as shard:
        while shard.tell() < megabytes * 1_000_000:
            shard.write(json.dumps({"text": next(source)}).encode() + b"\n")
        return shard.tell()


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this process, all its threads, while ``work`` runs."""
    began = time.process_time()
    work()
    return time.process_time() - began


def read_and_parse(folder: Folder) -> None:
    """Read the shard as the least that any job does."""
    with (folder / "input" / "shard.jsonl").open("rb") as shard:
        for line in shard:
            json.loads(line)


def stage_seconds(folder: Folder, run: int) -> dict[str, float]:
    """Run every stage in folders of its own and return the CPU seconds of each."""
    work, name = str(folder / f"work-{run}"), "benchmark"
    output, rejected = str(folder / f"datasets-{run}"), str(folder / f"rejected-{run}")
    stages: dict[str, Callable[[], None]] = {
        "filter": lambda: cli.filter_(work, name, rejected),
        "deduplicate": lambda: cli.deduplicate(work, name),
        "tokenise": lambda: cli.tokenise(work, name),
        "publish": lambda: cli.publish(work, name, output),
    }
    with redirect_stdout(io.StringIO()):
        cli.plan(work, name, str(folder / "input"), str(folder / "tokenizer.json"))
        return {stage: cpu_seconds(command) for stage, command in stages.items()}


def measure(megabytes: int, runs: int) -> dict[str, Any]:
    """Measure the floor and the stages by turns, and return medians with their ranges."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_corpus(folder, megabytes) / 1e6
        floors, stages = [], []
        # The first run fills caches and is not counted.
        for run in range(runs + 1):
            floors.append(cpu_seconds(lambda: read_and_parse(folder)))
            stages.append(stage_seconds(folder, run))
        kept = load_plan(open_storage(str(folder / "work-0")), "benchmark").plan.run
        manifest = json.loads((folder / "datasets-0" / kept / "manifest.json").read_text())
    floors, stages = floors[1:], stages[1:]
    return {
        "megabytes": round(size, 1),
        "records": manifest["totals"]["records"],
        "published": manifest["totals"]["documents"],
        "runs": runs,
        "floor": _figures(size, floors),
        "stages": {
            stage: {
                **_figures(size, [it[stage] for it in stages]),
                "ratio_to_floor": _ratio([it[stage] for it in stages], floors),
            }
            for stage in STAGES
        },
        "whole": {
            **_figures(size, [sum(it.values()) for it in stages]),
            "ratio_to_floor": _ratio([sum(it.values()) for it in stages], floors),
        },
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def _figures(size: float, seconds: list[float]) -> dict[str, float]:
    return {
        "mb_per_second_per_core": round(size / statistics.median(seconds), 1),
        "cpu_seconds": round(statistics.median(seconds), 2),
    }


def _ratio(seconds: list[float], floors: list[float]) -> dict[str, float]:
    ratios = [one / floor for one, floor in zip(seconds, floors, strict=True)]
    return {
        "median": round(statistics.median(ratios), 1),
        "least": round(min(ratios), 1),
        "greatest": round(max(ratios), 1),
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as a table on stderr."""
    table = Table("", "MB/s per core", "CPU s", "CPU over the floor")
    floor = result["floor"]
    table.add_row("read and parse", *map(str, floor.values()), "1")
    for name, figures in [*result["stages"].items(), ("whole", result["whole"])]:
        ratio = figures["ratio_to_floor"]
        told = f"{ratio['median']} ({ratio['least']}-{ratio['greatest']})"
        rate, seconds = figures["mb_per_second_per_core"], figures["cpu_seconds"]
        table.add_row(name, str(rate), str(seconds), told)
    Console(stderr=True).print(table)


def main() -> None:
    """Measure, print, and fail where the whole costs more than ``--max-ratio`` floors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=20, help="text to curate")
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs that are counted")
    parser.add_argument("--max-ratio", type=float, help="as a gate: fail above it")
    arguments = parser.parse_args()
    result = measure(arguments.megabytes, arguments.runs)
    show(result)
    print(json.dumps(result))
    ratio = result["whole"]["ratio_to_floor"]["median"]
    if arguments.max_ratio is not None and ratio > arguments.max_ratio:
        sys.exit(f"The job costs {ratio} times the floor, above {arguments.max_ratio}.")


if __name__ == "__main__":
    main()
