"""A stack beside those of the environment, of a test's own."""

import json
from typing import Any
from uuid import uuid4

import pytest


class ProbeStack:
    """A stack of one resource, made as CloudFormation's own clients make one."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._name = f"probe-{uuid4().hex[:8]}"

    def create(self, resource: dict[str, Any], **outputs: Any) -> str:
        """Create a stack; return its state."""
        self._client.create_stack(
            StackName=self._name, TemplateBody=self._template(resource, outputs)
        )
        return self._settled()

    def update(self, resource: dict[str, Any]) -> str:
        """Update the stack; return its state."""
        self._client.update_stack(StackName=self._name, TemplateBody=self._template(resource, {}))
        return self._settled()

    def delete(self) -> None:
        """Delete the stack, where there is one."""
        self._client.delete_stack(StackName=self._name)

    @property
    def physical_id(self) -> str:
        """The resource's id."""
        found = self._client.describe_stack_resources(StackName=self._name)["StackResources"]
        return str(found[0]["PhysicalResourceId"])

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        stack = self._client.describe_stacks(StackName=self._name)["Stacks"][0]
        return {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}

    @property
    def reasons(self) -> str:
        """Why anything failed."""
        events = self._client.describe_stack_events(StackName=self._name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    def _settled(self) -> str:
        for _ in range(600):
            stack = self._client.describe_stacks(StackName=self._name)["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                return str(stack["StackStatus"])
        pytest.fail(f"{self._name} does not settle: {stack['StackStatus']}")

    @staticmethod
    def _template(resource: dict[str, Any], outputs: dict[str, Any]) -> str:
        shown = {name: {"Value": value} for name, value in outputs.items()}
        return json.dumps({"Resources": {"Probe": resource}, "Outputs": shown})
