"""What the five rule packs, the audit of acknowledgements and cfn-lint say of a stack."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aws_cdk as cdk

from stacks.checks import add_checks
from stacks.platform import CDK_JSON, REPRODUCIBLE, flags_of
from tests.constructs.synthesis import ENVIRONMENT


def open_findings(build: Callable[[cdk.Stack], object], outdir: Path) -> set[str]:
    """Return the findings on the stack that ``build`` fills which nobody acknowledged.

    Each is a rule with the construct that breaks it. The project's feature flags are on.
    """
    app = cdk.App(outdir=str(outdir), context={**flags_of(CDK_JSON), **REPRODUCIBLE})
    add_checks(app)
    build(cdk.Stack(app, "Test", env=ENVIRONMENT))
    with contextlib.suppress(RuntimeError):  # what a finding makes of the synthesis
        app.synth()
    report = json.loads((outdir / "validation-report.json").read_text())
    return {
        f"{violation['ruleName']} on {where.get('constructPath')}"
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for where in violation["violatingConstructs"]
    }


def lint_findings(outdir: Path) -> str:
    """Return what cfn-lint says of the template that :func:`open_findings` left in ``outdir``.

    Warnings are left to ``make lint-templates``.
    """
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W"]
    command += ["--regions", str(ENVIRONMENT.region), "--", str(outdir / "Test.template.json")]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
