"""Templates of single constructs, as plain dictionaries."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk

from stacks.platform import CDK_JSON, REPRODUCIBLE, flags_of

ENVIRONMENT = cdk.Environment(account="111111111111", region="us-east-2")
ZONES = ["us-east-2a", "us-east-2b", "us-east-2c"]

Resource = dict[str, Any]


class Template:
    """The resources of one synthesised stack."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.resources: dict[str, Resource] = body.get("Resources", {})

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Return the resources of one type by logical id."""
        return {key: res for key, res in self.resources.items() if res["Type"] == kind}

    def properties(self, kind: str) -> list[dict[str, Any]]:
        """Return the properties of each resource of one type."""
        return [resource.get("Properties", {}) for resource in self.of_type(kind).values()]

    def only(self, kind: str) -> dict[str, Any]:
        """Return the properties of the one resource of its type."""
        (properties,) = self.properties(kind)
        return properties


def app() -> cdk.App:
    """Return an app with the project's feature flags and zones, and no checks."""
    zones = {"availability-zones:account=111111111111:region=us-east-2": ZONES}
    return cdk.App(context={**flags_of(CDK_JSON), **REPRODUCIBLE, **zones})


def synthesised(build: Callable[[cdk.Stack], object]) -> Template:
    """Return the template of a stack that ``build`` fills."""
    root = app()
    stack = cdk.Stack(root, "Test", env=ENVIRONMENT)
    build(stack)
    return Template(root.synth().get_stack_by_name("Test").template)
