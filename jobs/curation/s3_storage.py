"""Objects in Amazon S3."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from curation.errors import CurationError
from curation.storage import Storage, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RETRIES: Final = Config(retries={"mode": "standard", "max_attempts": 8})

_CONFLICTS: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""What S3 answers to the later of two conditional writes of one key.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})

_SPOOLED: Final = 64 << 20
"""Bytes of an object kept in memory while it is read; the rest goes to the disk."""


class S3Storage:
    """The objects of ``bucket`` whose keys begin with ``prefix``; versions are their ETags.

    S3 shows an object only when it is complete. The region and credentials are those that the AWS
    SDK finds.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._client: S3Client = boto3.client("s3", config=_RETRIES)

    @property
    def uri(self) -> str:
        """The bucket and prefix, ending in a slash."""
        return f"s3://{self._bucket}/{self._prefix}"

    def objects(self) -> Iterator[StoredObject]:
        """Every object, in the order of the keys."""
        found = []
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                found += [
                    StoredObject(it["Key"].removeprefix(self._prefix), it["Size"], it["ETag"])
                    for it in page.get("Contents", [])
                    # What the console makes for a folder.
                    if not it["Key"].endswith("/")
                ]
        except (BotoCoreError, ClientError) as error:
            raise self._failure("", error) from error
        # S3 sorts by UTF-8 bytes, Python by code points: the same, but only for general buckets.
        yield from sorted(found)

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """Download an object and open it; see :meth:`Storage.open`.

        The whole object is fetched first, by parts that are repeated when a connection breaks.
        """
        file = cast("BinaryIO", tempfile.SpooledTemporaryFile(_SPOOLED))  # noqa: SIM115
        try:
            self._client.download_fileobj(self._bucket, self._prefix + key, file)
            # The transfer sees to it that all parts are of one object; this, that it is the right
            # one. It accepts no condition of its own.
            found = self._etag(key) if version is not None else None
        except (BotoCoreError, ClientError) as error:
            file.close()
            raise self._failure(key, error) from error
        if found != version:
            file.close()
            raise CurationError(f"{self.uri}{key}: It changed after it was planned. Plan again.")
        file.seek(0)
        return file

    def size(self, key: str) -> int | None:
        """Return an object's bytes, ``None`` where there is none."""
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise self._failure(key, error) from error
        return answer["ContentLength"]

    def upload(self, path: Path, key: str) -> None:
        """Upload a file, in parts where it is large."""
        try:
            self._client.upload_file(str(path), self._bucket, self._prefix + key)
        except (BotoCoreError, ClientError) as error:
            raise self._failure(key, error) from error

    def create(self, key: str, body: bytes) -> bool:
        """Put an object on the condition that none is there."""
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=body, IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _CONFLICTS:
                return False
            raise self._failure(key, error) from error
        return True

    def copy_from(self, source: Storage, key: str, target: str) -> None:
        """Copy an object within S3, or upload it from another storage."""
        try:
            if isinstance(source, S3Storage):
                origin = {"Bucket": source._bucket, "Key": source._prefix + key}
                # Tags stay behind, so that nobody needs permission to read them.
                self._client.copy(
                    origin,  # type: ignore[arg-type]
                    self._bucket,
                    self._prefix + target,
                    ExtraArgs={"TaggingDirective": "REPLACE"},
                )
            else:
                with source.open(key) as stream:
                    self._client.upload_fileobj(stream, self._bucket, self._prefix + target)
        except (BotoCoreError, ClientError) as error:
            raise self._failure(target, error) from error

    def _etag(self, key: str) -> str:
        return self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)["ETag"]

    def _failure(self, key: str, error: Exception) -> CurationError:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in _MISSING:
            return CurationError(f"{self.uri}{key}: There is no such object.")
        return CurationError(f"{self.uri}{key}: S3 says: {error}")
