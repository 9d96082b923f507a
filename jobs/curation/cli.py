"""The commands of the job: one for each stage, ``run`` for all of them, and ``verify``."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from curation.deduplication import deduplicate as deduplicate_all
from curation.errors import CurationError
from curation.filtering import filter_shard
from curation.plan import Plan, Shard, load_plan, make_plan
from curation.publication import MANIFEST
from curation.publication import publish as publish_run
from curation.publication import verify as verify_dataset
from curation.rules import Rules
from curation.storage import open_storage, read
from curation.tokenisation import load_tokenizer, tokenise_shard
from curation.workspace import Workspace

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Work = Annotated[
    str, typer.Option(envvar="CURATION_WORK", help="Folder or s3:// prefix for what stages leave.")
]
Name = Annotated[str, typer.Option(envvar="CURATION_NAME", help="The plan's name.")]
Input = Annotated[
    str, typer.Option("--input", envvar="CURATION_INPUT", help="Folder or s3:// prefix of shards.")
]
Tokenizer = Annotated[
    str, typer.Option(envvar="CURATION_TOKENIZER", help="Address of a tokenizer.json.")
]
RulesJson = Annotated[
    str, typer.Option("--rules", envvar="CURATION_RULES", help="Rules that differ, as JSON.")
]
Rejected = Annotated[
    str, typer.Option(envvar="CURATION_REJECTED", help="Folder or s3:// prefix of the quarantine.")
]
Output = Annotated[
    str, typer.Option(envvar="CURATION_OUTPUT", help="Folder or s3:// prefix of datasets.")
]
ShardIndex = Annotated[int | None, typer.Option(min=0, help="One shard, by its index in the plan.")]
Worker = Annotated[
    int,
    typer.Option(min=0, envvar="AWS_BATCH_JOB_ARRAY_INDEX", help="Which of the workers this is."),
]
Workers = Annotated[
    int, typer.Option(min=1, help="How many workers share the shards, each taking every n-th.")
]


@dataclass(frozen=True)
class _Stage:
    """What a stage works on."""

    plan: Plan
    source: str
    workspace: Workspace
    scratch: Path

    def shards(self, shard: int | None, worker: int, workers: int) -> tuple[Shard, ...]:
        """Return the shards that are asked for."""
        if worker >= workers:
            raise CurationError(
                f"worker = {worker}: Of {workers} workers the last is {workers - 1}."
            )
        if shard is None:
            return self.plan.shards[worker::workers]
        if shard >= len(self.plan.shards):
            raise CurationError(f"shard = {shard}: The last one is {len(self.plan.shards) - 1}.")
        return (self.plan.shards[shard],)


@app.command()
def plan(
    work: Work, name: Name, source: Input, tokenizer: Tokenizer, rules: RulesJson = "{}"
) -> None:
    """Find the shards and fix what the run is. Prints the run's name."""
    made = make_plan(
        open_storage(work),
        name,
        source=open_storage(source),
        tokenizer=tokenizer,
        rules=Rules.from_json(rules),
    )
    _say("planned", run=made.run, shards=len(made.shards), ignored=len(made.ignored))


@app.command("filter")
def filter_(
    work: Work,
    name: Name,
    rejected: Rejected,
    shard: ShardIndex = None,
    worker: Worker = 0,
    workers: Workers = 1,
) -> None:
    """Divide shards into documents and rejected records."""
    with _stage(work, name) as stage:
        source, quarantine = open_storage(stage.source), open_storage(rejected)
        for it in stage.shards(shard, worker, workers):
            outcome = filter_shard(
                stage.plan,
                it,
                source=source,
                workspace=stage.workspace,
                rejected=quarantine,
                scratch=stage.scratch,
            )
            told = {
                key: outcome[key] for key in ("records", "kept", "unreadable") if key in outcome
            }
            _say("filtered", run=stage.plan.run, shard=it.index, **told)


@app.command()
def deduplicate(
    work: Work,
    name: Name,
    pairs: Annotated[
        str | None,
        typer.Option(
            envvar="CURATION_PAIRS",
            help="Folder or s3:// prefix with pairs that another deduplicator found.",
        ),
    ] = None,
) -> None:
    """Find the duplicates among all documents."""
    with _stage(work, name) as stage:
        outcome = deduplicate_all(
            stage.plan,
            workspace=stage.workspace,
            scratch=stage.scratch,
            pairs=open_storage(pairs) if pairs else None,
        )
        shards = outcome["shards"].values()
        counts = {kind: sum(it[kind] for it in shards) for kind in ("exact", "fuzzy")}
        _say("deduplicated", run=stage.plan.run, **counts)


@app.command()
def tokenise(
    work: Work, name: Name, shard: ShardIndex = None, worker: Worker = 0, workers: Workers = 1
) -> None:
    """Turn the documents that are left into sequences of tokens."""
    with _stage(work, name) as stage:
        tokenizer = load_tokenizer(stage.plan, stage.workspace)
        for it in stage.shards(shard, worker, workers):
            outcome = tokenise_shard(
                stage.plan,
                it,
                workspace=stage.workspace,
                tokenizer=tokenizer,
                scratch=stage.scratch,
            )
            told = {key: outcome[key] for key in ("documents", "tokens", "sequences")}
            _say("tokenised", run=stage.plan.run, shard=it.index, **told)


@app.command()
def publish(work: Work, name: Name, output: Output) -> None:
    """Check the sums, copy the objects and write the manifest."""
    with _stage(work, name) as stage:
        manifest = publish_run(stage.plan, workspace=stage.workspace, output=open_storage(output))
        totals = manifest["totals"]
        rejected = sum(totals["rejected"].values())
        _say(
            "published",
            run=stage.plan.run,
            **{key: totals[key] for key in ("records", "documents", "tokens")},
            rejected=rejected,
            rejected_percent=round(100 * rejected / max(totals["records"], 1), 2),
            unreadable_shards=totals["unreadable_shards"],
        )


@app.command()
def run(
    work: Work,
    name: Name,
    source: Input,
    tokenizer: Tokenizer,
    rejected: Rejected,
    output: Output,
    rules: RulesJson = "{}",
) -> None:
    """Do every stage, one after the other, as on a laptop."""
    plan(work, name, source, tokenizer, rules)
    filter_(work, name, rejected)
    deduplicate(work, name)
    tokenise(work, name)
    publish(work, name, output)


@app.command()
def verify(
    dataset: Annotated[str, typer.Option(help="Folder or s3:// prefix that holds a manifest.")],
) -> None:
    """Check a published dataset against its manifest, as before a training run."""
    storage = open_storage(dataset)
    manifest = json.loads(read(storage, MANIFEST))
    objects = verify_dataset(storage, manifest)
    _say("verified", run=manifest["run"], objects=objects)


@contextmanager
def _stage(work: str, name: str) -> Iterator[_Stage]:
    storage = open_storage(work)
    named = load_plan(storage, name)
    with tempfile.TemporaryDirectory(prefix="curation-") as scratch:
        workspace = Workspace(storage, named.plan.run)
        yield _Stage(named.plan, named.source, workspace, Path(scratch))


def _say(event: str, **details: Any) -> None:
    # One JSON object a line, which CloudWatch's metric filters can read.
    sys.stdout.write(json.dumps({"event": event, **details}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the command line; what the caller must repair is told as a sentence, with status 2."""
    try:
        app()
    except CurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
