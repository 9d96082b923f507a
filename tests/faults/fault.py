"""Mistakes as data: what is changed where, and why it would matter."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.cut_out import Template

DROPPED: Final = object()
"""In the place of a value: the property is taken away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fault:
    """A mistake. ``name`` says what is changed, ``why`` what it would cost."""

    name: str
    why: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateFault(Fault):
    """A property of the first resource of ``kind`` in ``stack`` that becomes ``value``.

    ``path`` leads to it from the resource, with numbers for places in lists. ``prefix`` is how the
    logical id begins. ``added`` are resources that the mistake brings with it.
    """

    stack: str
    kind: str
    path: tuple[str | int, ...]
    value: Any
    prefix: str = ""
    added: Mapping[str, Any] | None = None

    def target(self, template: Template) -> str:
        """Return the logical id of the resource that is changed."""
        resources: Mapping[str, Any] = template["Resources"]
        return next(
            logical_id
            for logical_id, resource in resources.items()
            if resource["Type"] == self.kind and logical_id.startswith(self.prefix)
        )

    def planted(self, template: Template, target: str) -> Template:
        """Return the template with the mistake."""
        changed: dict[str, Any] = deepcopy(dict(template))
        changed["Resources"] |= deepcopy(dict(self.added or {}))
        holder: Any = changed["Resources"][target]
        *way, last = self.path
        for step in way:
            holder = holder[step]
        if self.value is DROPPED:
            del holder[last]
        elif isinstance(holder, list) and last == len(holder):
            holder.append(self.value)
        else:
            holder[last] = self.value
        return changed


@dataclass(frozen=True, kw_only=True, eq=False)
class FileFault(Fault):
    """A line of an environment's file that becomes another."""

    environment: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectFault(Fault):
    """A change to the first object of ``kind`` in a cluster whose name contains ``named``.

    Without a kind, ``change`` is given the cluster's contents instead of an object's body.
    """

    environment: str
    kind: str
    change: Callable[[Any], Any]
    named: str = ""
    needs_crds: bool = False
    """Whether the schema of a CRD alone refuses it; see ``KUBERNETES_CRDS`` in docs/eks.md."""
