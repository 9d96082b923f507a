"""The stage that reads a shard and divides it into documents and rejected records."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import zstandard

from curation.fingerprint import fingerprint_of
from curation.normalisation import normalised
from curation.personal_data import treated
from curation.plan import Plan, Shard
from curation.quality import Document, assess
from curation.reason import Reason, Rejection
from curation.rules import Rules
from curation.shard_reader import Line, UnreadableShardError, lines_of
from curation.storage import Storage, digest_of
from curation.workspace import Workspace

_LEVEL: Final = 3
"""zstd's own default: twice the compression of the next faster one."""

_KEPT_OF_RECORD: Final = 1 << 16
"""Bytes of a rejected record that the quarantine keeps."""


def filter_step(shard: Shard) -> str:
    """Return the name of the step that filters a shard."""
    return f"filter-{shard.label}"


def curated(line: Line, rules: Rules) -> str | Rejection:
    """Return the text of a record as it will be published, or why it will not be."""
    text = _text_of(line)
    if isinstance(text, Rejection):
        return text
    text = normalised(text)
    rejection = assess(Document(text), rules)
    return rejection or treated(text, rules)


def filter_shard(
    plan: Plan,
    shard: Shard,
    *,
    source: Storage,
    workspace: Workspace,
    rejected: Storage,
    scratch: Path,
) -> dict[str, Any]:
    """Filter one shard unless that is done, and return the outcome.

    Documents and fingerprints go to the workspace, rejected records with their reasons to
    ``rejected``. A shard whose bytes cannot be read goes there as a whole and gives no document.
    """
    done = workspace.outcome(filter_step(shard))
    if done is not None:
        return done
    with _Sorting.into(scratch) as sorting:
        unreadable = _read(sorting, plan, shard, source)
    outcome = _outcome(sorting, unreadable)
    if unreadable is not None:
        entry = {"shard": shard.key, "reason": "unreadable-shard", "detail": unreadable}
        sorting.rejected_path.write_bytes(zstandard.compress(_json_line(entry), _LEVEL))
    else:
        outcome["documents"] = workspace.store(sorting.documents_path, ".jsonl.zst").as_dict()
        outcome["fingerprints"] = workspace.store(
            sorting.fingerprints_path, ".fingerprints"
        ).as_dict()
    if unreadable is not None or sorting.rejections:
        _quarantine(rejected, plan, shard, sorting.rejected_path)
    workspace.finish(filter_step(shard), outcome)
    return outcome


def _read(sorting: "_Sorting", plan: Plan, shard: Shard, source: Storage) -> str | None:
    """Sort every record, and return why the shard cannot be read, ``None`` where it can."""
    try:
        with source.open(shard.key, shard.version) as stream:
            for line in lines_of(shard.key, stream, plan.rules.maximum_record_bytes):
                sorting.add(plan, shard, line)
    except UnreadableShardError as error:
        return str(error)
    return None


def _outcome(sorting: "_Sorting", unreadable: str | None) -> dict[str, Any]:
    if unreadable is not None:
        return {"unreadable": unreadable, "records": 0, "kept": 0, "rejected": {}}
    return {
        "records": sorting.records,
        "kept": sorting.records - sorting.rejections.total(),
        "rejected": dict(sorting.rejections),
    }


def _text_of(line: Line) -> str | Rejection:
    if not line.whole:
        return Rejection(Reason.RECORD_TOO_LARGE, "the line exceeds maximum_record_bytes")
    try:
        record = json.loads(line.content)
    # Nesting deeper than Python's stack is no JSON that anybody wrote.
    except (ValueError, RecursionError) as error:
        return Rejection(Reason.NOT_JSON, type(error).__name__)
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str):
        return Rejection(Reason.NO_TEXT, "there is no string called text")
    return text


def _quarantine(rejected: Storage, plan: Plan, shard: Shard, path: Path) -> None:
    with path.open("rb") as stream:
        digest = digest_of(stream)
    rejected.upload(path, f"{plan.run}/{shard.label}-{digest[:16]}.jsonl.zst")


@dataclass
class _Sorting:
    """Three files that grow with the records of a shard."""

    folder: Path
    _: KW_ONLY
    documents: zstandard.ZstdCompressionWriter
    fingerprints: BinaryIO
    rejected: zstandard.ZstdCompressionWriter
    records: int = 0
    rejections: "Counter[str]" = field(default_factory=Counter)

    @classmethod
    @contextmanager
    def into(cls, folder: Path) -> Iterator["_Sorting"]:
        """Open the files and close them at the end."""
        names = ("documents", "fingerprints", "rejected")
        with ExitStack() as stack:
            documents, fingerprints, rejected = (
                stack.enter_context((folder / name).open("wb")) for name in names
            )
            yield cls(
                folder,
                documents=stack.enter_context(_compressed(documents)),
                fingerprints=fingerprints,
                rejected=stack.enter_context(_compressed(rejected)),
            )

    @property
    def documents_path(self) -> Path:
        """The documents as compressed JSON Lines."""
        return self.folder / "documents"

    @property
    def fingerprints_path(self) -> Path:
        """The documents' fingerprints, in the same order."""
        return self.folder / "fingerprints"

    @property
    def rejected_path(self) -> Path:
        """The rejected records with their reasons as compressed JSON Lines."""
        return self.folder / "rejected"

    def add(self, plan: Plan, shard: Shard, line: Line) -> None:
        """Write one record to where it belongs."""
        self.records += 1
        result = curated(line, plan.rules)
        if isinstance(result, str):
            document = {"id": f"{shard.index}:{line.number}", "text": result}
            self.documents.write(_json_line(document))
            self.fingerprints.write(line.number.to_bytes(8, "little"))
            self.fingerprints.write(fingerprint_of(result, plan.rules))
            return
        self.rejections[result.reason.value] += 1
        record = line.content[:_KEPT_OF_RECORD].decode(errors="backslashreplace")
        self.rejected.write(
            _json_line(
                {
                    "shard": shard.key,
                    "line": line.number,
                    "reason": result.reason.value,
                    "detail": result.detail,
                    "record": record,
                }
            )
        )


def _compressed(file: BinaryIO) -> zstandard.ZstdCompressionWriter:
    return zstandard.ZstdCompressor(_LEVEL).stream_writer(file, closefd=False)


def _json_line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"
