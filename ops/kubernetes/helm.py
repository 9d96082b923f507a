"""Helm, as the functions that install charts run it."""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from llm_constructs.kubectl_package import helm
from llm_constructs.specs.helm_chart import HelmChart

SECONDS: Final = 60
"""That Helm may take for one chart, which is small."""


class HelmError(RuntimeError):
    """Helm refused; the message is its own."""


@dataclass(frozen=True)
class Helm:
    """The Helm of one version of Kubernetes, out of the package of the kubectl functions."""

    kubernetes_version: str

    def pull(self, chart: HelmChart, folder: Path) -> Path:
        """Fetch the archive of a chart into ``folder`` and return it.

        Raises :class:`HelmError` where its registry is not reached or has no such version.
        """
        source = (
            [chart.repository]
            if chart.repository.startswith("oci://")
            else [chart.name, "--repo", chart.repository]
        )
        self._run("pull", *source, "--version", chart.version, "--destination", str(folder))
        (archive,) = folder.glob("*.tgz")
        return archive

    def lint(self, folder: Path, values: Mapping[str, Any]) -> None:
        """Raise :class:`HelmError` for a chart that is none, or that refuses ``values``.

        Warnings pass, for they are about how its authors wrote it: a version that begins with `v`
        is one, and that of the EFA plugin does.
        """
        with _written(values) as file:
            self._run("lint", str(folder), "--values", file)

    def render(
        self, folder: Path, *, release: str, namespace: str, values: Mapping[str, Any]
    ) -> str:
        """Return the YAML of what a release would apply, without :meth:`definitions`.

        Raises :class:`HelmError` for values that the chart refuses.
        """
        with _written(values) as file:
            return self._run(
                *("template", release, str(folder), "--namespace", namespace),
                *("--values", file, "--kube-version", f"v{self.kubernetes_version}.0"),
            )

    def definitions(self, folder: Path) -> str:
        """Return the YAML of the CRDs that Helm installs where they are not there yet.

        They lie in the chart's folder ``crds``, belong to no release, and are never upgraded:
        https://helm.sh/docs/chart_best_practices/custom_resource_definitions/
        """
        return self._run("show", "crds", str(folder))

    def _run(self, *arguments: str) -> str:
        with tempfile.TemporaryDirectory() as home:
            try:
                result = subprocess.run(
                    [str(helm(self.kubernetes_version)), *arguments],
                    # Its own settings, so that nobody's repositories and plug-ins take part.
                    env={
                        "HOME": home,
                        "HELM_CACHE_HOME": home,
                        "HELM_CONFIG_HOME": home,
                        "HELM_DATA_HOME": home,
                    },
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=SECONDS,
                )
            except subprocess.TimeoutExpired:
                raise HelmError(f"Helm gave no answer within {SECONDS} seconds.") from None
        if result.returncode != 0:
            lines = [*result.stdout.splitlines(), *result.stderr.splitlines()]
            # The linter writes what is wrong to its output, and only a count to its errors.
            told = [
                line for mark in ("[ERROR] ", "Error: ") for line in lines if line.startswith(mark)
            ] or lines[-1:]
            raise HelmError(told[0] if told else f"Helm ended with {result.returncode}.")
        return result.stdout


@contextmanager
def _written(values: Mapping[str, Any]) -> Iterator[str]:
    """Write values into a file that is there for the length of a block."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "values.json"
        # JSON is YAML.
        file.write_text(json.dumps(values), encoding="utf-8")
        yield str(file)


def digest(archive: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(archive.read_bytes()).hexdigest()
