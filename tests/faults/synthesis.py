"""The checks of every synthesis over templates that are already written.

``python -m tests.faults.synthesis FOLDER`` reads ``cases.json`` there and leaves the CDK's report
beside it. It is a process of its own because CloudFormation's own rules are switched on when Node
starts, and the other tests leave them out.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.assembly import findings

Found = tuple[str, str, str]

ROOT = Path(__file__).parents[2]
PACKS = frozenset({"AwsSolutions", "HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321", "Serverless"})


def reported(cases: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, set[Found]]:
    """Return what the checks find in each template: the layer, the rule and the place.

    A template that the CDK itself cannot read (a reference to nothing) has no findings here.
    """
    (folder / "cases.json").write_text(json.dumps(cases))
    subprocess.run(
        [sys.executable, "-m", "tests.faults.synthesis", str(folder)],
        cwd=ROOT,
        env={
            **os.environ,
            "CDK_VALIDATION": "true",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "constructs"))),
        },
        capture_output=True,
        check=True,
    )
    found: dict[str, set[Found]] = {name: set() for name in cases}
    for finding in findings(folder / "out"):
        if finding.stack in found:
            layer = "rule packs" if finding.plugin in PACKS else finding.plugin
            place = finding.construct_path.partition("/")[2]
            found[finding.stack].add((LAYERS.get(layer, layer), finding.rule, place))
    return found


LAYERS = {
    "LlmPlatform": "our rules",
    "CloudFormation Validate": "CloudFormation's rules",
}
"""The names of the table by those of the report."""


def _synthesise(folder: Path) -> None:
    import aws_cdk as cdk
    from aws_cdk import cloudformation_include as include

    from stacks.checks import add_checks
    from stacks.platform import CDK_JSON, REPRODUCIBLE, flags_of

    flags = {**flags_of(CDK_JSON), **REPRODUCIBLE}
    app = cdk.App(outdir=str(folder / "out"), context=flags)
    add_checks(app)
    for name, template in json.loads((folder / "cases.json").read_text()).items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(template))
        stack = cdk.Stack(
            app, name, env=cdk.Environment(account="333333333333", region="us-east-2")
        )
        try:
            include.CfnInclude(stack, "Template", template_file=str(file))
        except RuntimeError:
            app.node.try_remove_child(name)
    with contextlib.suppress(RuntimeError):  # what findings make of the synthesis
        app.synth()


if __name__ == "__main__":
    from config.node import use_packaged_node

    use_packaged_node()
    _synthesise(Path(sys.argv[1]))
