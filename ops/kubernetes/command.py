"""``python -m ops kubernetes``: check what goes into the clusters, without a cluster."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from llm_constructs.specs.eks import KUBERNETES_VERSIONS
from llm_constructs.specs.problem import Problems
from ops.kubernetes.chart_files import ChartFiles, fetch_all
from ops.kubernetes.consistency import problems_of
from ops.kubernetes.contents import AppliedObject, ClusterContents, clusters
from ops.kubernetes.helm import Helm
from ops.synthesis import ROOT

if TYPE_CHECKING:
    from ops.kubernetes.object_schemas import ObjectSchemas

CHARTS_FOLDER = ROOT / "charts"
LOCK = ROOT / "charts.lock.json"
"""Digests of the charts' archives; it belongs under version control, and the charts need not."""


def charts(
    folder: Annotated[Path, typer.Option(help="Where the charts go.")] = CHARTS_FOLDER,
) -> None:
    """Fetch every pinned chart, and hold it to the digest in charts.lock.json.

    For networks without a way out, whose charts are files, and for `ops kubernetes`, which renders
    them. Ends with 1, and a sentence for each, where some could not be fetched.
    """
    problems = Problems("charts")
    files = ChartFiles(folder, LOCK)
    there = fetch_all(files, Helm(KUBERNETES_VERSIONS[-1]), problems)
    fetched = sum(there.values())
    Console().print(
        f"{fetched} charts fetched, {len(there) - fetched} were there.", highlight=False
    )
    problems.raise_if_any()


def kubernetes(
    output: Annotated[Path, typer.Option(help="Folder of the cloud assembly.")] = ROOT / "cdk.out",
    crds: Annotated[
        Path | None,
        typer.Option(help="Folder of CRDs. Left out: that of KUBERNETES_CRDS, if it is set."),
    ] = None,
    charts: Annotated[Path, typer.Option(help="Folder of charts to render.")] = CHARTS_FOLDER,
) -> None:
    """Validate every Kubernetes object of the assembly, and whether all of them fit together.

    Charts whose files are there are rendered with their values, and their objects take part. Ends
    with a table of the clusters, and 1 where something does not fit.
    """
    # The schemas' readers are for this command alone.
    from ops.kubernetes.object_schemas import CRD_SOURCES, ObjectSchemas

    folder = crds or (Path(named) if (named := os.environ.get("KUBERNETES_CRDS")) else None)
    files = sorted(folder.glob("*.yaml")) if folder else []
    problems = Problems("kubernetes")
    table = Table("cluster", title_justify="left")
    for name in ("objects", "charts rendered", "validated", "without a schema"):
        table.add_column(name, justify="right")
    unchecked: list[AppliedObject] = []
    schemas = ObjectSchemas(files)
    chart_files = ChartFiles(charts, LOCK)
    for found in clusters(output):
        contents, definitions = chart_files.rendered(found, Helm(found.version), problems)
        schemas.add(definitions)
        left = _check(contents, schemas, problems)
        unchecked += left
        made = len(contents.objects)
        rendered = sum(release.rendered for release in contents.releases)
        row = (made, f"{rendered} of {len(contents.releases)}", made - len(left), len(left))
        table.add_row(contents.name, *map(str, row))
    console = Console()
    console.print(table)
    for group in sorted({made.group for made in unchecked}):
        kinds = sorted({made.kind for made in unchecked if made.group == group})
        source = CRD_SOURCES.get(group, "nobody knows where")
        console.print(
            f"{', '.join(kinds)}: the schema comes from {source}.", highlight=False, soft_wrap=True
        )
    problems.raise_if_any()


def _check(
    contents: ClusterContents, schemas: "ObjectSchemas", problems: Problems
) -> tuple[AppliedObject, ...]:
    left = schemas.check(contents, problems)
    for problem in problems_of(contents):
        problems.add(
            f"{contents.name}: {problem.field}", problem.value, problem.reason, problem.remedy
        )
    return left
