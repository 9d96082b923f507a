"""Calls of Bedrock, authorised by the emulator and answered by the fake."""

import json
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id
from ministack.services import bedrock, bedrock_runtime

from ops.local.emulator.http_relay import Answer, relay

_ACTIONS = {
    # Converse has no actions of its own:
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    "bedrock:Converse": "bedrock:InvokeModel",
    "bedrock:ConverseStream": "bedrock:InvokeModelWithResponseStream",
}
_ACCOUNT_SETTINGS = ("/logging/modelinvocations", "/data-retention")
"""Where the control plane's settings of a whole account are; the fake keeps them."""
_GEOGRAPHIES = ("us", "eu", "apac", "jp", "au", "ca", "global", "us-gov")


def install(endpoint: str) -> None:
    """Let ``endpoint`` answer every call that its caller's policies allow."""
    port = urlsplit(endpoint).port or 80
    emulated = bedrock.handle_request

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]
    ) -> Answer:
        # ministack has decoded the path; the ids of models hold colons.
        return await relay(port, method, quote(path, safe="/"), headers, body)

    async def handle_control_plane(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Any:
        if path not in _ACCOUNT_SETTINGS:
            return await emulated(method, path, headers, body, query)
        return refusal_of(headers, body) or await handle(method, path, headers, body, query)

    bedrock_runtime.handle_request = handle
    bedrock.handle_request = handle_control_plane
    _authorise_as_documented()


def _authorise_as_documented() -> None:
    action, resource = iam_actions.extract_iam_action, iam_actions.extract_resource_arn
    context = iam_actions.request_tag_context

    def extract_action(*arguments: Any, **named: Any) -> Any:
        found = action(*arguments, **named)
        return _ACTIONS.get(found, found)

    def extract_resource(service: str, method: str, path: str, *rest: Any) -> Any:
        if service == "bedrock-runtime" and path.startswith("/model/"):
            region, account = rest[-2:]
            return resource_of(unquote(path.split("/")[2]), region, account)
        return resource(service, method, path, *rest)

    def request_context(service: str, iam_action: str, body: bytes, *rest: Any) -> Any:
        keys = context(service, iam_action, body, *rest)
        return {**keys, **guardrail_of(body)} if service == "bedrock-runtime" else keys

    iam_actions.request_tag_context = request_context
    iam_actions.extract_iam_action = extract_action
    iam_actions.extract_resource_arn = extract_resource


def refusal_of(headers: dict[str, str], body: bytes) -> Answer | None:
    """Return the answer to a caller who may not pass the role that a setting names to Bedrock.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    try:
        role = json.loads(body or b"{}")["loggingConfig"]["cloudWatchConfig"]["roleArn"]
    except (ValueError, KeyError, TypeError):
        return None
    denied = iam_evaluator.enforce(
        extract_access_key_id(headers),
        "iam:PassRole",
        "iam",
        get_region(),
        resource_arn=role,
        service_context={"iam:PassedToService": "bedrock.amazonaws.com"},
    )
    if denied is None:
        return None
    message = f"The caller is not authorized to perform: iam:PassRole on resource: {role}"
    kind = {"Content-Type": "application/json", "x-amzn-ErrorType": "AccessDeniedException"}
    return 403, kind, json.dumps({"message": message}).encode()


def guardrail_of(body: bytes) -> dict[str, str]:
    """Return the condition key of the guardrail that a call names, as ARN and version.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
    """
    try:
        configuration = json.loads(body or b"{}")["guardrailConfig"]
        guardrail, version = configuration["guardrailIdentifier"], configuration["guardrailVersion"]
    except (ValueError, KeyError, TypeError):
        return {}
    if not guardrail.startswith("arn:"):
        owner = f"{get_region()}:{get_account_id()}"
        guardrail = f"arn:aws:bedrock:{owner}:guardrail/{guardrail}"
    return {"bedrock:GuardrailIdentifier": f"{guardrail}:{version}"}


def resource_of(model_id: str, region: str, account: str) -> str:
    """Return what a call of ``model_id`` is authorised on: a model, or an inference profile."""
    if model_id.startswith("arn:"):
        return model_id
    if model_id.split(".", 1)[0] in _GEOGRAPHIES:
        return f"arn:aws:bedrock:{region}:{account}:inference-profile/{model_id}"
    return f"arn:aws:bedrock:{region}::foundation-model/{model_id}"
