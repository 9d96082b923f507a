"""The stage that makes a dataset of a run: objects first, the manifest last and once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from curation.deduplication import STEP as DEDUPLICATE
from curation.errors import CurationError
from curation.filtering import filter_step
from curation.plan import FORMAT, Plan, Shard, tokenizer_key
from curation.storage import Storage, digest_of, read
from curation.tokenisation import tokenise_step
from curation.workspace import Workspace, canonical

MANIFEST: Final = "manifest.json"

_TOTALS: Final = ("records", "documents", "tokens", "padding", "sequences")


@dataclass(frozen=True)
class _Object:
    """An artifact of the work area with its name in the dataset."""

    name: str
    artifact: Mapping[str, Any]

    def described(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {"name": self.name, "sha256": self.artifact["sha256"], "size": self.artifact["size"]}


def publish(plan: Plan, *, workspace: Workspace, output: Storage) -> dict[str, Any]:
    """Publish the run below ``<run>/`` of ``output`` unless that is done; return the manifest.

    A dataset is what has a manifest. It is written on the condition that there is none, after
    everything that it names, and only if every record of the input is accounted for. It holds no
    date and no place, so the same plan always has the same manifest, byte by byte.

    Raises :class:`CurationError` while stages are missing, where a record is not accounted for, and
    where another manifest is there.
    """
    shards, objects = [], []
    for shard in plan.shards:
        entry, files = _account(shard, workspace)
        shards.append(entry)
        objects += files
    manifest = _manifest(plan, shards, workspace)
    body = canonical(manifest)
    key = f"{plan.run}/{MANIFEST}"
    if output.size(key) is None:
        for it in objects:
            _copy(workspace, output, it.artifact["key"], f"{plan.run}/{it.name}")
        _copy(workspace, output, tokenizer_key(plan), f"{plan.run}/tokenizer.json")
        output.create(key, body)
    if read(output, key) != body:
        raise CurationError(
            f"{output.uri}{key}: Another manifest of the same run is there. Nothing was changed; "
            "find out who wrote it."
        )
    return manifest


def _account(shard: Shard, workspace: Workspace) -> tuple[dict[str, Any], list[_Object]]:
    """Return what the manifest says of a shard, and the objects that it names."""
    filtered = workspace.required(filter_step(shard), "filter")
    duplicates = workspace.required(DEDUPLICATE, "deduplicate")["shards"].get(shard.label, {})
    tokenised = workspace.required(tokenise_step(shard), "tokenise")
    entry = {
        "input": {"key": shard.key, "size": shard.size, "version": shard.version},
        "records": filtered["records"],
        "rejected": filtered["rejected"],
        "duplicates": {kind: duplicates.get(kind, 0) for kind in ("exact", "fuzzy")},
        **{name: tokenised[name] for name in _TOTALS[1:]},
    }
    if "unreadable" in filtered:
        return {**entry, "unreadable": filtered["unreadable"], "objects": []}, []
    check_sums(entry)
    objects = [
        _Object(f"tokens-{shard.label}.npy", tokenised["tokens_file"]),
        _Object(f"index-{shard.label}.npy", tokenised["index_file"]),
    ]
    if "ledger" in duplicates:
        objects.append(_Object(f"duplicates-{shard.label}.jsonl.zst", duplicates["ledger"]))
    return {**entry, "objects": [it.described() for it in objects]}, objects


def check_sums(entry: Mapping[str, Any]) -> None:
    """Raise :class:`CurationError` unless every record of a shard is in exactly one place."""
    accounted = (
        entry["documents"] + sum(entry["rejected"].values()) + sum(entry["duplicates"].values())
    )
    if accounted != entry["records"]:
        raise CurationError(
            f"{entry['input']['key']}: It has {entry['records']} records, and {accounted} are "
            "published, rejected or duplicates. Nothing was published."
        )


def _manifest(plan: Plan, shards: list[dict[str, Any]], workspace: Workspace) -> dict[str, Any]:
    rejected: Counter[str] = Counter()
    duplicates: Counter[str] = Counter()
    for entry in shards:
        rejected.update(entry["rejected"])
        duplicates.update(entry["duplicates"])
    tokenizer_bytes = workspace.storage.size(tokenizer_key(plan))
    return {
        "format": FORMAT,
        "run": plan.run,
        "rules": plan.rules.as_dict(),
        "tools": dict(plan.tools),
        "tokenizer": {"name": "tokenizer.json", "sha256": plan.tokenizer, "size": tokenizer_bytes},
        "ignored": list(plan.ignored),
        "totals": {
            **{name: sum(entry[name] for entry in shards) for name in _TOTALS},
            "rejected": dict(rejected),
            "duplicates": dict(duplicates),
            "shards": len(shards),
            "unreadable_shards": sum("unreadable" in entry for entry in shards),
        },
        "shards": shards,
    }


def _copy(workspace: Workspace, output: Storage, key: str, target: str) -> None:
    size = workspace.storage.size(key)
    if size is None or output.size(target) != size:
        output.copy_from(workspace.storage, key, target)
    if size is None or output.size(target) != size:
        raise CurationError(f"{output.uri}{target}: The copy is not complete. Publish again.")


def verify(dataset: Storage, manifest: Mapping[str, Any]) -> int:
    """Check a published dataset against its manifest, and return the number of objects.

    ``dataset`` is the folder of the manifest. Raises :class:`CurationError` for an object that is
    missing or changed, and for sums that do not agree.
    """
    objects = [manifest["tokenizer"]]
    for entry in manifest["shards"]:
        if "unreadable" not in entry:
            check_sums(entry)
        objects += entry["objects"]
    for it in objects:
        with dataset.open(it["name"]) as stream:
            if digest_of(stream) != it["sha256"]:
                raise CurationError(
                    f"{dataset.uri}{it['name']}: It is not what the manifest names. Do not train "
                    "with it; bring the right version back, or curate again."
                )
    return len(objects)
