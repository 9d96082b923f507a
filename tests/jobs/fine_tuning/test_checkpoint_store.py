"""A checkpoint is whole or does not count, whatever became of its files."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fine_tuning.checkpoint_store import (
    MANIFEST,
    CheckpointStore,
    TornCheckpointError,
    read_checkpoint,
)
from fine_tuning.errors import FineTuningError
from tests.memory_folder import memory_folder

FILES = {"adapter": b"adapter" * 50, "nested/optimizer": b"optimizer" * 50}


def write(store: CheckpointStore, step: int) -> Path:
    with store.writing(step, {"rank": 16}) as folder:
        for name, content in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


def steps(folder: Path) -> list[int]:
    return sorted(read_checkpoint(it).step for it in folder.iterdir())


def test_what_was_written_is_found(tmp_path: Path) -> None:
    write(CheckpointStore(tmp_path / "run"), 7)
    newest = CheckpointStore(tmp_path / "run").newest()
    assert newest is not None
    assert (newest.step, newest.settings) == (7, {"rank": 16})
    assert {name: (newest.folder / name).read_bytes() for name in FILES} == FILES


def test_a_run_that_never_saved_has_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "nowhere").newest() is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step in (10, 20, 30):
        write(store, step)
    assert steps(tmp_path) == [20, 30]


def test_what_was_left_torn_goes_with_the_next_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    write(store, 10)
    torn = write(store, 20)
    (torn / MANIFEST).unlink()
    write(store, 30)
    assert steps(tmp_path) == [10, 30]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), CheckpointStore(tmp_path).writing(1, {}) as folder:
        folder.write_bytes(b"half")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_given_up_cannot_mix_its_files_with_ours(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    with store.writing(5, {}) as theirs:
        (theirs / "adapter").write_bytes(b"theirs")
        with store.writing(5, {}) as ours:
            (ours / "adapter").write_bytes(b"ours")
        assert ours != theirs
        assert (ours / "adapter").read_bytes() == b"ours"
    assert store.newest() is not None


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes", "step-5", "step-000000001"):
        (tmp_path / name).mkdir()
    store = CheckpointStore(tmp_path, keep=1)
    write(store, 10)
    write(store, 20)
    assert {it.name for it in tmp_path.iterdir()} > {"notes", "step-5", "step-000000001"}


def test_a_checkpoint_under_another_name_is_refused(tmp_path: Path) -> None:
    folder = write(CheckpointStore(tmp_path), 7)
    moved = folder.rename(folder.with_name("step-000000009-00000000"))
    with pytest.raises(TornCheckpointError, match="holds step 7"):
        read_checkpoint(moved)


def test_the_log_says_what_is_wrong_with_what_was_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(CheckpointStore(tmp_path), 7)
    (folder / "adapter").unlink()
    assert CheckpointStore(tmp_path).newest() is None
    assert f"{folder.name} is not resumed from" in caplog.text
    assert "No such file" in caplog.text


def test_a_store_that_keeps_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match="keep = 0"):
        CheckpointStore(tmp_path, keep=0)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_whatever_became_of_the_newest_the_one_before_is_taken(data: st.DataObject) -> None:
    with memory_folder() as folder:
        store = CheckpointStore(folder)
        write(store, 10)
        newest = write(store, 20)
        file = newest / data.draw(st.sampled_from([*FILES, MANIFEST]))
        content = file.read_bytes()
        place = data.draw(st.integers(0, len(content) - 1))
        damage = data.draw(st.sampled_from(["gone", "cut", "flipped", "longer", "zeroed"]))
        if damage == "gone":
            file.unlink()
        elif damage == "cut":
            file.write_bytes(content[:place])
        elif damage == "flipped":
            flipped = content[place] ^ data.draw(st.integers(1, 255))
            file.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        elif damage == "longer":
            file.write_bytes(content + content[place:])
        else:
            file.write_bytes(content[:place] + bytes(len(content) - place))
        found = store.newest()
        if found is not None and found.step == 20:
            # JSON has blanks that mean nothing: then all that the manifest says is as it was.
            assert file.name == MANIFEST
            assert json.loads(file.read_bytes()) == json.loads(content)
        else:
            assert found is not None
            assert found.step == 10


@given(
    present=st.lists(
        st.tuples(st.integers(0, 50), st.booleans()), unique_by=lambda it: it[0], max_size=6
    )
)
@settings(max_examples=40, deadline=None)
def test_the_newest_whole_one_is_taken_whatever_lies_beside_it(
    present: list[tuple[int, bool]],
) -> None:
    with memory_folder() as folder:
        store = CheckpointStore(folder, keep=10)
        for step, _ in present:
            write(store, step)
        for step, whole in present:
            for written in folder.glob(f"step-{step:09d}-*"):
                if not whole:
                    (written / "adapter").write_bytes(b"torn")
        found = store.newest()
        assert (found.step if found else None) == max(
            (step for step, whole in present if whole), default=None
        )
