"""Which resource types of the templates the local cloud emulates, and which it only checks."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ops.assembly import stacks


@dataclass(frozen=True)
class Coverage:
    """The resource types of an assembly, each with the number of its resources."""

    emulated: Counter[str]
    """Behind these an API of the emulator answers."""
    checked: Counter[str]
    """Of these nothing exists but a template that is consistent with the schema."""

    @classmethod
    def of(cls, assembly: Path, emulated_types: Path) -> "Coverage":
        """Compare the templates in ``assembly`` with the list that the emulator writes."""
        known = set(json.loads(emulated_types.read_text(encoding="utf-8")))
        types = Counter(
            resource["Type"]
            for stack in stacks(assembly)
            for resource in stack.template.get("Resources", {}).values()
        )
        emulated = {name for name in types if name in known or name.startswith("Custom::")}
        return cls(
            emulated=Counter({name: types[name] for name in emulated}),
            checked=Counter({name: types[name] for name in types if name not in emulated}),
        )
