"""A synthesised cloud assembly: its stacks and what the checks said of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
REPORT = "validation-report.json"


class AssemblyError(Exception):
    """There is no assembly to read; the message says what to do."""


@dataclass(frozen=True)
class SynthesisedStack:
    """One stack of an assembly."""

    name: str
    account: str
    region: str
    template_file: Path
    dependencies: tuple[str, ...]
    """Stacks that are deployed before this one."""
    termination_protection: bool

    @property
    def partition(self) -> str:
        """The partition of the region, of those that configurations may name."""
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    @property
    def template(self) -> dict[str, Any]:
        """The CloudFormation template."""
        template: dict[str, Any] = json.loads(self.template_file.read_text(encoding="utf-8"))
        return template


@dataclass(frozen=True)
class Finding:
    """What a check said about one construct; ``reason`` is set when it was acknowledged."""

    plugin: str
    rule: str
    construct_path: str
    severity: str
    reason: str | None

    @property
    def stack(self) -> str:
        """The name of the stack that holds the construct."""
        return self.construct_path.split("/", 1)[0]


def stacks(directory: Path) -> tuple[SynthesisedStack, ...]:
    """Return the stacks of the assembly in ``directory``, in the order of deployment.

    Raises :class:`AssemblyError` where there is none.
    """
    manifest = directory / MANIFEST
    if not manifest.exists():
        raise AssemblyError(f"{directory}: There is no cloud assembly here. Run `make synth`.")
    artifacts = json.loads(manifest.read_text(encoding="utf-8"))["artifacts"]
    return tuple(
        SynthesisedStack(
            name=name,
            # An environment is written aws://ACCOUNT/REGION.
            account=artifact["environment"].split("/")[2],
            region=artifact["environment"].rsplit("/", 1)[-1],
            template_file=directory / artifact["properties"]["templateFile"],
            dependencies=tuple(artifact.get("dependencies", ())),
            termination_protection=artifact["properties"].get("terminationProtection", False),
        )
        for name, artifact in artifacts.items()
        if artifact["type"] == "aws:cloudformation:stack"
    )


def findings(directory: Path) -> tuple[Finding, ...]:
    """Return every finding of the assembly's checks, acknowledged or not.

    An assembly without a report had no findings at all.
    """
    report = directory / REPORT
    if not report.exists():
        return ()
    plugins = json.loads(report.read_text(encoding="utf-8"))["pluginReports"]
    return tuple(finding for plugin in plugins for finding in _findings_of(plugin))


def _findings_of(plugin: dict[str, Any]) -> Iterator[Finding]:
    for key in ("violations", "suppressedViolations"):
        for violation in plugin.get(key, ()):
            for construct in violation["violatingConstructs"]:
                yield Finding(
                    plugin=plugin["pluginName"],
                    rule=violation["ruleName"],
                    construct_path=construct.get("constructPath", ""),
                    severity=violation.get("severity", "warning"),
                    reason=violation.get("reason"),
                )
