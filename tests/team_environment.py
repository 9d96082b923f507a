"""An environment of a test's own, synthesised in its process."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.assembly import REPORT
from ops.kubernetes.contents import ClusterContents, clusters
from stacks.platform import build_app
from tests.constructs.synthesis import Template
from tests.minimal_environment import loaded


class TeamEnvironment:
    """What the environment ``team`` becomes, whose file is ``text``, in ``folder``.

    ``assembly`` is the CDK's, ``directory`` where it lies.
    """

    def __init__(self, text: str, folder: Path) -> None:
        self.directory = folder / "out"
        self.assembly = build_app([loaded(folder, text)], outdir=self.directory).synth()

    @property
    def findings(self) -> list[Any]:
        """What the rule packs and the rules for templates found."""
        report = json.loads((self.directory / REPORT).read_text())
        return [
            violation for plugin in report["pluginReports"] for violation in plugin["violations"]
        ]

    @cached_property
    def contents(self) -> ClusterContents:
        """What comes into its one cluster."""
        (found,) = clusters(self.directory)
        return found

    def template(self, layer: str) -> Template:
        """Return the template of one of its stacks."""
        file = self.directory / f"llm-team-{layer}.template.json"
        return Template(json.loads(file.read_text()))
