"""The CDK app: ``cdk synth -c env=prod``, or ``python app.py -c env=prod`` from any directory."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# constructs/ is a source root, like src/; the package in it is llm_constructs (docs/adr/0002).
sys.path.insert(0, str(Path(__file__).parent / "constructs"))

from config.node import use_packaged_node

ROOT = Path(__file__).parent

DEFAULT_ENVIRONMENT = "dev"
"""A bare ``cdk deploy --all`` must never reach production."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Synthesise the environment that the context names; return the process's exit code."""
    use_packaged_node()
    # After use_packaged_node: these import jsii, which starts Node.
    from config import ConfigError, load_selected
    from llm_constructs.specs.problem import SpecificationError
    from stacks.platform import build_app

    context = {**_context_of_the_cdk(), **_context_of(arguments)}
    try:
        environments = load_selected(str(context.get("env", DEFAULT_ENVIRONMENT)))
        build_app(environments, outdir=Path(os.environ.get("CDK_OUTDIR", ROOT / "cdk.out"))).synth()
    except (ConfigError, SpecificationError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except RuntimeError as error:
        # jsii raises nothing more specific. The CDK has already printed the findings.
        if "ValidationFailed" not in str(error):
            raise
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _context_of_the_cdk() -> dict[str, object]:
    """Return what the CDK command line was given with ``-c``.

    The CDK hands context over in an environment variable, or, when it is long, in a file:
    https://github.com/aws/aws-cdk-cli (``CDK_CONTEXT_JSON``, ``CONTEXT_OVERFLOW_LOCATION``).
    """
    overflow = os.environ.get("CONTEXT_OVERFLOW_LOCATION")
    context: dict[str, object] = json.loads(os.environ.get("CDK_CONTEXT_JSON", "{}"))
    if overflow:
        context |= json.loads(Path(overflow).read_text(encoding="utf-8"))
    return context


def _context_of(arguments: Sequence[str] | None) -> dict[str, str]:
    parser = argparse.ArgumentParser(description="Synthesise the platform into cdk.out.")
    parser.add_argument(
        "-c",
        "--context",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="for example env=prod; env=all synthesises every environment (default: env=dev)",
    )
    pairs: list[str] = parser.parse_args(arguments).context
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        parser.error(f"{', '.join(wrong)}: context is KEY=VALUE, for example -c env=prod")
    return dict(pair.split("=", 1) for pair in pairs)


if __name__ == "__main__":
    sys.exit(main())
