"""The command line as Batch and people call it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curation.cli import app
from curation.errors import CurationError
from tests.jobs.curation.conftest import ROOT
from tests.jobs.curation.laptop import Laptop

RUNNER = CliRunner()


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop.with_corpus(tmp_path)


def invoke(*arguments: str, **variables: str) -> str:
    result = RUNNER.invoke(app, [*arguments], env=variables, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_batch_says_which_worker_it_is_and_where_things_lie(laptop: Laptop) -> None:
    work, name, source, tokenizer, rejected, output, rules = laptop.arguments()
    variables = {
        "CURATION_WORK": work,
        "CURATION_REJECTED": rejected,
        "CURATION_OUTPUT": output,
        "CURATION_TOKENIZER": tokenizer,
        "CURATION_RULES": rules,
    }
    invoke("plan", "--name", name, "--input", source, **variables)
    for stage in ("filter", "deduplicate", "tokenise", "publish"):
        array = stage in {"filter", "tokenise"}
        for worker in range(2 if array else 1):
            spread = ("--workers", "2") if array else ()
            index = {"AWS_BATCH_JOB_ARRAY_INDEX": str(worker)} if array else {}
            invoke(stage, "--name", name, *spread, **variables, **index)
    assert '"event": "verified"' in invoke("verify", "--dataset", laptop.dataset().storage.uri)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filter", "--shard", "5"], "shard = 5: The last one is 4"),
        (["filter", "--worker", "2", "--workers", "2"], "Of 2 workers the last is 1"),
        (["filter", "--name", "unknown"], "There is no plan called unknown"),
        (["tokenise"], "filter-00000: It is not done yet. Run the stage filter first"),
        (["deduplicate"], "Run the stage filter first"),
        (["publish"], "Run the stage filter first"),
        (["plan", "--name", "a/b"], "Use up to 128 letters"),
        (["plan", "--input", "ftp://there/"], "It is no address of objects"),
        (["plan", "--tokenizer", "/nowhere/tokenizer.json"], "There is no such file"),
        (["plan", "--input", "."], "There is no object whose name ends in .jsonl"),
    ],
)
def test_what_is_wrong_is_said(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    work, name, source, tokenizer, rejected, output, _ = laptop.arguments()
    empty = Path(laptop.root, "empty")
    empty.mkdir()
    monkeypatch.chdir(empty)
    variables = {
        "CURATION_WORK": work,
        "CURATION_NAME": name,
        "CURATION_REJECTED": rejected,
        "CURATION_OUTPUT": output,
        "CURATION_INPUT": source,
        "CURATION_TOKENIZER": tokenizer,
    }
    invoke("plan", **variables)
    with pytest.raises(CurationError, match=message):
        invoke(*arguments, **variables)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{}", "is no tokenizer.json"), (None, "The tokenizer has no such token")],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(
    laptop: Laptop, content: str | None, message: str
) -> None:
    if content is not None:
        Path(laptop.root, "tokenizer.json").write_text(content)
    else:
        laptop.rules["end_of_text"] = "</s>"
    with pytest.raises(CurationError, match=message):
        laptop.run()


@pytest.mark.slow
def test_a_person_sees_a_sentence_and_no_trace(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "curation", "publish", "--work", str(tmp_path), "--name", "none"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "jobs"), "CURATION_OUTPUT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == (
        f"{tmp_path}/: There is no plan called none. Run the stage plan first.\n"
    )
