"""Checkpoints as folders that are whole, or do not count.

A checkpoint's files are written under their final names, flushed to the disk, and only then named,
with size and SHA-256, in a manifest. Whatever ends the process before that leaves a folder without
a manifest that agrees with it, and such a folder is never resumed from. Nothing is renamed, because
FSx for Lustre exports a renamed file twice:
https://docs.aws.amazon.com/fsx/latest/LustreGuide/autoexport-data-repo-dra.html
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fine_tuning.errors import FineTuningError

MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(r"step-(\d{9})-[0-9a-f]{8}")
_LOG = logging.getLogger(__name__)


class TornCheckpointError(Exception):
    """A folder is no whole checkpoint; the message says what is missing or different."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: the state after ``step`` steps, made with ``settings``."""

    step: int
    folder: Path
    settings: Mapping[str, Any]


class CheckpointStore:
    """The checkpoints of one run below ``folder``, of which the newest ``keep`` are kept.

    Several processes may write at once, as when a node that was given up still lives: each writes a
    folder of its own.
    """

    def __init__(self, folder: Path, *, keep: int = 3) -> None:
        if keep < 1:
            raise FineTuningError(f"keep = {keep}: A run without checkpoints cannot go on. Keep 1.")
        self._folder = folder
        self._keep = keep

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint whose files are all as they were written, if there is one.

        Every file of it is read. Newer folders that are torn are named in the log.
        """
        for _, folder in sorted(self._folders(), reverse=True):
            try:
                return read_checkpoint(folder)
            except TornCheckpointError as error:
                _LOG.warning("%s is not resumed from: %s", folder.name, error)
        return None

    @contextmanager
    def writing(self, step: int, settings: Mapping[str, Any]) -> Iterator[Path]:
        """Give a folder to write the state after ``step`` steps into.

        It counts as a checkpoint once this returns. Then older ones, and what was left torn, are
        removed. If the body raises, the folder is removed.
        """
        folder = self._folder / f"step-{step:09d}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        try:
            yield folder
            _seal(folder, step, settings)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _flush(self._folder)
        self._rotate(step)

    def _folders(self) -> Iterator[tuple[int, Path]]:
        for folder in self._folder.glob("step-*"):
            match = _NAME.fullmatch(folder.name)
            if match and folder.is_dir():
                yield int(match[1]), folder

    def _rotate(self, step: int) -> None:
        """Remove what is older than ``step`` and not among the newest that are kept beside it."""
        older = sorted((it for it in self._folders() if it[0] < step), reverse=True)
        sealed = [folder for _, folder in older if (folder / MANIFEST).exists()]
        kept = set(sealed[: self._keep - 1])
        for _, folder in older:
            if folder not in kept:
                # Without its manifest first, a folder half removed might be taken for a whole one.
                (folder / MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint in ``folder``, every file of which was read.

    Raises :class:`TornCheckpointError` if anything is not as it was written.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        content = manifest["content"]
        if manifest["sha256"] != _digest_of(content):
            raise TornCheckpointError("the manifest was changed after it was written.")
        for name, written in content["files"].items():
            if _described(folder / name) != written:
                raise TornCheckpointError(f"{name} is not what was written.")
        checkpoint = Checkpoint(content["step"], folder, content["settings"])
    except OSError as error:
        raise TornCheckpointError(f"{error.filename or folder}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TornCheckpointError("the manifest is incomplete.") from error
    if not folder.name.startswith(f"step-{checkpoint.step:09d}-"):
        raise TornCheckpointError(f"it holds step {checkpoint.step}.")
    return checkpoint


def _seal(folder: Path, step: int, settings: Mapping[str, Any]) -> None:
    """Flush all that is in ``folder``, and write the manifest that makes it a checkpoint."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = {
        "step": step,
        "settings": dict(settings),
        "files": {path.relative_to(folder).as_posix(): _described(path) for path in files},
    }
    for directory in {folder, *(path.parent for path in files)}:
        _flush(directory)
    manifest = folder / MANIFEST
    manifest.write_text(
        json.dumps({"sha256": _digest_of(content), "content": content}), encoding="utf-8"
    )
    _flush(manifest)
    _flush(folder)


def _described(path: Path) -> dict[str, Any]:
    """Return size and SHA-256 of a file, which is on the disk by then."""
    _flush(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": os.fstat(file.fileno()).st_size, "sha256": digest}


def _digest_of(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
