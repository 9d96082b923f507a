"""Where objects lie: a local folder or a prefix of a bucket, behind one small interface."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from curation.errors import CurationError

CHUNK = 1 << 20
"""Bytes held in memory while something is copied or hashed."""


@dataclass(frozen=True, order=True)
class StoredObject:
    """An object: its ``key`` below the storage's root, bytes, and a name for its content."""

    key: str
    size: int
    version: str


class Storage(Protocol):
    """Objects below one root.

    Whoever reads finds an object whole or not at all, however its writer ended.
    """

    @property
    def uri(self) -> str:
        """The root, ending in a slash."""

    def objects(self) -> Iterator[StoredObject]:
        """Every object, in the order of the keys."""

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """Open an object as a stream.

        Raises :class:`CurationError` where it is missing, or is not ``version`` any more.
        """

    def size(self, key: str) -> int | None:
        """Return the bytes of an object, ``None`` where there is none."""

    def upload(self, path: Path, key: str) -> None:
        """Store a file, over what is there."""

    def create(self, key: str, body: bytes) -> bool:
        """Store ``body`` unless the key is taken, and say whether it was stored."""

    def copy_from(self, source: "Storage", key: str, target: str) -> None:
        """Copy ``source``'s object ``key`` to ``target``, over what is there."""


def read(storage: Storage, key: str) -> bytes:
    """Return a small object whole. Raises :class:`CurationError` where it is missing."""
    with storage.open(key) as stream:
        return stream.read()


def digest_of(stream: BinaryIO) -> str:
    """Return the SHA-256 of what is left in a stream, in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def open_storage(uri: str) -> Storage:
    """Return the storage at a folder or an ``s3://`` address.

    Raises :class:`CurationError` for any other address.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        from curation.local_storage import LocalStorage

        return LocalStorage(Path(rest if separator else uri))
    if scheme != "s3" or not rest.partition("/")[0]:
        raise CurationError(f"{uri}: It is no address of objects. Give a folder or s3://bucket/.")
    from curation.s3_storage import S3Storage

    bucket, _, prefix = rest.partition("/")
    return S3Storage(bucket, prefix)


def open_object(uri: str) -> tuple[Storage, str]:
    """Return the storage and key of one object's address."""
    folder, _, name = uri.rpartition("/")
    return open_storage(f"{folder}/" if folder else "."), name
