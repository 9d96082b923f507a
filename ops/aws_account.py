"""The account that a person is signed in to: calls, permissions, and refusals as sentences."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import ClientError

FAILED: Final = 1
"""Exit code: the reason is on standard error."""

_IAM_PREFIXES: Final = {
    "s3control": "s3",
    "service-quotas": "servicequotas",
}
"""Services whose prefix in IAM is not botocore's name of them."""

_IAM_ACTIONS: Final = {("s3control", "GetPublicAccessBlock"): "s3:GetAccountPublicAccessBlock"}
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetPublicAccessBlock.html"""

_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"}
)
_THROTTLED: Final = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
)

GLOBAL_REGION: Final = "us-east-1"
"""Where global services and the Price List are called.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""


@dataclass(frozen=True, order=True)
class Call:
    """An operation of AWS, by botocore's names of service and operation."""

    service: str
    operation: str

    @property
    def action(self) -> str:
        """The IAM action that allows it."""
        prefix = _IAM_PREFIXES.get(self.service, self.service)
        return _IAM_ACTIONS.get((self.service, self.operation), f"{prefix}:{self.operation}")


class RefusedError(Exception):
    """AWS refused a call; the message is a sentence that says what would help.

    ``code`` is the error's code, as in ``ResourceNotFoundException``.
    """

    def __init__(self, call: Call, code: str, message: str) -> None:
        self.call = call
        self.code = code
        super().__init__(_sentence(call, code, message))

    @property
    def denied(self) -> bool:
        """Whether a permission is missing."""
        return self.code in _DENIED


@dataclass
class Account:
    """Calls to one region of the account that the caller's credentials belong to.

    Throttled calls are repeated in botocore's standard mode before they are given up, unless
    ``repeats`` is off.
    """

    region: str
    repeats: bool = True
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _session: "boto3.Session | None" = None

    def call(self, call: Call, *, region: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return the answer of one call.

        Raises :class:`RefusedError` for an error of the service.
        """
        from botocore import xform_name

        method = getattr(self._client(call.service, region), xform_name(call.operation))
        result: dict[str, Any] = _carried_out(call, lambda: method(**parameters))
        return result

    def items(
        self, call: Call, key: str, *, region: str | None = None, **parameters: Any
    ) -> Iterator[Any]:
        """Yield the members of the list ``key`` of every page.

        Raises :class:`RefusedError` for an error of the service, also of a later page.
        """
        from botocore import xform_name

        client = self._client(call.service, region)
        name = xform_name(call.operation)
        if not client.can_paginate(name):
            yield from self.call(call, region=region, **parameters).get(key, ())
            return
        pages = iter(client.get_paginator(name).paginate(**parameters))
        while (page := _carried_out(call, lambda: next(pages, None))) is not None:
            yield from page.get(key, ())

    def _client(self, service: str, region: str | None) -> Any:
        import boto3
        from botocore.config import Config

        where = (service, region or self.region)
        if where not in self._clients:
            self._session = self._session or boto3.Session()
            config = Config(retries={"mode": "standard"}, connect_timeout=10, read_timeout=30)
            if not self.repeats:
                config = config.merge(Config(retries={"total_max_attempts": 1}))
            # The service's name is a variable here, which the stubs' overloads cannot follow.
            make: Callable[..., Any] = self._session.client
            self._clients[where] = make(service, region_name=where[1], config=config)
        return self._clients[where]


@contextmanager
def told_in_sentences() -> Iterator[None]:
    """End the command with a sentence on standard error, and :data:`FAILED`, when AWS refuses."""
    from botocore.exceptions import BotoCoreError, NoCredentialsError

    try:
        yield
    except RefusedError as refused:
        tell(str(refused))
        raise typer.Exit(FAILED) from None
    except NoCredentialsError:
        tell("No credentials for AWS were found. Sign in with `aws sso login`, or set AWS_PROFILE.")
        raise typer.Exit(FAILED) from None
    except BotoCoreError as error:
        tell(f"AWS could not be asked: {error}")
        raise typer.Exit(FAILED) from None


def tell(sentence: str) -> None:
    """Print a sentence on standard error, as it is."""
    Console(stderr=True).print(sentence, markup=False, highlight=False, soft_wrap=True)


def _carried_out(call: Call, ask: Callable[[], Any]) -> Any:
    from botocore.exceptions import ClientError

    try:
        return ask()
    except ClientError as error:
        raise _refused(call, error) from None


def _refused(call: Call, error: "ClientError") -> RefusedError:
    detail = error.response.get("Error", {})
    return RefusedError(call, str(detail.get("Code", "Unknown")), str(detail.get("Message", "")))


def _sentence(call: Call, code: str, message: str) -> str:
    if code in _DENIED:
        return f"The caller may not use {call.action}. Allow it, or ask somebody who may."
    if code in _THROTTLED:
        return (
            f"AWS throttled {call.operation}, also when it was repeated. Try again in a minute, "
            "and not beside other tools that poll the account."
        )
    said = message.strip().rstrip(".") or "no reason was given"
    return f"AWS refused {call.operation}: {code}: {said}."
