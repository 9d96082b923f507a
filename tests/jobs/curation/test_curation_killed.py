"""Killed at any moment and started again, the job publishes the same manifest."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from curation import cli
from tests.jobs.curation.conftest import Killer, killer
from tests.jobs.curation.laptop import Laptop

pytestmark = pytest.mark.slow

KILLED_AT = 24
KILLED_AFTER = 8


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: what it published, and how much it did."""

    laptop: Laptop
    manifest: bytes
    rejected: list[dict[str, object]]
    operations: int
    seconds: float


@pytest.fixture(scope="module")
def kill() -> Iterator[Killer]:
    with killer() as run:
        yield run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, kill: Killer) -> Undisturbed:
    laptop = Laptop.with_corpus(tmp_path_factory.mktemp("undisturbed"))
    result = kill(folder=laptop.root, arguments=laptop.arguments())
    dataset = laptop.dataset()
    return Undisturbed(
        laptop, dataset.manifest_bytes, laptop.rejected(), result["operations"], result["seconds"]
    )


@pytest.fixture
def laptop(undisturbed: Undisturbed, tmp_path: Path) -> Laptop:
    shutil.copytree(f"{undisturbed.laptop.root}/input", tmp_path / "input")
    shutil.copy(f"{undisturbed.laptop.root}/tokenizer.json", tmp_path)
    return Laptop(str(tmp_path))


def start_over(laptop: Laptop) -> None:
    for name in ("curated", "datasets", "rejected"):
        shutil.rmtree(f"{laptop.root}/{name}", ignore_errors=True)


def assert_same(laptop: Laptop, undisturbed: Undisturbed, when: object) -> None:
    dataset = laptop.dataset()
    assert dataset.manifest_bytes == undisturbed.manifest, f"killed at {when}"
    assert laptop.rejected() == undisturbed.rejected, f"killed at {when}"
    cli.verify(dataset.storage.uri)


def test_killed_before_any_operation_on_a_file(
    undisturbed: Undisturbed, laptop: Laptop, kill: Killer
) -> None:
    assert undisturbed.operations > KILLED_AT
    dice = random.Random(20261122)  # noqa: S311 - not for secrets
    # The last operations make the manifest: each of them, and others wherever the dice fall.
    last = range(undisturbed.operations - 9, undisturbed.operations + 1)
    others = dice.sample(range(1, undisturbed.operations - 9), KILLED_AT - len(last))
    for event in (*last, *others):
        start_over(laptop)
        first = kill(folder=laptop.root, arguments=laptop.arguments(), event=event)
        assert first["signal"] == 9
        second = kill(folder=laptop.root, arguments=laptop.arguments())
        assert second["signal"] == 0
        assert_same(laptop, undisturbed, event)


def test_killed_after_any_time(undisturbed: Undisturbed, laptop: Laptop, kill: Killer) -> None:
    dice = random.Random(20261123)  # noqa: S311 - not for secrets
    killed, longest = 0, undisturbed.seconds
    while killed < KILLED_AFTER:
        seconds = dice.uniform(0, longest)
        start_over(laptop)
        first = kill(folder=laptop.root, arguments=laptop.arguments(), seconds=seconds)
        if first["signal"] == 9:
            killed += 1
        else:
            # It was done by then: the machine had more to do while the other run was measured.
            longest = seconds
        kill(folder=laptop.root, arguments=laptop.arguments())
        assert_same(laptop, undisturbed, seconds)


def test_killed_again_and_again_until_it_is_done(
    undisturbed: Undisturbed, laptop: Laptop, kill: Killer
) -> None:
    kills, signal = 0, 9
    while signal:
        # Reading again what is done takes operations too, so each attempt is given more of them.
        event = 25 * (kills + 1)
        signal = kill(folder=laptop.root, arguments=laptop.arguments(), event=event)["signal"]
        kills += signal == 9
    assert kills >= 4
    assert_same(laptop, undisturbed, f"{kills} places")


def test_a_killed_job_leaves_no_manifest_before_its_objects(
    undisturbed: Undisturbed, laptop: Laptop, kill: Killer
) -> None:
    published = 0
    for event in range(undisturbed.operations - 40, undisturbed.operations, 8):
        start_over(laptop)
        kill(folder=laptop.root, arguments=laptop.arguments(), event=event)
        for manifest in Path(laptop.root).glob("datasets/*/manifest.json"):
            cli.verify(f"{manifest.parent}/")
            published += 1
        assert len(list(Path(laptop.root).glob("datasets/*/*.npy"))) > 0
    assert published < 5
