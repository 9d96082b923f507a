"""`ops price`: what is counted, at which price, and that sums are sums."""

import json
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from config import Environment, load
from config.loading import DIRECTORY
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from ops.__main__ import app
from ops.assembly import SynthesisedStack
from ops.aws_account import Account
from ops.price import command
from ops.price.estimate import HOURS, Estimate, Quantity
from ops.price.gateway_use import (
    ModelUse,
    standing_quantities,
    token_rates,
    use_quantities,
)
from ops.price.pools import ceilings, paid_beforehand
from ops.price.price_list import PriceList
from ops.price.rates import STALE_AFTER, TABLE, Rate, RateError, Rates
from ops.price.resources import standing_costs, unpriced_types
from tests.assembly import Assembly
from tests.ops.aws_on_loopback import REGION, AwsOnLoopback

UNITS = tuple(row["unit"] for row in tomllib.loads(TABLE.read_text(encoding="utf-8"))["rates"])
SOME_DAY = date(2026, 11, 22)


def stack(tmp_path: Path, *resources: tuple[str, dict[str, Any]]) -> SynthesisedStack:
    """Return the stack `network` of prod with the given resources."""
    template = {
        "Resources": {
            f"Resource{number}": {"Type": kind, "Properties": properties}
            for number, (kind, properties) in enumerate(resources)
        }
    }
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template))
    return SynthesisedStack("llm-prod-network", "111111111111", REGION, file, (), False)


def amounts(quantities: Iterator[Quantity]) -> dict[str, Decimal]:
    return {
        line.quantity.unit: line.quantity.amount
        for line in Estimate.of(quantities, Rates({})).lines
    }


quantity_strategy = st.builds(
    Quantity,
    part=st.sampled_from(["a", "b"]),
    what=st.sampled_from(["x", "y"]),
    unit=st.sampled_from([*UNITS, "unheard-of-hour"]),
    amount=st.decimals(min_value=0, max_value=10**6, places=3),
    region=st.sampled_from([REGION, "us-west-2"]),
)


@given(st.lists(quantity_strategy, max_size=30))
def test_the_sum_is_every_quantity_times_its_price_however_they_are_joined(
    quantities: list[Quantity],
) -> None:
    rates = Rates.of()
    estimate = Estimate.of(quantities, rates)
    priced = [(q, rates.rate(q.unit, q.region)) for q in quantities]
    assert estimate.usd == sum((q.amount * rate.usd for q, rate in priced if rate), Decimal(0))
    keys = [
        (line.quantity.part, line.quantity.what, line.quantity.unit, line.quantity.region)
        for line in estimate.lines
    ]
    assert len(keys) == len(set(keys))


@given(st.lists(quantity_strategy, max_size=20), st.lists(quantity_strategy, max_size=20))
def test_the_price_of_two_halves_is_the_price_of_the_whole(
    first: list[Quantity], second: list[Quantity]
) -> None:
    rates = Rates.of()
    whole = Estimate.of([*first, *second], rates)
    assert whole.usd == Estimate.of(first, rates).usd + Estimate.of(second, rates).usd
    assert bool(whole.unpriced) == any(
        q.amount and rates.rate(q.unit, q.region) is None for q in [*first, *second]
    )


def test_resources_are_counted_by_what_they_cost(tmp_path: Path) -> None:
    costs = amounts(
        standing_costs(
            stack(
                tmp_path,
                ("AWS::EC2::NatGateway", {}),
                ("AWS::EC2::NatGateway", {}),
                ("AWS::EC2::VPCEndpoint", {"VpcEndpointType": "Interface", "SubnetIds": [1, 2, 3]}),
                ("AWS::EC2::VPCEndpoint", {"VpcEndpointType": "Gateway", "RouteTableIds": [1]}),
                (
                    "AWS::EKS::Nodegroup",
                    {"InstanceTypes": ["m7g.large"], "ScalingConfig": {"MinSize": 2, "MaxSize": 4}},
                ),
                ("AWS::WAFv2::WebACL", {"Rules": [{}, {}]}),
                ("AWS::IAM::Role", {}),
            )
        )
    )
    assert costs == {
        "nat-gateway-hour": 2 * HOURS,
        "interface-endpoint-zone-hour": 3 * HOURS,
        "m7g.large-hour": 2 * HOURS,
        "web-acl-month": 1,
        "web-acl-rule-month": 2,
    }


@pytest.mark.parametrize(
    ("configuration", "unit"),
    [
        ({"DeploymentType": "SCRATCH_2"}, "lustre-scratch-gib-month"),
        (
            {"DeploymentType": "PERSISTENT_2", "PerUnitStorageThroughput": 500},
            "lustre-persistent-500-gib-month",
        ),
    ],
)
def test_a_file_system_costs_by_its_kind(
    tmp_path: Path, configuration: dict[str, Any], unit: str
) -> None:
    properties = {"StorageCapacity": 2400, "LustreConfiguration": configuration}
    costs = amounts(standing_costs(stack(tmp_path, ("AWS::FSx::FileSystem", properties))))
    assert costs == {unit: 2400}
    assert unit in UNITS


