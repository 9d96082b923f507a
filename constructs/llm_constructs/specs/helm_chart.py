"""Helm charts, pinned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class HelmChart:
    """One version of a chart, and the name and namespace of its release.

    ``repository`` is the address of a chart repository, or of the chart itself in an OCI registry
    (``oci://…/name``). ``images`` are the values that name images, by their dotted path: what
    stands there by default, or the registry alone where the chart asks for that. ``secrets`` are
    those that its programs make as they start, and others of its pods wait for.
    """

    name: str
    repository: str
    version: str
    namespace: str
    images: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """The name of the release: the chart's, for nothing is installed twice."""
        return self.name


def merged(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` with ``others`` laid over them, as Helm would."""
    result = dict(values)
    for key, value in others.items():
        known = result.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = merged(known, value) if both and known is not None else value
    return result


def nested(paths: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that ``paths``, dotted, stand for."""
    result: dict[str, Any] = {}
    for path, value in paths.items():
        made: Any = value
        for part in reversed(path.split(".")):
            made = {part: made}
        result = merged(result, made)
    return result
