"""What the gateway costs: kept ready, and for a month's requests."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from config import Environment
from llm_constructs.specs.gateway import Gateway
from ops.price.estimate import HOURS, Quantity
from ops.price.rates import Rate

PART: Final = "gateway"

MODEL_PRICES_RECORDED: Final = date(2026, 11, 22)
"""The day of the prices in :mod:`llm_constructs.specs.foundation_models`."""

_MILLION: Final = Decimal(1_000_000)
_MIB_PER_GIB: Final = Decimal(1024)
_USE = re.compile(r"([a-z0-9][a-z0-9._-]*)=(\d+):(\d+):(\d+)")


class UseError(ValueError):
    """A use that cannot be; the message says why and what to write."""


@dataclass(frozen=True)
class ModelUse:
    """Requests of a month through one alias, and the tokens of an average one.

    ``cached_share`` of the input is read from the prompt cache. Writing it is not counted.
    """

    alias: str
    requests: int
    input_tokens: int
    output_tokens: int
    cached_share: Decimal = Decimal(0)

    @classmethod
    def parse(cls, text: str, gateway: Gateway, cached_share: Decimal) -> "ModelUse":
        """Read ``alias=requests:input:output``.

        Raises :class:`UseError` for anything else and for aliases that the gateway does not have.
        """
        match = _USE.fullmatch(text)
        if match is None:
            raise UseError(
                f"{text!r} is no use of a model. Write alias=REQUESTS:INPUT:OUTPUT, as in "
                "standard=100000:2000:500, the tokens being those of one request."
            )
        aliases = [model.alias for model in gateway.models]
        if match[1] not in aliases:
            raise UseError(
                f"The gateway has no model {match[1]!r}. Choose from {', '.join(aliases)}."
            )
        if not 0 <= cached_share <= 1:
            raise UseError(f"The cached share is {cached_share}. Give a number from 0 to 1.")
        return cls(match[1], int(match[2]), int(match[3]), int(match[4]), cached_share)

    def quantities(self, region: str) -> Iterator[Quantity]:
        """Yield the tokens of the month in millions."""
        read = self.requests * self.input_tokens / _MILLION
        cached = read * self.cached_share
        amounts = {
            "input": read - cached,
            "cache-read": cached,
            "output": self.requests * self.output_tokens / _MILLION,
        }
        for kind, amount in amounts.items():
            what = f"{kind} tokens of {self.alias}"
            yield Quantity("tokens", what, _unit(self.alias, kind), amount, region)


def token_rates(environment: Environment) -> dict[tuple[str, str], Rate]:
    """Return the price of a million tokens of each alias, as the environment's file has it."""
    rates: dict[tuple[str, str], Rate] = {}
    gateway = environment.gateway
    for model in gateway.models if gateway else ():
        price = gateway.price(model) if gateway else None
        if price is None:
            continue
        # An alias whose model gives no discount for cached tokens pays the full price for them.
        amounts = {
            "input": price.input,
            "cache-read": price.cache_read or price.input,
            "output": price.output,
        }
        for kind, micro_usd in amounts.items():
            unit = _unit(model.alias, kind)
            rates[unit, environment.region] = Rate(
                unit,
                environment.region,
                micro_usd / _MILLION,
                "the environment's file, or the catalogue of foundation models",
                MODEL_PRICES_RECORDED,
            )
    return rates


def standing_quantities(environment: Environment) -> Iterator[Quantity]:
    """Yield what is kept ready: provisioned concurrency and containers at their minimum."""
    gateway, region = environment.gateway, environment.region
    if gateway is None:
        return
    ready = gateway.provisioned_concurrency
    if ready is not None:
        gib = ready.minimum * gateway.memory_mib / _MIB_PER_GIB
        unit = "provisioned-concurrency-gib-hour"
        yield Quantity(PART, "provisioned concurrency", unit, gib * HOURS, region)
    if gateway.service is not None:
        size = gateway.service.capacity
        tasks = Decimal(size.minimum_tasks * HOURS)
        cpu, memory = tasks * size.cpu / 1024, tasks * size.memory_mib / _MIB_PER_GIB
        yield Quantity(PART, "containers: CPU", "fargate-arm-vcpu-hour", cpu, region)
        yield Quantity(
            PART, "containers: memory", "fargate-arm-gib-hour", memory, environment.region
        )


def use_quantities(
    environment: Environment, uses: Iterable[ModelUse], seconds: Decimal
) -> Iterator[Quantity]:
    """Yield what requests of ``seconds`` on average cost beside their tokens, and the tokens.

    Each instance of the function answers one request at a time and is paid for while it streams.
    """
    gateway, region = environment.gateway, environment.region
    if gateway is None:
        return
    requests = Decimal(0)
    served = {model.alias for model in gateway.models if model.served_by is not None}
    for use in uses:
        requests += use.requests
        # Nobody bills the tokens of a model on the cluster: its nodes are paid for.
        if use.alias not in served:
            yield from use.quantities(region)
    millions = requests / _MILLION
    gib_seconds = requests * seconds * gateway.memory_mib / _MIB_PER_GIB
    yield Quantity(PART, "API requests", "rest-api-million-requests", millions, region)
    yield Quantity(PART, "firewall requests", "firewall-million-requests", millions, region)
    yield Quantity(PART, "function requests", "function-million-requests", millions, region)
    yield Quantity(PART, "function time", "function-gib-second", gib_seconds, region)


def _unit(alias: str, kind: str) -> str:
    return f"{alias}-million-{kind}-tokens"