def test_a_node_group_on_a_block_costs_nothing_while_it_is_empty(tmp_path: Path) -> None:
    group = {"InstanceTypes": ["trn2.48xlarge"], "ScalingConfig": {"MinSize": 0, "MaxSize": 4}}
    assert amounts(standing_costs(stack(tmp_path, ("AWS::EKS::Nodegroup", group)))) == {}


def test_what_costs_by_the_hour_and_has_no_rule_is_named(tmp_path: Path) -> None:
    resources = stack(tmp_path, ("AWS::SageMaker::Endpoint", {}), ("AWS::IAM::Role", {}))
    assert unpriced_types(resources) == {"AWS::SageMaker::Endpoint"}


def test_the_committed_table_says_whence_and_when_and_no_unit_twice() -> None:
    content = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    rows = content["rates"]
    where = [(row["unit"], region) for row in rows for region in row["regions"]]
    assert len(where) == len(set(where))
    assert all(row["source"].startswith("https://aws.amazon.com/") for row in rows)
    instances = [unit.removesuffix("-hour") for unit in UNITS if "." in unit]
    assert [name for name in instances if name not in INSTANCE_TYPES] == []


def test_a_table_of_ones_own_wins(tmp_path: Path) -> None:
    table = tmp_path / "ours.toml"
    table.write_text(
        'recorded = 2026-11-01\n[[rates]]\nunit = "nat-gateway-hour"\nusd = "0.02"\n'
        'regions = ["us-east-2"]\nsource = "our contract"\n'
    )
    rates = Rates.of(table)
    own, committed = rates.rate("nat-gateway-hour", REGION), rates.rate("kms-key-month", REGION)
    assert own is not None
    assert (own.usd, own.source) == (Decimal("0.02"), "our contract")
    assert committed is not None
    assert rates.rate("nat-gateway-hour", "sa-east-1") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("recorded = ", "cannot be read as TOML"),
        ("rates = []", "recorded is missing"),
        ('recorded = 2026-11-01\n[[rates]]\nunit = "a"', "regions, source, usd is missing"),
        (
            'recorded = 2026-11-01\n[[rates]]\nunit = "a"\nusd = "-1"\nregions = []\nsource = ""',
            "is no price",
        ),
    ],
)
def test_a_table_that_is_none_is_refused_in_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    table = tmp_path / "ours.toml"
    table.write_text(text)
    with pytest.raises(RateError, match=sentence):
        Rates.of(table)
    result = run("--rates", str(table))
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_a_price_is_old_after_its_time() -> None:
    rate = Rate("a", REGION, Decimal(1), "somewhere", SOME_DAY)
    assert not rate.is_stale(SOME_DAY + STALE_AFTER)
    assert rate.is_stale(SOME_DAY + STALE_AFTER + timedelta(days=1))


@pytest.fixture
def aws() -> Iterator[AwsOnLoopback]:
    with AwsOnLoopback() as loopback, pytest.MonkeyPatch.context() as patch:
        for name, value in loopback.environment.items():
            patch.setenv(name, value)
        yield loopback
        assert loopback.surprises == []


def product(*prices: str) -> str:
    dimensions = {
        str(number): {"unit": "Hrs", "pricePerUnit": {"USD": price}}
        for number, price in enumerate(prices)
    }
    return json.dumps(
        {
            "publicationDate": "2026-11-20T00:00:00Z",
            "terms": {"OnDemand": {"term": {"priceDimensions": dimensions}}},
        }
    )


@pytest.mark.parametrize(
    ("products", "usd"),
    [
        ([product("2.5")], Decimal("2.5")),
        ([product("2.5"), product("2.5")], Decimal("2.5")),
        ([product("0.0", "2.5")], Decimal("2.5")),
        ([product("2.5", "3.5")], None),
        ([product()], None),
        ([], None),
    ],
)
def test_the_price_list_gives_one_price_or_none(
    aws: AwsOnLoopback, products: list[str], usd: Decimal | None
) -> None:
    aws.answer("pricing", "GetProducts", {"PriceList": products})
    rates = Rates.of(lookup=PriceList(Account(REGION)))
    rate = rates.rate("p5.48xlarge-hour", REGION)
    assert (rate.usd if rate else None) == usd
    rates.rate("p5.48xlarge-hour", REGION)
    # Endpoints and the like are not in its part of the list, and nothing is asked twice.
    assert rates.rate("nat-gateway-hour", REGION) is not None
    assert len(aws.called("GetProducts")) == 1
    if rate is not None:
        assert rate.source == "AWS Price List, 2026-11-20"


def prod() -> Environment:
    return load("prod")


USE = st.builds(
    ModelUse,
    alias=st.sampled_from(["fast", "standard", "smart", "embed"]),
    requests=st.integers(0, 10**8),
    input_tokens=st.integers(0, 10**5),
    output_tokens=st.integers(0, 10**4),
    cached_share=st.decimals(min_value=0, max_value=1, places=2),
)


