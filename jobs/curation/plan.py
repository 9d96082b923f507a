"""What a run is: its input, its rules and its tools, from which its name follows."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from curation.errors import CurationError
from curation.rules import Rules
from curation.shard_reader import SUFFIXES
from curation.storage import Storage, StoredObject, digest_of, open_object, read
from curation.workspace import canonical, digest_of_value

FORMAT: Final = 1
"""Rises when the same input and rules would give other bytes than before."""

TOOLS: Final = ("datasketch", "ftfy", "numpy", "scipy", "tokenizers", "zstandard")
"""Packages whose version decides on the bytes that are published."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Shard:
    """One object of the input, by its place in the order of the keys."""

    index: int
    key: str
    size: int
    version: str

    @property
    def label(self) -> str:
        """The index with five digits, which is how objects are named."""
        return f"{self.index:05d}"


@dataclass(frozen=True)
class Plan:
    """A run. Equal input objects, rules, tokenizer and tools have the same ``run``."""

    rules: Rules
    tokenizer: str
    """The SHA-256 of ``tokenizer.json``."""
    shards: tuple[Shard, ...]
    ignored: tuple[str, ...]
    """Keys of objects that are no shards by their names."""
    tools: Mapping[str, str]

    @property
    def run(self) -> str:
        """The run's name: a hash of everything that decides on its result."""
        return digest_of_value(self.as_dict())[:32]

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "format": FORMAT,
            "rules": self.rules.as_dict(),
            "tokenizer": self.tokenizer,
            "shards": [
                {"key": shard.key, "size": shard.size, "version": shard.version}
                for shard in self.shards
            ],
            "ignored": list(self.ignored),
            "tools": dict(self.tools),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Plan":
        """Return what :meth:`as_dict` wrote."""
        return cls(
            rules=Rules.from_json(json.dumps(stored["rules"])),
            tokenizer=stored["tokenizer"],
            shards=tuple(Shard(index, **shard) for index, shard in enumerate(stored["shards"])),
            ignored=tuple(stored["ignored"]),
            tools=stored["tools"],
        )


@dataclass(frozen=True)
class NamedPlan:
    """A plan with the address of its input, as the later stages find it."""

    plan: Plan
    source: str


def make_plan(work: Storage, name: str, *, source: Storage, tokenizer: str, rules: Rules) -> Plan:
    """Plan the curation of everything in ``source`` and remember it as ``name``.

    Raises :class:`CurationError` for an input without shards, and where ``name`` already stands
    for something else.
    """
    if not _NAME.fullmatch(name):
        raise CurationError(f"name = {name!r}: Use up to 128 letters, digits and . _ -.")
    store, key = open_object(tokenizer)
    with store.open(key) as stream:
        tokenizer_digest = digest_of(stream)
    found = tuple(source.objects())
    shards = [it for it in found if it.key.endswith(SUFFIXES)]
    if not shards:
        raise CurationError(
            f"{source.uri}: There is no object whose name ends in {', '.join(SUFFIXES)}."
        )
    plan = Plan(
        rules=rules,
        tokenizer=tokenizer_digest,
        shards=_numbered(shards),
        ignored=tuple(it.key for it in found if not it.key.endswith(SUFFIXES)),
        tools=tools(),
    )
    work.copy_from(store, key, tokenizer_key(plan))
    work.create(f"runs/{plan.run}/plan.json", canonical(plan.as_dict()))
    _remember(work, name, {"run": plan.run, "source": source.uri})
    return plan


def load_plan(work: Storage, name: str) -> NamedPlan:
    """Return the plan called ``name``.

    Raises :class:`CurationError` where there is none, and where these tools are not those of the
    plan and might give other bytes.
    """
    if work.size(_pointer(name)) is None:
        raise CurationError(
            f"{work.uri}: There is no plan called {name}. Run the stage plan first."
        )
    pointer = json.loads(read(work, _pointer(name)))
    plan = Plan.from_dict(json.loads(read(work, f"runs/{pointer['run']}/plan.json")))
    differing = sorted(tool for tool, its in tools().items() if plan.tools.get(tool) != its)
    if differing:
        raise CurationError(
            f"{name}: It was planned with other versions of {', '.join(differing)}. Finish it with "
            "the image that planned it, or plan again under another name."
        )
    return NamedPlan(plan, pointer["source"])


def tools() -> dict[str, str]:
    """Return the versions of what decides on the bytes."""
    return {tool: version(tool) for tool in TOOLS}


def tokenizer_key(plan: Plan) -> str:
    """Return where the plan's tokenizer lies in the work area."""
    return f"runs/{plan.run}/tokenizer.json"


def _numbered(shards: list[StoredObject]) -> tuple[Shard, ...]:
    return tuple(Shard(index, it.key, it.size, it.version) for index, it in enumerate(shards))


def _pointer(name: str) -> str:
    return f"names/{name}.json"


def _remember(work: Storage, name: str, pointer: Mapping[str, str]) -> None:
    if not work.create(_pointer(name), canonical(pointer)) and read(
        work, _pointer(name)
    ) != canonical(pointer):
        raise CurationError(
            f"{name}: The name stands for another plan: the input, the rules or the tools changed "
            "since, or lie elsewhere. Choose another name."
        )
