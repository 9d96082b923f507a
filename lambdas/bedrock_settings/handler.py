"""The entry point: an event of CDK's provider framework in, the resource's identity out."""

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session

from bedrock_settings.account_settings import DataRetention, InvocationLogging
from bedrock_settings.custody import AccountSetting, Configuration, Custodian, Outcome
from bedrock_settings.parameter_records import ParameterRecords
from bedrock_settings.settings import SettingKind, Settings

# New roles and policies are usually known everywhere within half a minute, seldom within two.
PERMISSION_PAUSES_SECONDS = (2, 4, 8, 16, 30, 60)

SERVICE_MODELS = Path(__file__).parent / "models"
"""What this function calls of Bedrock, as botocore describes it.

The botocore of Lambda's runtime lags behind by months, and GetAccountDataRetention is younger
than many copies of it. botocore looks here first; everything else comes from the runtime.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
https://botocore.amazonaws.com/v1/documentation/api/latest/reference/loaders.html
"""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer Create, Update and Delete.

    Raises:
        SettingError: the setting cannot be changed; the provider framework tells CloudFormation
            the message.
    """
    settings = Settings.from_environment(os.environ)
    owner = f"{event['LogicalResourceId']} of {event['StackId']}"
    records = ParameterRecords(_session().create_client("ssm"), settings.record_parameter)
    custodian = Custodian(_setting(settings, _session().create_client("bedrock")), records, owner)
    outcome = _carry_out(custodian, event)
    line = {"setting": settings.setting, "request": event["RequestType"], "outcome": outcome}
    sys.stdout.write(json.dumps(line) + "\n")
    return {"PhysicalResourceId": settings.record_parameter, "Data": {"Outcome": outcome}}


@cache
def _session() -> botocore.session.Session:
    session = botocore.session.get_session()
    session.set_config_variable("data_path", str(SERVICE_MODELS))
    return session


def _setting(settings: Settings, client: Any) -> AccountSetting:
    if settings.setting is SettingKind.DATA_RETENTION:
        return DataRetention(client)
    return InvocationLogging(
        client,
        restorable_roles=settings.restorable_roles,
        pauses=PERMISSION_PAUSES_SECONDS,
    )


def _carry_out(custodian: Custodian, event: Mapping[str, Any]) -> Outcome:
    wanted = _configuration(event["ResourceProperties"])
    match event["RequestType"]:
        case "Create":
            return custodian.create(wanted)
        case "Update":
            return custodian.update(wanted, _configuration(event["OldResourceProperties"]))
        case _:
            return custodian.delete(wanted)


def _configuration(properties: Mapping[str, Any]) -> Configuration:
    # JSON within a string: CloudFormation hands over every number and boolean as a string.
    configuration: dict[str, Any] = json.loads(properties["Configuration"])
    return configuration