@given(USE)
def test_tokens_cost_what_the_gateway_charges_teams(use: ModelUse) -> None:
    environment = prod()
    assert environment.gateway is not None
    (model,) = [m for m in environment.gateway.models if m.alias == use.alias]
    price = environment.gateway.price(model)
    estimate = Estimate.of(use.quantities(REGION), Rates(token_rates(environment)))
    cached = use.input_tokens * use.cached_share
    micro_usd = (
        (use.input_tokens - cached) * price.input
        + cached * (price.cache_read or price.input)
        + use.output_tokens * price.output
    ) * use.requests
    assert abs(estimate.usd - micro_usd / 10**12) < Decimal("1e-9")


def test_every_alias_has_its_tokens_priced() -> None:
    environment = prod()
    uses = [
        ModelUse.parse(f"{alias}=10:10:10", gateway, Decimal("0.5"))
        for gateway in [environment.gateway]
        if gateway
        for alias in ("fast", "standard", "smart", "embed")
    ]
    rates = Rates({**Rates.of().known, **token_rates(environment)})
    estimate = Estimate.of(use_quantities(environment, uses, Decimal(10)), rates)
    assert estimate.unpriced == ()
    assert len(estimate.lines) == 4 * 3 + 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--use", "standard=many"), "Write alias=REQUESTS:INPUT:OUTPUT"),
        (("--use", "nobody=1:1:1"), "Choose from fast, standard, smart, open, embed"),
        (("--use", "fast=1:1:1", "--cached-share", "2"), "from 0 to 1"),
        (("--seconds", "soon"), "is no amount"),
    ],
)
def test_a_use_that_cannot_be_is_refused_in_a_sentence(
    arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_a_use_without_a_gateway_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    without = prod().model_copy(update={"gateway": None})
    monkeypatch.setattr(command, "load", lambda _: without)
    result = run("--use", "fast=1:1:1")
    assert result.exit_code == 1
    assert "has no gateway" in result.stderr


def test_what_is_kept_ready_is_counted_with_its_memory() -> None:
    # Five instances of 1 GiB for all hours.
    assert amounts(standing_quantities(prod())) == {"provisioned-concurrency-gib-hour": 5 * HOURS}


def test_a_pool_costs_at_most_its_limit_of_its_costliest_type() -> None:
    lines = {q.part: q for q in ceilings(prod(), Rates.of())}
    # 64 devices: 8 nodes of 8 cost more than 64 nodes of 1.
    assert lines["pool serving-l40s"].what in ("8 nodes g6e.48xlarge", "64 nodes g6e.2xlarge")
    rates = Rates.of()
    chosen = rates.rate(lines["pool serving-l40s"].unit, REGION)
    assert chosen is not None
    alternatives = [
        (64 // INSTANCE_TYPES[name].accelerator_count) * rate.usd
        for name in ("g6e.2xlarge", "g6e.12xlarge", "g6e.48xlarge")
        if (rate := rates.rate(f"{name}-hour", REGION))
    ]
    assert lines["pool serving-l40s"].amount / HOURS * chosen.usd == max(alternatives)


def test_a_pool_with_a_type_without_price_has_none() -> None:
    (line,) = [q for q in ceilings(prod(), Rates.of()) if q.part == "pool training-p5en"]
    assert line.unit == "p5en.48xlarge-hour"
    assert line.amount == 4 * HOURS


def test_blocks_and_plans_are_named_as_paid() -> None:
    block, plan = paid_beforehand(prod())
    assert "4 nodes trn2.48xlarge from 2027-01-11 to 2027-02-08" in block
    assert "8 nodes trn2.48xlarge were paid" in plan


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["price", "--env", "prod", *arguments])


@pytest.mark.synth
def test_the_document_adds_up_and_names_what_it_lacks(assembly: Assembly) -> None:
    result = run("--json", "--assembly", str(assembly.directory), "--use", "standard=1000:2000:500")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    for name in ("standing", "use", "at_most"):
        table = document[name]
        known = [Decimal(line["usd"]) for line in table["lines"] if line["usd"] is not None]
        assert sum(known) == Decimal(table["usd"])
        assert table["complete"] is (len(known) == len(table["lines"]))
    parts = {line["part"] for line in document["standing"]["lines"]}
    assert {"network", "data", "eks", "gateway"} <= parts
    assert any("p5en.48xlarge-hour" in remark for remark in document["remarks"])


@pytest.mark.synth
@pytest.mark.parametrize("name", sorted(path.stem for path in DIRECTORY.glob("*.toml")))
def test_every_environment_can_be_priced_as_a_table(name: str, assembly: Assembly) -> None:
    result = CliRunner().invoke(
        app, ["price", "--env", name, "--assembly", str(assembly.directory)]
    )
    assert result.exit_code == 0, result.output
    assert "sum" in result.stdout


def test_without_templates_the_next_step_is_told(tmp_path: Path) -> None:
    result = run("--assembly", str(tmp_path))
    assert "Run `make synth`" in str(result.exception)
