"""The entry point: an event of CDK's provider framework in, the object's identity out."""

import json
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.session

from task_governance.keeper import Keeper
from task_governance.sagemaker_objects import Kind, SageMakerObjects

PAUSES_SECONDS = (2, 3, 5, 10, *(20,) * 27)
"""Between looks at an object that is being changed: 9 minutes in all, of a function's 15."""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer Create, Update and Delete.

    Raises:
        GovernanceError: SageMaker refuses, or fails; the provider framework tells CloudFormation
            the message.
    """
    properties = event["ResourceProperties"]
    objects = SageMakerObjects(_client(), Kind(properties["Kind"]))
    identity = _carry_out(Keeper(objects, pauses=PAUSES_SECONDS), event)
    line = {"kind": properties["Kind"], "request": event["RequestType"], "id": identity}
    sys.stdout.write(json.dumps(line) + "\n")
    return {"PhysicalResourceId": identity}


@cache
def _client() -> Any:
    return botocore.session.get_session().create_client("sagemaker")


def _carry_out(keeper: Keeper, event: Mapping[str, Any]) -> str:
    wanted = _configuration(event["ResourceProperties"])
    match event["RequestType"]:
        case "Create":
            return keeper.create(wanted)
        case "Update":
            old = _configuration(event["OldResourceProperties"])
            return keeper.update(event["PhysicalResourceId"], wanted, old)
        case _:
            keeper.delete(event["PhysicalResourceId"])
            return str(event["PhysicalResourceId"])


def _configuration(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    # JSON within a string: CloudFormation hands over every number and boolean as a string.
    configuration: dict[str, Any] = json.loads(properties["Configuration"])
    return configuration
