"""API keys that an authoriser names, for APIs that take them from there and not from a header.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-key-source.html
"""

from contextvars import ContextVar
from typing import Any

from ministack.services import apigateway_v1
from ministack.services.cloudformation import provisioners

_CONTEXT_KEY = "usageIdentifierKey"

_named: ContextVar[str | None] = ContextVar("named", default=None)
"""The key of this request: ``None`` where the API takes it from the header."""


def install() -> None:
    """Let usage plans apply to the keys that authorisers name."""
    invoke = apigateway_v1._invoke_authorizer_lambda
    authorize = apigateway_v1._authorize_request_v1
    from_header = apigateway_v1._api_key_from_request

    async def invoke_and_keep(*arguments: Any) -> Any:
        result = await invoke(*arguments)
        answer = (result or {}).get("body")
        if isinstance(answer, dict) and _CONTEXT_KEY in answer:
            # The context is what ministack caches together with the policy.
            context = {**(answer.get("context") or {}), _CONTEXT_KEY: answer[_CONTEXT_KEY]}
            result = {**result, "body": {**answer, "context": context}}
        return result

    async def authorize_and_name(api_id: str, *arguments: Any) -> Any:
        error, context = await authorize(api_id, *arguments)
        api = apigateway_v1._rest_apis.get(api_id) or {}
        from_authorizer = api.get("apiKeySource") == "AUTHORIZER"
        # ministack may hold the same dictionary in its cache, so it stays as it is.
        shown = {key: value for key, value in (context or {}).items() if key != _CONTEXT_KEY}
        _named.set((context or {}).get(_CONTEXT_KEY, "") if from_authorizer else None)
        return error, None if context is None else shown

    def key_of_request(headers: dict[str, Any]) -> Any:
        named = _named.get()
        return from_header(headers) if named is None else named

    _keep_key_source()
    apigateway_v1._invoke_authorizer_lambda = invoke_and_keep
    apigateway_v1._authorize_request_v1 = authorize_and_name
    apigateway_v1._api_key_from_request = key_of_request


def _keep_key_source() -> None:
    """Let a template's API have the source of keys that it states; ministack sets it on updates."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::RestApi"]
    create = handler["create"]

    def create_with_source(
        logical_id: str, properties: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        api_id, attributes = create(logical_id, properties, stack)
        apigateway_v1._rest_apis[api_id]["apiKeySource"] = properties.get(
            "ApiKeySourceType", "HEADER"
        )
        return api_id, attributes

    handler["create"] = create_with_source
