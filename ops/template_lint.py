"""``python -m ops lint-templates``: cfn-lint with each region's rules, and the policies."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from ops.assembly import stacks
from ops.permissions.page import PermissionReport

ROOT = Path(__file__).parent.parent

IGNORED = {
    "W3005": "The CDK writes dependencies that references already imply; they do no harm.",
}
"""Rules of cfn-lint that are left out, and why."""


def lint_templates(
    assembly: Annotated[Path, typer.Option(help="Folder of the cloud assembly.")] = ROOT
    / "cdk.out",
) -> None:
    """Check the templates with cfn-lint and the policies with AWS's own list of actions.

    Exits with 1 when either finds anything. docs/permissions.md says what is asked of policies.
    """
    by_region: defaultdict[str, list[str]] = defaultdict(list)
    for stack in stacks(assembly):
        by_region[stack.region].append(str(stack.template_file))
    failed = False
    for region, files in sorted(by_region.items()):
        command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", region]
        for rule in IGNORED:
            command += ["--ignore-checks", rule]
        code = subprocess.run([*command, "--", *files], check=False).returncode
        failed = failed or code != 0
        typer.echo(f"{region}: {len(files)} templates, {'findings above' if code else 'clean'}")
    report = PermissionReport(assembly)
    for problem in (problems := report.problems()):
        typer.echo(problem)
    typer.echo(
        f"policies: {len(report.statements)} statements, "
        f"{'findings above' if problems else 'clean'}"
    )
    if failed or problems:
        raise typer.Exit(1)
