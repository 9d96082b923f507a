"""The whole job on one machine, and what it left."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from curation import cli
from curation.storage import Storage, open_storage, read
from tests.jobs.curation.corpus import RULES, write_corpus, write_tokenizer


@dataclass(frozen=True)
class Laptop:
    """Addresses of a run: folders by default, prefixes of a bucket where ``root`` is one."""

    root: str
    rules: dict[str, Any] = field(default_factory=lambda: dict(RULES))
    source: str = "input"

    @classmethod
    def with_corpus(cls, folder: Path) -> "Laptop":
        """Write the sample corpus and the tokenizer into a folder and stand in it."""
        write_corpus(folder / "input")
        write_tokenizer(folder / "tokenizer.json")
        return cls(str(folder))

    def storage(self, name: str) -> Storage:
        return open_storage(f"{self.root}/{name}")

    def arguments(self, name: str = "test") -> tuple[str, ...]:
        """Return what ``curation.cli.run`` takes."""
        places = (f"{self.root}/{it}" for it in (self.source, "tokenizer.json", "rejected"))
        source, tokenizer, rejected = places
        output, rules = f"{self.root}/datasets", json.dumps(self.rules)
        return f"{self.root}/curated", name, source, tokenizer, rejected, output, rules

    def run(self, name: str = "test") -> "Dataset":
        cli.run(*self.arguments(name))
        return self.dataset()

    def dataset(self) -> "Dataset":
        """Return the one dataset that was published."""
        datasets = self.storage("datasets")
        (key,) = (it.key for it in datasets.objects() if it.key.endswith("/manifest.json"))
        return Dataset(open_storage(f"{datasets.uri}{key.rpartition('/')[0]}"))

    def rejected(self) -> list[dict[str, Any]]:
        """Return what is in the quarantine."""
        quarantine = self.storage("rejected")
        return [
            entry
            for found in quarantine.objects()
            for entry in json_lines(read(quarantine, found.key))
        ]


@dataclass(frozen=True)
class Dataset:
    """A published dataset, read as somebody who trains would."""

    storage: Storage

    @property
    def manifest_bytes(self) -> bytes:
        return read(self.storage, "manifest.json")

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.manifest_bytes)
        return manifest

    def objects(self, kind: str) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Return each shard with its object of one kind."""
        for shard in self.manifest["shards"]:
            for it in shard["objects"]:
                if it["name"].startswith(kind):
                    yield shard, read(self.storage, it["name"])

    def documents(self) -> dict[tuple[str, int], list[int]]:
        """Return the tokens of each document by shard and line."""
        arrays = {shard["input"]["key"]: array(body) for shard, body in self.objects("tokens")}
        return {
            (shard["input"]["key"], int(line)): arrays[shard["input"]["key"]]
            .reshape(-1)[first : first + count]
            .tolist()
            for shard, body in self.objects("index")
            for line, first, count in array(body).tolist()
        }

    def duplicates(self) -> dict[tuple[str, int], str]:
        """Return for each duplicate, by shard and line, the id of what was kept."""
        return {
            (shard["input"]["key"], entry["line"]): entry["of"]
            for shard, body in self.objects("duplicates")
            for entry in json_lines(body)
        }


def array(body: bytes) -> "np.ndarray[Any, Any]":
    loaded: np.ndarray[Any, Any] = np.load(io.BytesIO(body), allow_pickle=False)
    return loaded


def json_lines(body: bytes) -> list[dict[str, Any]]:
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)).read()
    return [json.loads(line) for line in text.splitlines()]
