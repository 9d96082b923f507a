"""``python -m ops``: what people do around ``cdk deploy``."""

import sys
from pathlib import Path

# constructs/ and lambdas/ are source roots (docs/adr/0002).
sys.path.insert(0, str(Path(__file__).parent.parent / "constructs"))
sys.path.insert(0, str(Path(__file__).parent.parent / "lambdas"))

import typer

from config import ConfigError
from llm_constructs.specs.problem import SpecificationError
from ops import keys, usage
from ops.assembly import AssemblyError
from ops.autoscaling.command import autoscaling
from ops.capacity import command as capacity
from ops.deployment_policy import deployment_policy
from ops.diff import diff
from ops.documents import docs
from ops.fabric.command import fabric
from ops.fine_tuning.command import fine_tune
from ops.kubernetes.command import charts, images, kubernetes
from ops.load.command import load
from ops.local.command import app as local
from ops.preflight.command import preflight
from ops.price.command import price
from ops.synthesis import synth
from ops.template_lint import lint_templates

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What people do around `cdk deploy`.",
)
app.command()(synth)
app.command()(diff)
app.command("lint-templates")(lint_templates)
app.command()(kubernetes)
app.command()(charts)
app.command()(images)
app.command()(docs)
app.command("deployment-policy")(deployment_policy)
app.command()(preflight)
app.command()(price)
app.add_typer(capacity.app, name="capacity")
app.command()(fabric)
app.command()(load)
app.command()(autoscaling)
app.command("fine-tune")(fine_tune)
app.add_typer(keys.app, name="keys")
app.add_typer(usage.app, name="usage")
app.add_typer(local, name="local")


def main() -> None:
    """Run the command line; problems of the configuration end it with a sentence each."""
    try:
        app()
    except (AssemblyError, ConfigError, SpecificationError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
