"""A stack beside those of the environment, of a test's own."""

import json
import threading
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

LONGEST_SECONDS = 300
"""How long a stack may take: functions of its resources start on a machine with much to do."""


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
        """Delete the stack, where there is one, and return once it is gone."""
        self._client.delete_stack(StackName=self._name)
        with suppress(ClientError):
            state = self._settled()
            if state != "DELETE_COMPLETE":
                pytest.fail(f"{self._name} is not deleted: {state}")

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
        deadline, pause = time.monotonic() + LONGEST_SECONDS, threading.Event()
        while True:
            stack = self._client.describe_stacks(StackName=self._name)["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                return str(stack["StackStatus"])
            if time.monotonic() > deadline:
                pytest.fail(f"{self._name} does not settle: {stack['StackStatus']}")
            pause.wait(0.02)

    @staticmethod
    def _template(resource: dict[str, Any], outputs: dict[str, Any]) -> str:
        shown = {name: {"Value": value} for name, value in outputs.items()}
        return json.dumps({"Resources": {"Probe": resource}, "Outputs": shown})
