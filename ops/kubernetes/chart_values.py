"""Whether a chart knows the values that it is given: Helm drops the others without a word."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, Protocol

from llm_constructs.specs.helm_chart import merged
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ChartRelease
from ops.kubernetes.helm import HelmError

Path = tuple[str, ...]
"""Keys, one below the other."""

_DRAWN: Final = re.compile(r"[A-Za-z0-9+/=]{100,}")
"""Certificates and keys, which some charts draw anew whenever they are rendered."""


class Rendering(Protocol):
    """A chart that can be rendered; raises :class:`HelmError` for values that it refuses."""

    def __call__(self, *, values: Mapping[str, Any]) -> str:
        """Return what comes of ``values``."""


def check_values(
    release: ChartRelease, defaults: Mapping[str, Any], render: Rendering, problems: Problems
) -> None:
    """Note values of a release that its chart neither has among ``defaults`` nor makes use of."""
    for path in unused_values(release.values, defaults, render):
        problems.add(
            f"{release.release} of {release.stack}",
            ".".join(path),
            "The chart has no such value, and comes out the same without it: what it says does not "
            "happen.",
            _remedy(path, defaults),
        )


def unused_values(
    values: Mapping[str, Any], defaults: Mapping[str, Any], render: Rendering
) -> tuple[Path, ...]:
    """Return the paths of values that neither are among ``defaults`` nor change what is rendered.

    What is among them is taken for known. All else may be under a key whose contents go anywhere,
    such as annotations and resources, or be a value that the chart knows and does not list: it is
    given a word that must then turn up, or is changed alone, which must change something.
    """
    suspects = tuple(_unlisted(values, defaults, ()))
    if not suspects:
        return ()
    words = {path: f"unlisted-{number:04}" for number, path in enumerate(suspects)}
    changed = values
    for path, word in words.items():
        changed = merged(changed, _at(path, word))
    text = _rendered(render, changed)
    silent = [path for path in suspects if text is None or words[path] not in text]
    if not silent:
        return ()
    usual = _rendered(render, values)
    return tuple(
        path
        for path in silent
        if _rendered(render, merged(values, _at(path, _other(_value(values, path))))) == usual
    )


def _unlisted(
    values: Mapping[str, Any], defaults: Mapping[str, Any], above: Path
) -> Iterator[Path]:
    """Yield the path of every single value whose key ``defaults`` do not have."""
    for key, value in values.items():
        path = (*above, key)
        default = defaults.get(key)
        if isinstance(value, Mapping) and value:
            yield from _unlisted(value, default if isinstance(default, Mapping) else {}, path)
        elif key not in defaults:
            yield path


def _other(value: Any) -> Any:
    """Return something of the same kind that is not ``value``."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}-other"
        case Mapping():
            return {"other": "other"}
        case []:
            return ["other"]
    return []


def _rendered(render: Rendering, values: Mapping[str, Any]) -> str | None:
    """Return what comes of values, or ``None`` where the chart refuses them."""
    try:
        return _DRAWN.sub("", render(values=values))
    except HelmError:
        return None


def _at(path: Path, value: Any) -> dict[str, Any]:
    made = value
    for key in reversed(path):
        made = {key: made}
    result: dict[str, Any] = made
    return result


def _value(values: Mapping[str, Any], path: Path) -> Any:
    found: Any = values
    for key in path:
        found = found[key]
    return found


def _remedy(path: Path, defaults: Mapping[str, Any]) -> str:
    for depth, key in enumerate(path):
        if key in defaults:
            below = defaults[key]
            defaults = below if isinstance(below, Mapping) else {}
        elif near := get_close_matches(key, defaults, n=1):
            return f"Give {'.'.join((*path[:depth], near[0], *path[depth + 1 :]))} instead."
        else:
            break
    return "Correct the name by the chart's values.yaml, or remove it."
