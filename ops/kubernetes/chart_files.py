"""The files of pinned charts: fetched once, held to their digests, and rendered."""

import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from llm_constructs.specs.controller_charts import CHARTS
from llm_constructs.specs.helm_chart import HelmChart
from llm_constructs.specs.problem import Problems
from ops.kubernetes.chart_values import check_values
from ops.kubernetes.contents import ChartRelease, ClusterContents
from ops.kubernetes.helm import Helm, HelmError, digest

CLUSTER_SCOPED: Final = frozenset(
    {
        *("APIService", "CSIDriver", "ClusterRole", "ClusterRoleBinding", "ClusterQueue"),
        *("ClusterTriggerAuthentication", "CustomResourceDefinition", "DeviceClass"),
        *("EC2NodeClass", "IngressClass", "IngressClassParams", "MutatingAdmissionPolicy"),
        *("MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "Namespace"),
        *("NodeClass", "NodePool", "PersistentVolume", "PriorityClass", "ResourceFlavor"),
        *("RuntimeClass", "StorageClass", "ValidatingAdmissionPolicy"),
        *("ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"),
        "WorkloadPriorityClass",
    }
)
"""Kinds without a namespace; all others are in that of their release unless they say another."""

HOOK: Final = "helm.sh/hook"
"""The annotation of what Helm runs at certain moments and the release does not hold: tests, jobs.
Tests run when somebody asks for them.

https://helm.sh/docs/topics/charts_hooks/
"""


PINNED: Final[Mapping[str, str]] = {chart.name: chart.version for chart in CHARTS}
"""Versions by the names of charts."""


class ChartFiles:
    """The charts in ``folder``, each in a folder named after it and its version.

    ``lock`` is a file of JSON with the digests of their archives; one that it does not know yet is
    added to it as the chart is fetched.
    """

    def __init__(self, folder: Path, lock: Path) -> None:
        self._folder = folder
        self._lock = lock

    def home(self, name: str, version: str) -> Path:
        """Return the folder of one version of a chart, there or not."""
        return self._folder / f"{name}-{version}"

    def fetch(self, chart: HelmChart, helm: Helm) -> bool:
        """Fetch a chart unless it is there; say whether it had to be fetched.

        Raises :class:`HelmError` where that fails, or where its archive is not the locked one.
        """
        home = self.home(chart.name, chart.version)
        if (home / "Chart.yaml").exists():
            return False
        with tempfile.TemporaryDirectory() as folder:
            archive = helm.pull(chart, Path(folder))
            self._hold(chart, digest(archive))
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            self._folder.mkdir(parents=True, exist_ok=True)
            (Path(folder) / chart.name).rename(home)
        return True

    def _hold(self, chart: HelmChart, found: str) -> None:
        known: dict[str, str] = json.loads(self._lock.read_text()) if self._lock.exists() else {}
        key = f"{chart.name}-{chart.version}"
        expected = known.setdefault(key, found)
        if expected != found:
            raise HelmError(
                f"The archive's digest is {found}, and {self._lock.name} has {expected}: somebody "
                "published this version anew. Find out who before you take it."
            )
        self._lock.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def rendered(
        self, contents: ClusterContents, helm: Helm, problems: Problems, *, hooks: bool = False
    ) -> tuple[ClusterContents, list[dict[str, Any]]]:
        """Return the contents with the objects of every chart whose files are here, and their CRDs.
        Charts that are not pinned are taken from the assembly, with which they travel.

        With ``hooks``, those that Helm runs and removes are among them. A chart that refuses its
        values is noted, and values that a pinned chart does not know; those of another are for
        several versions of it.
        """
        definitions: list[dict[str, Any]] = []
        for release in contents.releases:
            home = self._home_of(release)
            if home is None:
                continue
            render = partial(
                helm.render, home, release=release.release, namespace=release.namespace
            )
            try:
                helm.lint(home, release.values)
                text = render(values=release.values)
                kept = helm.definitions(home)
            except HelmError as error:
                problems.add(
                    f"{release.release} of {release.stack}",
                    release.version or None,
                    f"Helm does not take it with the platform's values: {error}",
                    "Correct the values, or the version.",
                )
                continue
            if release.chart in PINNED:
                check_values(release, self._defaults(home), render, problems)
            bodies = list(_objects(text, release.namespace, hooks=hooks))
            definitions += [
                each
                for each in (*bodies, *_documents(kept))
                if each["kind"] == "CustomResourceDefinition"
            ]
            contents = contents.with_rendered(release, bodies)
        return contents, definitions

    def _home_of(self, release: ChartRelease) -> Path | None:
        # A release of a pinned chart from assets is named after its chart; one of a chart that
        # somebody else keeps is known to the assembly alone.
        version = release.version or PINNED.get(release.chart)
        if version is not None:
            home = self.home(release.chart, version)
        elif release.folder is not None:
            home = release.folder
        else:
            return None
        return home if (home / "Chart.yaml").exists() else None

    def _defaults(self, home: Path) -> Mapping[str, Any]:
        import yaml

        file = home / "values.yaml"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return yaml.load(text, Loader=yaml.CSafeLoader) or {}


def _documents(text: str) -> Iterator[dict[str, Any]]:
    import yaml

    for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
        if document:
            yield _without_nulls(document)


def _without_nulls(value: Any) -> Any:
    """Return an object as the API server sees it: fields that templates left empty are not there.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#serialization-of-null-or-empty-arrays-and-objects
    """
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _objects(text: str, namespace: str, *, hooks: bool) -> Iterator[dict[str, Any]]:
    for document in _documents(text):
        moments = (document["metadata"].get("annotations") or {}).get(HOOK, "").split(",")
        if moments != [""] and not (hooks and set(moments) - {"test", "test-success"}):
            continue
        if document["kind"] not in CLUSTER_SCOPED:
            document["metadata"].setdefault("namespace", namespace)
        yield document


def fetch_all(
    files: ChartFiles, helm: Helm, problems: Problems, charts: Iterable[HelmChart] = CHARTS
) -> Mapping[str, bool]:
    """Fetch every pinned chart; return those that are there, and whether they were fetched now.

    Those that could not be fetched are noted.
    """
    there = {}
    for chart in charts:
        try:
            there[chart.name] = files.fetch(chart, helm)
        except HelmError as error:
            problems.add(
                chart.name,
                chart.version,
                f"It could not be fetched from {chart.repository}: {error}",
                "Try again where the registry is reached, or bring the folder from there.",
            )
    return there
