"""The OpenAPI document describes the API, and nothing that fits it breaks the API."""

from typing import Any

import hypothesis
import jsonschema
import schemathesis
from hypothesis import HealthCheck, strategies
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.lambdas.gateway.stack import MODELS, PATIENCE_SECONDS, GatewayStack

EXAMPLES = 60


def document(gateway: GatewayStack) -> dict[str, Any]:
    with gateway.http() as http:
        body: dict[str, Any] = http.get("/openapi.json").json()
    return body


def test_the_document_offers_the_catalogues_models(gateway: GatewayStack) -> None:
    schemas = document(gateway)["components"]["schemas"]
    chat = {alias for alias, model in MODELS.items() if model.get("kind") != "embedding"}
    assert set(schemas["ChatBody"]["properties"]["model"]["enum"]) == chat
    assert set(schemas["EmbeddingsBody"]["properties"]["model"]["enum"]) == {"titan", "cohere"}


def test_its_schemas_are_json_schemas(gateway: GatewayStack) -> None:
    for schema in document(gateway)["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_no_request_that_fits_the_document_breaks_the_gateway(gateway: GatewayStack) -> None:
    schema = schemathesis.openapi.from_dict(document(gateway))
    schema.config.base_url = gateway.url
    operations: Any = schema.get_all_operations()
    cases = strategies.one_of([found.ok().as_strategy() for found in operations])
    statuses = set()

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=cases)
    def run(case: Any) -> None:
        for alias in MODELS:
            gateway.breaker.succeeded(alias)
        headers = {"Authorization": f"Bearer {gateway.key}"}
        response = case.call(headers=headers, timeout=PATIENCE_SECONDS)
        statuses.add(response.status_code)
        # A schema cannot say everything: what fits it may still be refused with a reason.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])
        assert response.status_code < 500

    run()
    assert 200 in statuses
    assert 400 in statuses
