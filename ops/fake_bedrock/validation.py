"""The checks that Bedrock makes on a request before a model sees it or a setting is changed.

The shapes come from botocore's service model. ``ParamValidator`` covers members, types, unions and
lengths; the service also refuses values outside enumerations, patterns and upper bounds, and
conversations that do not hang together, so these are checked here.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

# https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
MAXIMUM_CACHE_POINTS = 4

RUNTIME = "bedrock-runtime"
CONTROL_PLANE = "bedrock"


@cache
def service_model(service: str = RUNTIME) -> ServiceModel:
    """Return botocore's description of one of Bedrock's services."""
    return botocore.session.get_session().get_service_model(service)


def operation(name: str, service: str = RUNTIME) -> OperationModel:
    """Return botocore's description of one operation, such as ``Converse``."""
    return service_model(service).operation_model(name)


def problems(name: str, params: dict[str, Any], *, service: str = RUNTIME) -> list[str]:
    """Return a sentence for everything the service would refuse in the call; empty when fine."""
    shape = operation(name, service).input_shape
    if shape is None:
        return []
    found: list[str] = []
    params = _decoded(params, shape, found)
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        found.append(report.generate_report())
        return found
    found.extend(_constraints(params, shape, name))
    if name in {"Converse", "ConverseStream"}:
        found.extend(_conversation(params))
    return found


def _decoded(value: Any, shape: Shape, found: list[str]) -> Any:
    """Turn the base64 texts of blobs into bytes, as the service reads them from the wire."""
    if isinstance(shape, StructureShape) and isinstance(value, dict) and not _is_document(shape):
        return {
            key: _decoded(item, shape.members[key], found) if key in shape.members else item
            for key, item in value.items()
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_decoded(item, shape.member, found) for item in value]
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            found.append(f"{shape.name} is not base64.")
    return value


def _is_document(shape: Shape) -> bool:
    return bool(getattr(shape, "is_document_type", False))


def _constraints(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape.type_name in {"list", "map"}:
        yield from _bounds(len(value), shape, f"The length of {path}")
    elif shape.type_name == "string":
        yield from _text(value, shape, path)
    elif shape.type_name in {"integer", "long", "float", "double"}:
        yield from _bounds(value, shape, path)
    for part, part_shape, part_path in _parts(value, shape, path):
        yield from _constraints(part, part_shape, part_path)


def _parts(value: Any, shape: Shape, path: str) -> Iterator[tuple[Any, Shape, str]]:
    if isinstance(shape, StructureShape) and not _is_document(shape):
        for key, item in value.items():
            yield item, shape.members[key], f"{path}.{key}"
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value):
            yield item, shape.member, f"{path}[{number}]"
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield key, shape.key, f"A key of {path}"
            yield item, shape.value, f"{path}.{key}"


def _bounds(value: float, shape: Shape, path: str) -> Iterator[str]:
    highest = shape.metadata.get("max")
    if highest is not None and value > highest:
        yield f"{path} is {value}; the service takes at most {highest}."


def _text(value: str, shape: Shape, path: str) -> Iterator[str]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield f"{path} is {value!r}; the service takes {', '.join(allowed)}."
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        yield f"{path} is {value!r}, which does not match {pattern}."
    yield from _bounds(len(value), shape, f"The length of {path}")


def _conversation(params: dict[str, Any]) -> Iterator[str]:
    """Check what the service says of whole conversations."""
    messages = params.get("messages", [])
    if not messages or messages[0]["role"] != "user":
        yield "A conversation must start with a user message."
    for before, after in pairwise(messages):
        if before["role"] == after["role"]:
            yield "Roles must alternate between user and assistant."
    yield from _blocks(messages)
    yield from _tools(messages, params)
    points = sum(1 for block in _all_blocks(params) if "cachePoint" in block)
    if points > MAXIMUM_CACHE_POINTS:
        yield f"There are {points} cache points; at most {MAXIMUM_CACHE_POINTS} are allowed."


def _all_blocks(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in params.get("messages", []):
        yield from message["content"]
    yield from params.get("system", [])
    yield from params.get("toolConfig", {}).get("tools", [])


def _blocks(messages: list[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        if not message["content"]:
            yield "The content field in the Message object is empty."
        for block in message["content"]:
            if "text" in block and not block["text"].strip():
                yield "The text field in the ContentBlock object is blank."


def _tools(messages: list[dict[str, Any]], params: dict[str, Any]) -> Iterator[str]:
    called: set[str] = set()
    for message in messages:
        results = {b["toolResult"]["toolUseId"] for b in message["content"] if "toolResult" in b}
        if results != called:
            yield f"Expected toolResult blocks for {sorted(called)}, found {sorted(results)}."
        called = {b["toolUse"]["toolUseId"] for b in message["content"] if "toolUse" in b}
        if (called or results) and "toolConfig" not in params:
            yield "The toolConfig field must be defined when using toolUse and toolResult blocks."
