"""What API Gateway expects of a REQUEST authoriser.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
"""

from typing import Any

from gateway.governance.identity import Caller
from gateway.governance.request_context import context_from


def allow(caller: Caller, method_arn: str, usage_identifier_key: str | None) -> dict[str, Any]:
    """Return the policy that lets a caller use the stage, and what the gateway is told of it."""
    answer: dict[str, Any] = {
        "principalId": caller.key_id,
        "policyDocument": _document("Allow", stage_arn(method_arn)),
        "context": context_from(caller),
    }
    if usage_identifier_key:
        answer["usageIdentifierKey"] = usage_identifier_key
    return answer


def deny(method_arn: str) -> dict[str, Any]:
    """Return the policy of somebody who is known and may not call: API Gateway answers 403."""
    return {"principalId": "denied", "policyDocument": _document("Deny", stage_arn(method_arn))}


def stage_arn(method_arn: str) -> str:
    """Return the resource of every method of the stage.

    API Gateway keeps the policy under the credential and applies it to every path, so that a
    policy for one method would refuse the caller's next request to another one.
    """
    api, stage, *_ = method_arn.split("/")
    return f"{api}/{stage}/*"


def _document(effect: str, resource: str) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}
