"""``python -m ops synth``: synthesise with every check on, and say what came out."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from config import ALL
from config.node import packaged_node
from ops.assembly import AssemblyError, findings, stacks
from ops.kubernetes.consistency import check_clusters
from ops.kubernetes.contents import clusters

ROOT = Path(__file__).parent.parent
CLI = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"

TEMPLATE_LIMIT = 1_000_000
"""Bytes. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""

RESOURCE_LIMIT = 500
"""Resources in a template. Same source."""


def synth(
    env: Annotated[str, typer.Option(help="Environment, or `all`.")] = ALL,
    output: Annotated[Path, typer.Option(help="Folder of the cloud assembly.")] = ROOT / "cdk.out",
) -> None:
    """Synthesise with the template validation and every rule pack on, warnings as errors.

    Ends with a table of the stacks, and with the problems of what goes into the clusters, if there
    are any. Exits with the CDK's code when the synthesis fails.
    """
    started = time.perf_counter()
    code = run_cdk("synth", "--strict", "--quiet", "--context", f"env={env}", "--output", output)
    seconds = time.perf_counter() - started
    if code != 0:
        raise typer.Exit(code)
    print_summary(output, seconds)
    check_clusters(clusters(output))


def run_cdk(*arguments: str | Path) -> int:
    """Run the pinned CDK command line on the packaged Node; return its exit code.

    The template validation is on whatever the surroundings say, and nothing leaves the machine:
    no notices, no telemetry, no look-up of credentials.
    """
    node = packaged_node()
    if node is None or not CLI.exists():
        print(  # noqa: T201
            "The CDK command line is not installed. Run `make install`.", file=sys.stderr
        )
        return 1
    python = Path(sys.executable).parent
    environment = {
        **os.environ,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_VALIDATION": "true",
        "PATH": f"{python}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [str(node), str(CLI), *map(str, arguments), "--no-notices"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def print_summary(directory: Path, seconds: float) -> None:
    """Print a table of the stacks of the assembly in ``directory``: what each holds and costs.

    Raises :class:`AssemblyError` where there is no assembly.
    """
    found = findings(directory)
    opened = Counter(finding.stack for finding in found if finding.reason is None)
    accepted = Counter(finding.stack for finding in found if finding.reason is not None)
    table = Table("stack", "region", title_justify="left", show_footer=True)
    for name in ("resources", "KiB", "open findings", "accepted"):
        table.add_column(name, justify="right")
    totals = [0, 0.0, 0, 0]
    for stack in stacks(directory):
        size = stack.template_file.stat().st_size
        resources = len(stack.template.get("Resources", {}))
        _check_limits(stack.name, resources, size)
        row = [resources, size / 1024, opened[stack.name], accepted[stack.name]]
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        table.add_row(stack.name, stack.region, *(f"{value:.0f}" for value in row))
    for column, total in zip(table.columns[2:], totals, strict=True):
        column.footer = f"{total:.0f}"
    table.columns[0].footer = f"{table.row_count} stacks in {seconds:.1f} s"
    Console().print(table)


def _check_limits(name: str, resources: int, size: int) -> None:
    for value, limit, unit in (
        (resources, RESOURCE_LIMIT, "resources"),
        (size, TEMPLATE_LIMIT, "bytes"),
    ):
        if value > limit:
            raise AssemblyError(
                f"{name}: The template has {value} {unit}, and CloudFormation takes {limit}. "
                "Move a part of it into a stack of its own."
            )
