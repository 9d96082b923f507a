"""What a gateway's description refuses, and what it says of its models."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import Catalogue
from llm_constructs.specs.foundation_models import FOUNDATION_MODELS
from llm_constructs.specs.gateway import (
    Gateway,
    OidcProvider,
    ProvisionedConcurrency,
    Throttle,
    UsagePlan,
)
from llm_constructs.specs.guardrail import GuardrailSettings
from llm_constructs.specs.model import (
    ModelAlias,
    ModelCapability,
    ModelKind,
    Price,
    ReasoningEffort,
)
from llm_constructs.specs.model_memory import ModelShape
from llm_constructs.specs.model_offer import check_served
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.model_source import ModelSource
from llm_constructs.specs.problem import Problems, SpecificationError
from llm_constructs.specs.region import REGIONS, Jurisdiction
from llm_constructs.specs.residency import (
    JURISDICTION_OF_PREFIX,
    ModelReference,
    Residency,
    check_residency,
)

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


def alias(name: str = "fast", **members: Any) -> ModelAlias:
    return ModelAlias(**{"alias": name, "model_id": f"us.{HAIKU}", **members})


def refusal(**members: Any) -> str:
    with pytest.raises(SpecificationError) as caught:
        Gateway(**{"models": (alias(),), **members})
    return str(caught.value)


def travels(model_id: str, residency: Residency, jurisdiction: Jurisdiction) -> str:
    problems = Problems("environment")
    check_residency(problems, "id", model_id, residency=residency, jurisdiction=jurisdiction)
    try:
        problems.raise_if_any()
    except SpecificationError as error:
        return str(error)
    return ""


def test_the_gateway_reads_the_catalogue_that_is_written_for_it() -> None:
    gateway = Gateway(
        models=(
            alias(fallbacks=("other",)),
            ModelAlias(
                alias="other",
                model_id="mistral.mistral-large-2407-v1:0",
                price=Price(input=2_000_000, output=6_000_000),
                context_tokens=128_000,
                max_output_tokens=8192,
                capabilities=(ModelCapability.SYSTEM, ModelCapability.TOOLS),
                efforts={"high": ReasoningEffort(fields={"reasoning": True})},
            ),
            ModelAlias(alias="embed", model_id="amazon.titan-embed-text-v2:0"),
        )
    )

    models = Catalogue.parse(json.dumps(gateway.catalogue())).entries()

    assert models["fast"].fallbacks == ("other",)
    assert models["fast"].output_weight == 5
    assert models["fast"].efforts["low"].fields["thinking"]["budget_tokens"] == 1024
    assert models["other"].capabilities == {"system", "tools"}
    assert models["other"].price.output == 6_000_000
    assert models["embed"].dimensions == {256, 512, 1024}
    assert models["embed"].additional_fields == {"normalize": True}


def test_every_known_model_is_one_that_the_gateway_can_read() -> None:
    models = tuple(
        ModelAlias(alias=f"m{index}", model_id=model_id)
        for index, model_id in enumerate(FOUNDATION_MODELS)
    )
    entries = Catalogue.parse(json.dumps(Gateway(models=models).catalogue())).entries()
    assert {entry.model_id for entry in entries.values()} == set(FOUNDATION_MODELS)


@pytest.mark.parametrize(
    ("model_id", "input_price"),
    [(f"us.{HAIKU}", 1_100_000), (f"global.{HAIKU}", 1_000_000), (HAIKU, 1_000_000)],
)
def test_a_geographic_profile_has_its_own_price(model_id: str, input_price: int) -> None:
    gateway = Gateway(models=(alias(model_id=model_id),))
    assert gateway.catalogue()["fast"]["price"]["input"] == input_price


def test_what_an_alias_says_replaces_what_is_known() -> None:
    gateway = Gateway(
        models=(
            alias(
                max_output_tokens=1000, default_output_tokens=500, price=Price(input=7, output=9)
            ),
        )
    )
    entry = gateway.catalogue()["fast"]
    assert entry["max_output_tokens"] == 1000
    assert entry["price"] == {"input": 7, "output": 9, "cache_read": 0, "cache_write": 0}
    assert entry["context_tokens"] == 200_000


def test_models_are_listed_by_kind_and_once() -> None:
    gateway = Gateway(
        models=(
            alias("a"),
            alias("b"),
            ModelAlias(alias="embed", model_id="amazon.titan-embed-text-v2:0"),
        )
    )
    assert gateway.references(ModelKind.CHAT) == (ModelReference("us", HAIKU),)
    assert [m.foundation_model for m in gateway.references(ModelKind.EMBEDDING)] == [
        "amazon.titan-embed-text-v2:0"
    ]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no-models": ({"models": ()}, r"models = \[\]: .* Add at least one"),
    "alias-twice": (
        {"models": (alias(), alias())},
        r"models = \['fast'\]: A name is given twice",
    ),
    "alias-with-space": ({"models": (alias("my model"),)}, r"models\.0\.alias = 'my model'"),
    "unknown-fallback": (
        {"models": (alias(fallbacks=("slow",)),)},
        r"models\.0\.fallbacks = \['slow'\]: No chat model .* Choose from fast",
    ),
    "fallback-to-embedding": (
        {
            "models": (
                alias(fallbacks=("embed",)),
                ModelAlias(alias="embed", model_id="amazon.titan-embed-text-v2:0"),
            )
        },
        r"models\.0\.fallbacks = \['embed'\]",
    ),
    "fallback-to-itself": (
        {"models": (alias(fallbacks=("fast",)),)},
        r"models = 'fast → fast': Fallbacks lead back",
    ),
    "fallbacks-in-a-circle": (
        {
            "models": (
                alias("a", fallbacks=("b",)),
                alias("b", fallbacks=("c",)),
                alias("c", fallbacks=("a",)),
            )
        },
        r"models = 'a → b → c → a'",
    ),
    "too-many-tokens": (
        {"models": (alias(max_output_tokens=100_000),)},
        r"models\.0\.max_output_tokens = 100000: The model writes at most 64000 tokens",
    ),
    "default-above-maximum": (
        {"models": (alias(max_output_tokens=1000),)},
        r"models\.0\.default_output_tokens = 4096: .* which is 1000",
    ),
    "no-price": (
        {"models": (alias(model_id="mistral.mistral-large-2407-v1:0", context_tokens=1),)},
        r"models\.0\.price = None: It is not known of mistral\.mistral-large-2407-v1:0",
    ),
    "no-output-price": (
        {"models": (alias(price=Price(input=1)),)},
        r"models\.0\.price\.output = 0: A model whose output costs nothing",
    ),
    "arn": (
        {
            "models": (
                alias(model_id="arn:aws:bedrock:us-east-1:1:application-inference-profile/x"),
            )
        },
        r"models\.0\.model_id = 'arn:.*ARNs are refused",
    ),
    "unknown-prefix": (
        {"models": (alias(model_id=f"mars.{HAIKU}"),)},
        r"models\.0\.model_id = 'mars\..*the prefix 'mars' leads is not known",
    ),
    "unknown-provider": (
        {"models": (alias(model_id="acme.model-1"),)},
        r"models\.0\.model_id = 'acme\.model-1': Where the provider 'acme'",
    ),
    "too-much-ready": (
        {"provisioned_concurrency": ProvisionedConcurrency(minimum=1, maximum=101)},
        r"provisioned_concurrency\.maximum = 101: .* reserved_concurrency is 100",
    ),
    "cache-too-long": ({"authorizer_cache_seconds": 3601}, r"authorizer_cache_seconds = 3601"),
    "little-memory": ({"memory_mib": 128}, r"memory_mib = 128: It must lie between 512"),
    "log-days": ({"log_retention_days": 100}, r"log_retention_days = 100: .*The nearest is 90"),
    "log-masking": (
        {"masked_in_logs": ("SHOE_SIZE",)},
        r"masked_in_logs = \['SHOE_SIZE'\]: Bedrock's guardrails know no such kind",
    ),
    "two-labels": ({"domain_prefix": "api.v1"}, r"domain_prefix = 'api\.v1': .*one label"),
    "plan-twice": (
        {"usage_plans": (UsagePlan(name="a"), UsagePlan(name="a"))},
        r"usage_plans = \['a'\]: A name is given twice",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_gateway_is_told_what_is_wrong(mistake: str) -> None:
    members, expected = WRONG[mistake]
    message = refusal(**members)
    assert re.search(expected, message), message
    assert all(re.fullmatch(r"gateway: .+[.]", line) for line in message.splitlines())


def test_all_problems_are_told_at_once() -> None:
    lines = refusal(models=(alias("a b", fallbacks=("c",)),), memory_mib=1).splitlines()
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Throttle(requests_per_second=0), "requests_per_second = 0"),
        (lambda: Throttle(requests_per_second=5, burst=4), "burst = 4"),
        (lambda: UsagePlan(name="default"), "name = 'default'"),
        (lambda: UsagePlan(name="a", requests_per_day=0), "requests_per_day = 0"),
        (lambda: ProvisionedConcurrency(minimum=0, maximum=1), "minimum = 0"),
        (
            lambda: ProvisionedConcurrency(minimum=1, maximum=1, target_percent=95),
            "target_percent = 95",
        ),
        (
            lambda: OidcProvider(issuer="id.example.com", audiences=("a",)),
            "issuer = 'id.example.com'",
        ),
        (
            lambda: OidcProvider(issuer="https://id.example.com", audiences=()),
            "audiences = []",
        ),
        (
            lambda: OidcProvider(issuer="https://id.example.com", audiences=("a",), team_claim=""),
            "team_claim = ''",
        ),
        (lambda: Price(input=0), "input = 0"),
        (lambda: Price(input=1, output=-1), "output = -1"),
        (lambda: GuardrailSettings(masked_pii=("SHOE_SIZE",)), "masked_pii = ['SHOE_SIZE']"),
        (lambda: GuardrailSettings(masked_pii=("PASSWORD",)), "masked_pii = ['PASSWORD']"),
        (lambda: GuardrailSettings(grounding_percent=100), "grounding_percent = 100"),
        (lambda: GuardrailSettings(blocked_message=""), "blocked_message = ''"),
    ],
)
def test_a_part_is_refused_by_itself(make: Any, expected: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        make()
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("model_id", "residency", "jurisdiction", "expected"),
    [
        (HAIKU, Residency.REGION, Jurisdiction.UK, ""),
        (f"us.{HAIKU}", Residency.REGION, Jurisdiction.US, "sends requests to other regions"),
        (f"global.{HAIKU}", Residency.REGION, Jurisdiction.US, "sends requests to other regions"),
        (f"us.{HAIKU}", Residency.GEO, Jurisdiction.US, ""),
        (f"global.{HAIKU}", Residency.GEO, Jurisdiction.US, f"Use us.{HAIKU}"),
        (f"eu.{HAIKU}", Residency.GEO, Jurisdiction.US, "outside the jurisdiction us"),
        (f"eu.{HAIKU}", Residency.GEO, Jurisdiction.UK, "no geographic profile stays"),
        (f"apac.{HAIKU}", Residency.GEO, Jurisdiction.JAPAN, f"Use jp.{HAIKU}"),
        (f"global.{HAIKU}", Residency.GLOBAL, Jurisdiction.EU, ""),
        (f"us.{HAIKU}", Residency.GLOBAL, Jurisdiction.EU, "cannot be called from it"),
    ],
)
def test_a_model_that_leaves_the_residency_is_refused(
    model_id: str, residency: Residency, jurisdiction: Jurisdiction, expected: str
) -> None:
    message = travels(model_id, residency, jurisdiction)
    assert expected in message if expected else message == ""


@given(
    region=st.sampled_from(sorted(REGIONS)),
    prefix=st.sampled_from(["", *JURISDICTION_OF_PREFIX, "global"]),
    residency=st.sampled_from([Residency.REGION, Residency.GEO]),
)
def test_no_accepted_model_has_a_destination_outside_its_residency(
    region: str, prefix: str, residency: Residency
) -> None:
    model_id = f"{prefix}.{HAIKU}" if prefix else HAIKU
    if travels(model_id, residency, REGIONS[region]):
        return
    destinations = ModelReference.parse(model_id).destinations(region)
    allowed = {r for r in REGIONS if REGIONS[r] is REGIONS[region]}
    assert set(destinations) <= (allowed if residency is Residency.GEO else {region})
    assert region in destinations


@given(st.text(min_size=1, max_size=60))
def test_any_text_is_a_model_or_is_refused_with_a_sentence(text: str) -> None:
    try:
        reference = ModelReference.parse(text)
    except SpecificationError as error:
        message = str(error)
    else:
        message = f"model_id ends with {reference.foundation_model}"
        assert text.endswith(reference.foundation_model)
    assert "model_id" in message


def served(name: str = "own", **members: Any) -> ModelAlias:
    facts: dict[str, Any] = {
        "served_by": "qwen3-8b",
        "context_tokens": 32_768,
        "max_output_tokens": 8192,
        "price": Price(input=50_000, output=400_000),
    }
    return ModelAlias(**{"alias": name, **facts, **members})


def held_against_servers(*models: ModelAlias, **members: Any) -> str:
    server = ModelServer(
        name="qwen3-8b",
        source=ModelSource(path="qwen3-8b/1"),
        shape=ModelShape(parameters_billions=8.2, layers=36, attention_heads=32, key_value_heads=8),
        pool="serving",
        instance_type="g6e.2xlarge",
        **{"max_model_tokens": 32_768, **members},
    )
    problems = Problems("environment")
    check_served(problems, models, {server.name: server}, field="gateway.models")
    try:
        problems.raise_if_any()
    except SpecificationError as error:
        return str(error)
    return ""


def test_a_served_model_is_in_the_catalogue_with_its_address_and_not_in_bedrocks_list() -> None:
    gateway = Gateway(models=(alias(fallbacks=("own",)), served()))
    address = "https://qwen3-8b.llm.example.com/v1"
    entries = Catalogue.parse(json.dumps(gateway.catalogue({"qwen3-8b": address}))).entries()
    assert (entries["own"].model_id, entries["own"].base_url) == ("qwen3-8b", address)
    assert entries["fast"].base_url is None
    assert gateway.served_models == ("qwen3-8b",)
    assert gateway.references() == (ModelReference("us", HAIKU),)


def test_a_served_embedding_model_takes_openais_body() -> None:
    model = served(kind=ModelKind.EMBEDDING, price=Price(input=10_000), dimensions=(256,))
    catalogue = Gateway(models=(model,)).catalogue({"qwen3-8b": "https://qwen3-8b.example.com/v1"})
    assert Catalogue.parse(json.dumps(catalogue)).entry("own").embedding == "openai"


@pytest.mark.parametrize("residency", Residency)
@pytest.mark.parametrize("jurisdiction", Jurisdiction)
def test_a_served_model_stays_within_every_residency(
    residency: Residency, jurisdiction: Jurisdiction
) -> None:
    problems = Problems("environment")
    Gateway(models=(served(),), residency=residency).check_residency(problems, jurisdiction)
    problems.raise_if_any()
    assert problems.error().problems == ()


SERVED_REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"model_id": f"us.{HAIKU}"}, r"models\.0\.model_id = 'us\..*Give either"),
    ({"served_by": None}, r"models\.0\.model_id = None: .*Give either"),
    ({"price": None}, r"models\.0\.price = None: It is not known of qwen3-8b"),
    ({"context_tokens": None}, r"models\.0\.context_tokens = None: It is not known of qwen3-8b"),
    (
        {"capabilities": (ModelCapability.DOCUMENT,)},
        r"models\.0\.capabilities = .*document.*no place for it",
    ),
    ({"cache_minimum_tokens": 9}, r"models\.0\.served_by = .*cache_minimum_tokens is Bedrock's"),
    ({"price": Price(input=1)}, r"models\.0\.price\.output = 0: A model whose output costs"),
    ({"max_output_tokens": 40_000}, r"models\.0\.max_output_tokens = 40000: The model writes"),
]


@pytest.mark.parametrize(("members", "expected"), SERVED_REFUSALS)
def test_a_served_model_that_cannot_be_is_refused(members: dict[str, Any], expected: str) -> None:
    assert re.search(expected, refusal(models=(served(**members),)))


def test_what_the_server_does_not_do_is_refused() -> None:
    tools = (ModelCapability.TOOLS,)
    assert "has no model of this name" in held_against_servers(served(served_by="other"))
    assert "takes 8192 tokens in all" in held_against_servers(served(), max_model_tokens=8192)
    assert "as plain text" in held_against_servers(served(capabilities=tools))
    assert held_against_servers(served(capabilities=tools), tool_parser="hermes") == ""
    assert held_against_servers(alias()) == ""
