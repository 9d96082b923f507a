"""The OpenAPI document of the gateway, made from the types that read the requests."""

from typing import Any

import msgspec

from gateway.api.chat_body import ChatBody
from gateway.api.embeddings import EmbeddingsBody
from gateway.api.messages_body import MessagesBody
from gateway.api.responses_body import InputItem, ResponsesBody
from gateway.catalogue import Catalogue

VERSION = "1.0.0"
REFERENCE = "#/components/schemas/{name}"
# https://spec.openapis.org/oas/v3.1.0
OPENAPI = "3.1.0"

POSTS: dict[str, tuple[str, type, str]] = {
    "/v1/chat/completions": ("Answer a chat", ChatBody, "chat"),
    "/v1/responses": ("Answer a conversation with the Responses API", ResponsesBody, "chat"),
    "/v1/messages": ("Answer a conversation with the Messages API", MessagesBody, "chat"),
    "/v1/embeddings": ("Embed texts", EmbeddingsBody, "embedding"),
}
GETS = {
    "/v1/models": "List the models that the key may use",
    "/v1/usage": "Report the use and budgets of the key and its team",
}
ERRORS = {
    "400": "The request breaks a rule; `param` names the field",
    "401": "No valid key or token came with the request",
    "403": "The caller may not use the model",
    "404": "There is no such model",
    "409": "The idempotency key is in use",
    "413": "The body is too large",
    "429": "Bedrock throttles, or a budget is used up (`insufficient_quota`)",
    "502": "The model failed",
    "503": "Bedrock or the budgets are not available",
    "504": "The model did not answer in time",
}


def document(catalogue: Catalogue) -> dict[str, Any]:
    """Return the document; a request's ``model`` is one of the catalogue's aliases."""
    kinds = [kind for _, kind, _ in POSTS.values()]
    schemas, components = msgspec.json.schema_components(
        [*kinds, list[InputItem]],
        ref_template=REFERENCE,
    )
    for _, kind, model_kind in POSTS.values():
        aliases = [a for a, rates in catalogue.entries().items() if rates.kind == model_kind]
        components[kind.__name__]["properties"]["model"] = {"type": "string", "enum": aliases}
    items = {"anyOf": [{"type": "string"}, schemas[-1]]}
    components["ResponsesBody"]["properties"]["input"] = items
    components["Error"] = _error_schema()
    paths: dict[str, Any] = {
        path: {"post": _post(summary, kind)} for path, (summary, kind, _) in POSTS.items()
    }
    paths.update({path: {"get": _operation(summary)} for path, summary in GETS.items()})
    health = _operation("Tell that the process serves")
    paths["/health"] = {"get": {**health, "security": []}}
    return {
        "openapi": OPENAPI,
        "info": {"title": "LLM gateway", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _post(summary: str, kind: type) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(name=kind.__name__)}
    content = {"application/json": {"schema": schema}}
    return {**_operation(summary), "requestBody": {"required": True, "content": content}}


def _operation(summary: str) -> dict[str, Any]:
    streams = {"text/event-stream": {"schema": {"type": "string"}}}
    answers = {"application/json": {"schema": {"type": "object"}}, **streams}
    responses: dict[str, Any] = {"200": {"description": "The answer", "content": answers}}
    schema = {"$ref": REFERENCE.format(name="Error")}
    for status, description in ERRORS.items():
        content = {"application/json": {"schema": schema}}
        responses[status] = {"description": description, "content": content}
    return {"summary": summary, "responses": responses}


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
            }
        },
    }
