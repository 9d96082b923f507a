"""Reading request bodies: types, unknown fields, and fields that Bedrock has no counterpart for."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from gateway.errors import InvalidRequestError

Body = TypeVar("Body")
PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
UNKNOWN_FIELD = re.compile(r"unknown field `(?P<name>[^`]*)`")


class Part(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A part of a request. A field that is not declared is refused: nothing is dropped silently."""


def decode(body: bytes, kind: type[Body]) -> Body:
    """Read a JSON body.

    Raises:
        InvalidRequestError: it is not JSON, or a field is unknown, missing or of another type.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        match = PATH.search(text)
        sentence = PATH.sub("", text) + ". See /openapi.json for what this route takes."
        raise InvalidRequestError(
            sentence, param=_param(text, match["path"] if match else "")
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        sentence = f"The body is not valid JSON: {error}. Send one JSON object."
        raise InvalidRequestError(sentence, code="invalid_json") from None


def _param(text: str, path: str) -> str | None:
    unknown = UNKNOWN_FIELD.search(text)
    if unknown:
        return ".".join(part for part in (path, unknown["name"]) if part)
    return path or None


def refuse(body: Any, without_effect: Mapping[str, tuple[Any, ...]]) -> None:
    """Refuse fields that nothing on Bedrock corresponds to.

    ``without_effect`` gives each field the values that ask for what happens anyway.

    Raises:
        InvalidRequestError: a field has another value.
    """
    for name, values in without_effect.items():
        value = getattr(body, name)
        if value is None or value is msgspec.UNSET or any(_same(value, v) for v in values):
            continue
        message = f"{name} is not supported by models on Bedrock. Leave it out."
        raise InvalidRequestError(message, param=name, code="unsupported_parameter")


def _same(value: Any, other: Any) -> bool:
    # 0 == False, but they are not the same request.
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def json_object(text: str, param: str) -> dict[str, Any]:
    """Read the JSON object that a string field holds; an empty string is an empty object.

    Raises:
        InvalidRequestError: the string holds something else.
    """
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        message = "The string must hold a JSON object."
        raise InvalidRequestError(message, param=param) from None


def encode(value: Any) -> bytes:
    """Return a value as JSON."""
    return msgspec.json.encode(value)


def sse(data: Any, event: str | None = None) -> bytes:
    """Return one server-sent event."""
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + encode(data) + b"\n\n"


SSE_HEARTBEAT = b": heartbeat\n\n"
"""A comment, which clients skip. https://html.spec.whatwg.org/multipage/server-sent-events.html"""
