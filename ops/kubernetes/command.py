"""``python -m ops kubernetes`` and what belongs to it: look at clusters without a cluster."""

import os
from collections.abc import Iterable
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
from ops.kubernetes.images import ClusterImage, Way, check_images, images_of, open_charts
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


def images(
    output: Annotated[Path, typer.Option(help="Folder of the cloud assembly.")] = ROOT / "cdk.out",
    charts: Annotated[Path, typer.Option(help="Folder of charts to render.")] = CHARTS_FOLDER,
    *,
    lines: Annotated[
        bool,
        typer.Option(
            "--lines",
            help="Print what is to be brought into the account alone: pull or copy, the name at "
            "the source, and the name in the account, with tabs between them.",
        ),
    ] = False,
) -> None:
    """Name every image that pods of the assembly's clusters run, and where it comes from.

    Images of charts are known whole where their files are there to be rendered. Add-ons of EKS
    bring images of AWS's own, which each region has. Ends with 1 where a cluster that takes its
    images from the account would pull one from elsewhere.
    """
    problems = Problems("images")
    console, notes = Console(), Console(stderr=True, soft_wrap=True, highlight=False)
    chart_files = ChartFiles(charts, LOCK)
    for found in clusters(output):
        contents, _ = chart_files.rendered(found, Helm(found.version), problems, hooks=True)
        needed = images_of(contents)
        if lines:
            for image in needed:
                if image.whole and image.way in (Way.PULL, Way.COPY):
                    typer.echo("\t".join((image.way, image.source, image.name)))
        else:
            console.print(_table_of(contents.name, needed))
        if unknown := [f"{each.release} {each.version}".strip() for each in open_charts(contents)]:
            notes.print(
                f"{contents.name}: {', '.join(unknown)} not in {charts.name}/, and these charts "
                "alone know the rest of their images' names. Fetch them with `python -m ops "
                "charts`."
            )
        check_images(contents, problems)
    problems.raise_if_any()


def _table_of(cluster: str, needed: Iterable[ClusterImage]) -> Table:
    table = Table(title=cluster, title_justify="left")
    for name in ("image", "in the account", "how", "for"):
        table.add_column(name, overflow="fold")
    for image in needed:
        rest = "" if image.whole else " …"
        mirrored = f"{image.name}{rest}" if image.name != image.source else ""
        table.add_row(f"{image.source}{rest}", mirrored, image.way, ", ".join(image.owners))
    return table


def _check(
    contents: ClusterContents, schemas: "ObjectSchemas", problems: Problems
) -> tuple[AppliedObject, ...]:
    left = schemas.check(contents, problems)
    for problem in problems_of(contents):
        problems.add(
            f"{contents.name}: {problem.field}", problem.value, problem.reason, problem.remedy
        )
    return left
