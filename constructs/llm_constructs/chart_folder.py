"""A Helm chart that lies in a folder: whether it is the pinned one, and complete."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_constructs.specs.hyperpod_kubernetes import ChartFolder
from llm_constructs.specs.problem import Problem, Problems, SpecificationError

_BUILD = "Run `helm dependency build` in the folder, read what it fetched, and correct the digest."


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A chart that another one installs, if the value at ``condition`` is true or absent."""

    name: str
    condition: str | None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart in ``folder`` whose files have the checksum ``digest``."""

    folder: Path
    name: str
    version: str
    digest: str
    dependencies: tuple[Dependency, ...]


def pinned_chart(pin: ChartFolder, *, root: Path, name: str) -> Chart:
    """Return the chart called ``name`` in the folder of ``pin``, which is relative to ``root``.

    Raises :class:`SpecificationError` unless the folder holds this very chart at the pinned version
    and checksum, with all that it depends on.
    """
    chart = _read(pin, root / pin.path)
    problems = Problems(f"chart {pin.path}")
    problems.require(
        chart.name == name,
        "path",
        chart.name,
        f"This is not the chart {name}.",
        "Give the folder helm_chart/HyperPodHelmChart of AWS's repository.",
    )
    problems.require(
        chart.version == pin.version,
        "version",
        pin.version,
        f"Chart.yaml says {chart.version}.",
        "Pin that version once its changes have been read, or restore the folder.",
    )
    vendored = set(_vendored(chart.folder))
    missing = [part.name for part in chart.dependencies if not _is_vendored(part.name, vendored)]
    problems.require(
        not missing,
        "path",
        missing,
        "Helm refuses a chart whose dependencies are not in its folder charts, used or not.",
        _BUILD,
    )
    problems.require(
        chart.digest == pin.digest,
        "digest",
        pin.digest,
        f"The files of the folder have {chart.digest}.",
        "Pin that once they have been read, or restore the folder.",
    )
    problems.raise_if_any()
    return chart


def folder_digest(folder: Path) -> str:
    """Return ``sha256:`` and a checksum of the names and contents of all files below ``folder``."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{len(name)} {name} {content}\n".encode())
    return f"sha256:{total.hexdigest()}"


def is_on(values: Mapping[str, Any], condition: str | None) -> bool:
    """Return whether Helm installs a dependency with this ``condition``, by ``values`` alone.

    It does unless a value at one of the paths says otherwise, of which the first counts.
    https://helm.sh/docs/topics/charts/#tags-and-condition-fields-in-dependencies
    """
    for path in (condition or "").split(","):
        found: Any = values
        for key in path.strip().split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, bool):
            return found
    return True


def _read(pin: ChartFolder, folder: Path) -> Chart:
    # Of all that reads an environment, only this needs YAML.
    import yaml

    try:
        content = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unreadable(
            pin, f"Its Chart.yaml cannot be read ({type(error).__name__})."
        ) from error
    if not isinstance(content, dict):
        raise _unreadable(pin, "Its Chart.yaml is no table of keys and values.")
    return Chart(
        folder=folder,
        name=str(content.get("name")),
        version=str(content.get("version")),
        digest=folder_digest(folder),
        dependencies=tuple(
            Dependency(name=str(part.get("name")), condition=part.get("condition"))
            for part in content.get("dependencies") or ()
        ),
    )


def _unreadable(pin: ChartFolder, reason: str) -> SpecificationError:
    remedy = (
        "Put helm_chart/HyperPodHelmChart of https://github.com/aws/sagemaker-hyperpod-cli there, "
        "at a commit that you have read."
    )
    return SpecificationError("chart", [Problem("path", pin.path, reason, remedy)])


def _vendored(folder: Path) -> Iterator[str]:
    # Folders are named as they like; archives as Helm packed them.
    for part in sorted((folder / "charts").glob("*")):
        if part.suffix == ".tgz":
            yield part.stem
        elif (part / "Chart.yaml").is_file():
            text = (part / "Chart.yaml").read_text(encoding="utf-8")
            named = re.search(r"^name:\s*[\"']?([\w.-]+)", text, re.MULTILINE)
            yield named[1] if named else part.name


def _is_vendored(name: str, vendored: Collection[str]) -> bool:
    archive = re.compile(rf"{re.escape(name)}-v?\d")
    return name in vendored or any(archive.match(part) for part in vendored)
