"""What a run leaves between its stages: content-addressed objects, and one record for each step."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from curation.errors import CurationError
from curation.storage import Storage, digest_of, read


def canonical(value: object) -> bytes:
    """Return JSON that is the same for equal values, byte by byte."""
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()


def digest_of_value(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


@dataclass(frozen=True)
class Artifact:
    """An object of a run: where it is below the run's storage, and what it holds."""

    key: str
    sha256: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return asdict(self)


class Workspace:
    """The objects of one run below ``runs/<run>/`` of a storage.

    A step is done when its outcome is recorded. Outcomes hold nothing that depends on when or where
    a step ran, so a step that two workers do at once leaves what one of them would have left.
    """

    def __init__(self, storage: Storage, run: str) -> None:
        self._storage = storage
        self._root = f"runs/{run}"

    @property
    def storage(self) -> Storage:
        """Where the objects lie; an artifact's key leads to it."""
        return self._storage

    def store(self, path: Path, ending: str) -> Artifact:
        """Store a file under a key made of its content."""
        with path.open("rb") as stream:
            digest = digest_of(stream)
        artifact = Artifact(f"{self._root}/objects/{digest}{ending}", digest, path.stat().st_size)
        if self._storage.size(artifact.key) != artifact.size:
            self._storage.upload(path, artifact.key)
        return artifact

    def open(self, artifact: Mapping[str, Any]) -> BinaryIO:
        """Open an artifact as an outcome holds it."""
        return self._storage.open(artifact["key"])

    def outcome(self, step: str) -> dict[str, Any] | None:
        """Return what a step that is done recorded, ``None`` for one that is not."""
        key = self._key(step)
        if self._storage.size(key) is None:
            return None
        recorded: dict[str, Any] = json.loads(read(self._storage, key))
        return recorded

    def required(self, step: str, stage: str) -> dict[str, Any]:
        """Return what a step recorded. Raises :class:`CurationError` with the ``stage`` to run."""
        recorded = self.outcome(step)
        if recorded is None:
            raise CurationError(f"{step}: It is not done yet. Run the stage {stage} first.")
        return recorded

    def finish(self, step: str, outcome: Mapping[str, Any]) -> None:
        """Record that a step is done.

        Raises :class:`CurationError` where it is recorded with another outcome: the same input and
        rules would then have given two results.
        """
        key = self._key(step)
        if not self._storage.create(key, canonical(outcome)) and read(
            self._storage, key
        ) != canonical(outcome):
            raise CurationError(
                f"{self._storage.uri}{key}: Another worker recorded a different outcome of the "
                "same step. Compare the two versions of the image; nothing was published."
            )

    def _key(self, step: str) -> str:
        return f"{self._root}/done/{step}.json"
