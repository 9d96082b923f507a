"""Which tokens a step sees follows from its number, whatever was restarted."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning.errors import FineTuningError
from fine_tuning.token_dataset import TokenDataset, positions_of, sequence_at
from tests.jobs.curation.laptop import Laptop


def dataset(folder: Path, *counts: int) -> TokenDataset:
    shards = []
    begin = 0
    for number, count in enumerate(counts):
        rows = np.arange(begin, begin + count, dtype="<u2")[:, None].repeat(4, axis=1)
        np.save(folder / f"tokens-{number:05d}.npy", rows)
        objects = [{"name": f"index-{number:05d}.npy"}, {"name": f"tokens-{number:05d}.npy"}]
        shards.append({"objects": objects})
        begin += count
    manifest = {"run": "r", "rules": {"sequence_length": 4}, "shards": shards}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return TokenDataset(folder)


def test_sequences_of_all_shards_follow_one_another(tmp_path: Path) -> None:
    sequences = dataset(tmp_path, 2, 0, 3)
    assert [int(sequences[index][0]) for index in range(len(sequences))] == [0, 1, 2, 3, 4]
    assert sequences.sequence_length == 4
    assert sequences[0].dtype == np.dtype("int64")
    with pytest.raises(IndexError):
        sequences[5]


@pytest.mark.slow
def test_what_curation_publishes_can_be_trained_on(tmp_path: Path) -> None:
    laptop = Laptop.with_corpus(tmp_path)
    published = laptop.run()
    (manifest,) = tmp_path.glob("datasets/**/manifest.json")
    sequences = TokenDataset(manifest.parent)
    assert len(sequences) == published.manifest["totals"]["sequences"]
    assert len(sequences[len(sequences) - 1]) == sequences.sequence_length


def test_a_folder_without_manifest_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match="nothing was published"):
        TokenDataset(tmp_path)


def test_a_dataset_without_sequences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match="no sequence"):
        dataset(tmp_path, 0)


@given(count=st.integers(1, 300), epoch=st.integers(0, 5), seed=st.integers(0, 99))
def test_an_epoch_visits_every_sequence_once(count: int, epoch: int, seed: int) -> None:
    visited = [sequence_at(epoch * count + place, count, seed) for place in range(count)]
    assert sorted(visited) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(sequence_at(epoch * 97 + place, 97, seed) for place in range(97))

    assert len({order(1, 0), order(1, 1), order(2, 0), tuple(range(97))}) == 4


@given(step=st.integers(1, 1000), ranks=st.sampled_from([1, 2, 4, 8, 16, 64]))
def test_a_step_has_the_same_sequences_on_any_number_of_ranks(step: int, ranks: int) -> None:
    shares = [positions_of(step, batch=64, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert [position for share in shares for position in share] == list(
        range((step - 1) * 64, step * 64)
    )
