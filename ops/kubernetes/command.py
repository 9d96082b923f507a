"""``python -m ops kubernetes``: check what goes into the clusters, without a cluster."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from llm_constructs.specs.problem import Problems
from ops.kubernetes.consistency import problems_of
from ops.kubernetes.contents import AppliedObject, ClusterContents, clusters
from ops.synthesis import ROOT

if TYPE_CHECKING:
    from ops.kubernetes.object_schemas import ObjectSchemas


def kubernetes(
    output: Annotated[Path, typer.Option(help="Folder of the cloud assembly.")] = ROOT / "cdk.out",
    crds: Annotated[
        Path | None,
        typer.Option(help="Folder of CRDs. Left out: that of KUBERNETES_CRDS, if it is set."),
    ] = None,
) -> None:
    """Validate every Kubernetes object of the assembly, and whether all of them fit together.

    Ends with a table of the clusters, and 1 where something does not fit.
    """
    # The schemas' readers are for this command alone.
    from ops.kubernetes.object_schemas import CRD_SOURCES, ObjectSchemas

    folder = crds or (Path(named) if (named := os.environ.get("KUBERNETES_CRDS")) else None)
    files = sorted(folder.glob("*.yaml")) if folder else []
    problems = Problems("kubernetes")
    table = Table("cluster", title_justify="left")
    for name in ("objects", "charts", "validated", "without a schema"):
        table.add_column(name, justify="right")
    unchecked: list[AppliedObject] = []
    schemas = ObjectSchemas(files)
    for contents in clusters(output):
        left = _check(contents, schemas, problems)
        unchecked += left
        made = len(contents.objects)
        row = (made, len(contents.releases), made - len(left), len(left))
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
