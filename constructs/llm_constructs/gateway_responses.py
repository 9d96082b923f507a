"""What API Gateway answers by itself, in the form of OpenAI's and Anthropic's errors."""

import json
from dataclasses import dataclass

from aws_cdk import aws_apigateway as apigateway

_Type = apigateway.ResponseType


@dataclass(frozen=True)
class _Error:
    """One answer; without a ``status`` it stands for many, each of which stays what it is."""

    response: apigateway.ResponseType
    status: int | None
    kind: str
    code: str
    message: str
    retry_after_seconds: int | None = None


_ERRORS = (
    _Error(
        _Type.UNAUTHORIZED,
        401,
        "authentication_error",
        "invalid_api_key",
        "The key is missing, unknown, expired or revoked. Send it as a bearer token.",
    ),
    _Error(
        _Type.ACCESS_DENIED,
        403,
        "permission_error",
        "access_denied",
        "Your team may not call the gateway at present. Ask your platform team.",
    ),
    _Error(
        _Type.MISSING_AUTHENTICATION_TOKEN,
        403,
        "invalid_request_error",
        "unknown_path",
        "There is no such path, or it wants a signed request. See /openapi.json.",
    ),
    _Error(
        _Type.INVALID_SIGNATURE,
        403,
        "authentication_error",
        "invalid_signature",
        "The request's signature does not hold. Sign it for the service execute-api.",
    ),
    _Error(
        _Type.THROTTLED,
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "There are too many requests at the moment. Wait and try again.",
        retry_after_seconds=1,
    ),
    _Error(
        _Type.QUOTA_EXCEEDED,
        429,
        "rate_limit_error",
        "insufficient_quota",
        "The usage plan's requests of this day are used up.",
    ),
    _Error(
        _Type.REQUEST_TOO_LARGE,
        413,
        "invalid_request_error",
        "request_too_large",
        "The request is larger than 10 MB.",
    ),
    _Error(
        _Type.WAF_FILTERED,
        403,
        "permission_error",
        "blocked",
        "The firewall refused the request, or too many came from this address.",
    ),
    _Error(
        _Type.INTEGRATION_TIMEOUT,
        504,
        "api_error",
        "timeout",
        "The answer did not come in time.",
    ),
    _Error(
        _Type.DEFAULT_4_XX,
        None,
        "invalid_request_error",
        "bad_request",
        "The request cannot be used. See /openapi.json.",
    ),
    _Error(
        _Type.DEFAULT_5_XX,
        None,
        "api_error",
        "internal_error",
        "The gateway failed. Report the request id to your platform team.",
    ),
)


def add_error_responses(api: apigateway.RestApi) -> None:
    """Make ``api`` answer its own errors as clients expect them, with a request id.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
    """
    for error in _ERRORS:
        headers = {"x-request-id": "context.requestId"}
        if error.retry_after_seconds is not None:
            headers["Retry-After"] = f"'{error.retry_after_seconds}'"
        name = error.code.title().replace("_", "")
        api.add_gateway_response(
            f"{name}Response",
            type=error.response,
            status_code=None if error.status is None else str(error.status),
            response_headers=headers,
            templates={"application/json": _body(error)},
        )


def _body(error: _Error) -> str:
    members = {"message": error.message, "type": error.kind, "param": None, "code": error.code}
    # Anthropic's clients want the outer type; OpenAI's do not mind it.
    return json.dumps({"type": "error", "error": members})
