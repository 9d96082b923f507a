"""Datasets and reports in S3."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

CHUNK_BYTES: Final = 1 << 20

LONGEST_LINE_BYTES: Final = 8 << 20
"""Far above what any model reads in one record; more is a file that is not JSON lines."""


class DatasetError(Exception):
    """A dataset cannot be read; the message names its key."""


class Storage:
    """Reads below ``datasets`` and writes below ``reports``, both ``s3://bucket/prefix/``."""

    def __init__(self, client: Any, *, datasets: str, reports: str) -> None:
        self._client = client
        self._datasets = _split(datasets)
        self._reports = _split(reports)

    def lines(self, key: str) -> Iterator[bytes]:
        """Yield the lines of a dataset without their ends; a whole file is never held in memory.

        Raises:
            DatasetError: there is no such object, or a line of it is too long.
        """
        bucket, prefix = self._datasets
        try:
            body = self._client.get_object(Bucket=bucket, Key=f"{prefix}{key}")["Body"]
        except self._client.exceptions.NoSuchKey:
            raise DatasetError(f"There is no {prefix}{key} in the lake.") from None
        pending = b""
        for chunk in iter(lambda: body.read(CHUNK_BYTES), b""):
            *complete, pending = (pending + chunk).split(b"\n")
            yield from (line.removesuffix(b"\r") for line in complete)
            if len(pending) > LONGEST_LINE_BYTES:
                raise DatasetError(f"{key} has a line of more than {LONGEST_LINE_BYTES} bytes.")
        if pending:
            yield pending

    def write_report(self, name: str, document: Mapping[str, Any]) -> str:
        """Write a report and return where it is."""
        bucket, prefix = self._reports
        self._client.put_object(
            Bucket=bucket,
            Key=f"{prefix}{name}",
            Body=json.dumps(document, indent=2).encode(),
            ContentType="application/json",
        )
        return f"s3://{bucket}/{prefix}{name}"


def _split(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, prefix
