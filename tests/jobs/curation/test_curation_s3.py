"""The same job on S3, behind real HTTP."""

import dataclasses
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from curation import cli
from curation.errors import CurationError
from curation.storage import open_storage
from tests.jobs.curation.conftest import Killer, killer
from tests.jobs.curation.laptop import Laptop

KILLED_AT = 4


@pytest.fixture
def kill() -> Iterator[Killer]:
    with killer() as run:
        yield run


@pytest.fixture
def laptop(emulator: str, tmp_path: Path) -> Laptop:
    """A bucket with the sample corpus and the tokenizer."""
    assert emulator
    bucket = uuid.uuid4().hex
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    on_disk = Laptop.with_corpus(tmp_path / "disk")
    for path in Path(on_disk.root).rglob("*"):
        if path.is_file():
            client.upload_file(str(path), bucket, path.relative_to(on_disk.root).as_posix())
    return dataclasses.replace(on_disk, root=f"s3://{bucket}")


def test_it_publishes_what_a_folder_would_get(laptop: Laptop, tmp_path: Path) -> None:
    local = Laptop(str(tmp_path / "disk")).run()
    in_s3 = laptop.run()
    assert in_s3.documents() == local.documents()
    assert in_s3.manifest["totals"] == local.manifest["totals"]
    cli.verify(in_s3.storage.uri)


def test_killed_before_any_request_and_started_again_it_publishes_the_same(
    laptop: Laptop, kill: Killer
) -> None:
    whole = kill(folder=laptop.root, arguments=laptop.arguments())
    manifest = laptop.dataset().manifest_bytes
    dice = random.Random(20261125)  # noqa: S311 - not for secrets
    events = [
        whole["operations"] - 1,
        *dice.sample(range(1, whole["operations"]), KILLED_AT - 1),
    ]
    for event in events:
        empty(laptop)
        assert kill(folder=laptop.root, arguments=laptop.arguments(), event=event)["signal"] == 9
        assert kill(folder=laptop.root, arguments=laptop.arguments())["signal"] == 0
        assert laptop.dataset().manifest_bytes == manifest


def empty(laptop: Laptop) -> None:
    bucket = boto3.resource("s3").Bucket(laptop.root.removeprefix("s3://"))
    for name in ("curated", "datasets", "rejected"):
        bucket.objects.filter(Prefix=f"{name}/").delete()


def test_of_two_that_create_an_object_one_is_told_that_it_did(laptop: Laptop) -> None:
    storage = laptop.storage("curated")
    assert [storage.create("once", b"first"), storage.create("once", b"second")] == [True, False]
    with storage.open("once") as stream:
        assert stream.read() == b"first"


def test_an_object_that_changed_after_it_was_planned_is_refused(laptop: Laptop) -> None:
    work, name, source, tokenizer, rejected, _, rules = laptop.arguments()
    cli.plan(work, name, source, tokenizer, rules)
    bucket = laptop.root.removeprefix("s3://")
    boto3.client("s3").put_object(Bucket=bucket, Key="input/a.jsonl", Body=b"{}")
    with pytest.raises(CurationError, match=r"input/a\.jsonl: It changed after it was planned"):
        cli.filter_(work, name, rejected)


def test_what_is_missing_is_said_with_its_address(laptop: Laptop) -> None:
    storage = laptop.storage("curated")
    assert storage.size("nothing") is None
    with pytest.raises(CurationError, match="curated/nothing: There is no such object"):
        storage.open("nothing")
    with pytest.raises(CurationError, match=r"S3 says: .*NoSuchBucket"):
        list(open_storage("s3://no-such-bucket-here/x").objects())
