"""Objects as files below a folder."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from curation.errors import CurationError
from curation.storage import Storage, StoredObject, digest_of

_UNFINISHED = ".unfinished-"


class LocalStorage:
    """The files below ``root``; an object's version is the SHA-256 of its bytes.

    A file is written beside its place and then linked or renamed into it, so that nobody ever
    sees half of one. What a killed writer leaves begins with ``.unfinished-`` and is no object.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def uri(self) -> str:
        """The folder, ending in a slash."""
        return f"{self._root}/"

    def objects(self) -> Iterator[StoredObject]:
        """Every file, in the order of the keys."""
        files = {
            path.relative_to(self._root).as_posix(): path
            for path in self._root.rglob("*")
            if path.is_file() and not path.name.startswith(_UNFINISHED)
        }
        for key in sorted(files):
            yield StoredObject(key, files[key].stat().st_size, self._version(files[key]))

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """Open a file; see :meth:`Storage.open`."""
        path = self._path(key)
        try:
            if version is not None and self._version(path) != version:
                raise CurationError(f"{path}: It changed after it was planned. Plan again.")
            return path.open("rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CurationError(f"{path}: There is no such file.") from error

    def size(self, key: str) -> int | None:
        """Return a file's bytes, ``None`` where there is none."""
        path = self._path(key)
        return path.stat().st_size if path.is_file() else None

    def upload(self, path: Path, key: str) -> None:
        """Copy a file to its place."""
        with self._unfinished(key) as (copy, target):
            shutil.copyfile(path, copy)
            copy.replace(target)

    def create(self, key: str, body: bytes) -> bool:
        """Write a file unless it exists."""
        with self._unfinished(key) as (copy, target):
            copy.write_bytes(body)
            try:
                # A hard link, unlike a rename, fails where something is.
                os.link(copy, target)
            except FileExistsError:
                return False
        return True

    def copy_from(self, source: Storage, key: str, target: str) -> None:
        """Copy an object of any storage to a file."""
        with self._unfinished(target) as (copy, path):
            with source.open(key) as stream, copy.open("wb") as file:
                shutil.copyfileobj(stream, file)
            copy.replace(path)

    @contextlib.contextmanager
    def _unfinished(self, key: str) -> Iterator[tuple[Path, Path]]:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=target.parent)
        os.close(handle)
        try:
            yield Path(name), target
        finally:
            Path(name).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        path = self._root / key
        if ".." in Path(key).parts or Path(key).is_absolute():
            raise CurationError(f"{key}: It leaves the folder {self._root}.")
        return path

    @staticmethod
    def _version(path: Path) -> str:
        with path.open("rb") as stream:
            return digest_of(stream)
