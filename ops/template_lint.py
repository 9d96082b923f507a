"""``python -m ops lint-templates``: cfn-lint, with the rules of each stack's own region."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from ops.assembly import stacks

ROOT = Path(__file__).parent.parent

IGNORED = {
    "W3005": "The CDK writes dependencies that references already imply; they do no harm.",
}
"""Rules of cfn-lint that are left out, and why."""


def lint_templates(
    assembly: Annotated[Path, typer.Option(help="Folder of the cloud assembly.")] = ROOT
    / "cdk.out",
) -> None:
    """Check the synthesised templates with cfn-lint; exit with 1 when it finds anything."""
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
    if failed:
        raise typer.Exit(1)
