"""Everything the API answers that is not a result, as an exception with its HTTP status.

``type`` and ``code`` are OpenAI's; the Messages API has its own names for the same statuses.
https://platform.openai.com/docs/guides/error-codes
https://docs.anthropic.com/en/api/errors
"""

from http import HTTPStatus
from typing import Any

from gateway.governance.budget import BudgetExceeded

MESSAGES_API_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class ApiError(Exception):
    """A refusal or fault with the sentence that the client reads.

    ``retry_after`` is in seconds. ``retryable`` false tells SDKs not to try again by themselves.
    """

    status = 500
    type = "api_error"
    code: str | None = None
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell a client whether and when to try again."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if not self.retryable:
            # Read by the OpenAI and Anthropic SDKs before their own rules for a status.
            headers["x-should-retry"] = "false"
        return headers

    def openai_body(self) -> dict[str, Any]:
        """Return the error as OpenAI's APIs write it."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }

    def messages_body(self, request_id: str) -> dict[str, Any]:
        """Return the error as the Messages API writes it."""
        kind = MESSAGES_API_TYPES.get(self.status, "api_error")
        message = f"{self.param}: {self.message}" if self.param else self.message
        return {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": request_id,
        }


class InvalidRequestError(ApiError):
    """The request breaks a rule; ``param`` names the field."""

    status = 400
    type = "invalid_request_error"


class AuthenticationError(ApiError):
    """No valid key or token came with the request."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class PermissionDeniedError(ApiError):
    """The caller, or the gateway's role, may not use this model."""

    status = 403
    type = "permission_error"
    code = "access_denied"


class NotFoundError(ApiError):
    """There is no such route or model."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowedError(ApiError):
    """The route exists, but not for this method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class ConflictError(ApiError):
    """An idempotency key is in use, or was used for something else."""

    status = 409
    type = "invalid_request_error"
    code = "idempotency_conflict"
    retryable = False


class BodyTooLargeError(ApiError):
    """The request body is longer than the gateway takes."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"
    retryable = False


class ThrottledError(ApiError):
    """Bedrock or a model server asks for fewer requests or tokens."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class QuotaExceededError(ApiError):
    """A budget of the key or the team does not hold the request."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"
    retryable = False

    @classmethod
    def of(cls, refusal: BudgetExceeded) -> "QuotaExceededError":
        """Say to the client what the ledger said."""
        return cls(str(refusal), retry_after=refusal.retry_after_seconds)


class ModelError(ApiError):
    """The model failed, or broke off its answer."""

    status = 502
    type = "api_error"
    code = "model_error"


class UnavailableError(ApiError):
    """Bedrock, a model or the ledger cannot answer now."""

    status = 503
    type = "api_error"
    code = "service_unavailable"


class TimedOutError(ApiError):
    """The model did not answer in time."""

    status = 504
    type = "api_error"
    code = "timeout"


def of_status(status: int, message: str) -> ApiError:
    """Return the error for a status that the HTTP server or the router decided on."""
    kinds: dict[int, type[ApiError]] = {
        404: NotFoundError,
        405: MethodNotAllowedError,
        413: BodyTooLargeError,
    }
    if status in kinds:
        return kinds[status](message)
    error = ApiError(message) if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
    error = error or InvalidRequestError(message)
    error.status = status
    return error
