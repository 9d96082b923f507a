"""Lines of a shard of JSON Lines, plain or compressed, in bounded memory."""

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

import zstandard

SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".jsonl.zst")
"""Endings of the names of shards; other objects are not read."""


_COMPRESSED: Final = 1 << 16
"""Bytes that are decompressed at once; a frame may hold a thousand times as many."""


class UnreadableShardError(Exception):
    """The bytes are not what the name promises, or end too soon."""


@dataclass(frozen=True)
class Line:
    """A line of a shard, counted from 1. ``whole`` says whether it was short enough to be read."""

    number: int
    content: bytes
    whole: bool


def lines_of(name: str, stream: BinaryIO, maximum_bytes: int) -> Iterator[Line]:
    """Return the lines that are not empty, in order, each of at most ``maximum_bytes``.

    Of a longer line only the beginning is kept. Raises :class:`UnreadableShardError`.
    """
    text = _decompressed(name, stream)
    number = 0
    try:
        while content := text.readline(maximum_bytes + 1):
            number += 1
            whole = len(content) <= maximum_bytes or content.endswith(b"\n")
            last = content
            while not whole and last and not last.endswith(b"\n"):
                last = text.readline(maximum_bytes)
            if content.strip():
                yield Line(number, content[:maximum_bytes].rstrip(b"\r\n"), whole)
    # No other OSError: a disk or a network that fails says nothing about the shard.
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise UnreadableShardError(f"after line {number}: {error}") from error


class _ZstandardFrames(io.RawIOBase):
    """The content of all frames; the library's own reader takes half a frame for a whole one."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with what is decompressed next; 0 bytes mean the end."""
        while not self._ready:
            compressed = self._frame.unused_data or self._stream.read(_COMPRESSED)
            if not compressed:
                if self._begun and not self._frame.eof:
                    raise EOFError("The compressed stream ends too soon.")
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._begun = True
            self._ready = memoryview(self._frame.decompress(compressed))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _decompressed(name: str, stream: BinaryIO) -> BinaryIO:
    if name.endswith(".gz"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
    if name.endswith(".zst"):
        return cast("BinaryIO", io.BufferedReader(_ZstandardFrames(stream), 1 << 20))
    return stream
