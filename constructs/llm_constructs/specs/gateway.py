"""What the gateway in front of Bedrock and the environment's own models offers, and to whom."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from llm_constructs.specs.data_retention import RetentionSetting
from llm_constructs.specs.gateway_service import LABEL, ContainerService
from llm_constructs.specs.guardrail import PII_TYPES, GuardrailSettings
from llm_constructs.specs.invocation_logging import InvocationLogs
from llm_constructs.specs.log_retention import check_log_retention
from llm_constructs.specs.model import (
    ModelAlias,
    ModelFacts,
    ModelKind,
    Price,
    catalogue_entry,
)
from llm_constructs.specs.model_offer import check_models, facts_of, price_of
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import Jurisdiction
from llm_constructs.specs.residency import (
    ModelReference,
    Residency,
    check_residency,
)

LONGEST_AUTHORIZER_CACHE = 3600
"""Seconds. https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html"""

LOWEST_ADDRESS_LIMIT = 10
"""Requests. https://docs.aws.amazon.com/waf/latest/APIReference/API_RateBasedStatement.html"""

MEMORY_MIB = (512, 10_240)
"""Below 512 MiB a function gets so little processor that streams stutter; the upper bound is
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html."""

LONGEST_CATALOGUE = 32 * 1024
"""Characters of the catalogue in a task definition, which has 64 KiB in all and in which each quote
takes two.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
"""

_PLAN_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class Deployment(StrEnum):
    """How a new version of the gateway takes over."""

    CANARY = "canary"
    """A tenth of the traffic for five minutes, and back when an alarm goes off."""
    AT_ONCE = "at-once"
    """All of the traffic, and back when an alarm goes off."""


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """What API Gateway lets pass before anything is computed."""

    requests_per_second: int = 50
    """The steady rate."""
    burst: int = 100
    """The most requests at one moment."""

    def __post_init__(self) -> None:
        problems = Problems("throttle")
        problems.require(
            self.requests_per_second >= 1,
            "requests_per_second",
            self.requests_per_second,
            "Nothing would pass.",
            "Give at least 1.",
        )
        problems.require(
            self.burst >= self.requests_per_second,
            "burst",
            self.burst,
            f"A burst below the steady rate, {self.requests_per_second}, would be the rate.",
            f"Give at least {self.requests_per_second}.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class UsagePlan:
    """A throttle of its own for the teams that are given its identifier."""

    name: str
    """Its name: lower-case letters, digits and hyphens."""
    throttle: Throttle = Throttle()
    """The rate of all of its teams together."""
    requests_per_day: int | None = None
    """The most requests in a day (UTC). Left out: no limit but the teams' own budgets."""

    def __post_init__(self) -> None:
        problems = Problems("usage plan")
        problems.require(
            _PLAN_NAME.fullmatch(self.name) is not None and self.name != DEFAULT_PLAN,
            "name",
            self.name,
            f"It is not the name of a usage plan, or is the one of the plan {DEFAULT_PLAN!r}, "
            "which [gateway.throttle] describes.",
            "Use up to 31 lower-case letters, digits and hyphens, a letter first.",
        )
        problems.require(
            self.requests_per_day is None or self.requests_per_day >= 1,
            "requests_per_day",
            self.requests_per_day,
            "Nothing would pass.",
            "Give at least 1, or leave it out.",
        )
        problems.raise_if_any()


DEFAULT_PLAN = "default"
"""The name of the usage plan of teams that have none of their own."""


@dataclass(frozen=True, kw_only=True)
class ProvisionedConcurrency:
    """Instances of the function that are kept ready, which takes cold starts away and costs."""

    minimum: int
    """Always ready."""
    maximum: int
    """Ready under load."""
    target_percent: int = 70
    """The share in use above which more are made ready."""

    def __post_init__(self) -> None:
        problems = Problems("provisioned concurrency")
        problems.require(
            1 <= self.minimum <= self.maximum,
            "minimum",
            self.minimum,
            f"It must lie between 1 and maximum, which is {self.maximum}.",
            "Lower it, or raise maximum; leave the table out to keep none ready.",
        )
        problems.require(
            10 <= self.target_percent <= 90,
            "target_percent",
            self.target_percent,
            "Lambda scales on a utilisation of 10 to 90 percent.",
            "Give such a number; 70 leaves room for a burst.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class OidcProvider:
    """Whose JSON Web Tokens are accepted beside API keys: Cognito's, or another's."""

    issuer: str
    """The issuer, as its tokens name it; its keys are fetched from `/.well-known/jwks.json` below
    it."""
    audiences: tuple[str, ...]
    """The client ids or audiences, of which a token must be for one."""
    team_claim: str = "custom:team"
    """The claim that holds the team."""

    def __post_init__(self) -> None:
        problems = Problems("OpenID Connect provider")
        problems.require(
            re.fullmatch(r"https://[^\s?#]+", self.issuer) is not None,
            "issuer",
            self.issuer,
            "Keys that were not fetched over TLS prove nothing.",
            "Give the issuer's address, beginning with https://.",
        )
        problems.require(
            bool(self.audiences) and all(self.audiences) and "," not in "".join(self.audiences),
            "audiences",
            list(self.audiences),
            "Without an audience, a token for any other application would do; and none may hold a "
            "comma.",
            "Name the client ids of the applications that may call.",
        )
        problems.require(
            bool(self.team_claim),
            "team_claim",
            self.team_claim,
            "Nothing would say whose budget a token uses.",
            "Name the claim that holds the team, or leave it out for custom:team.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class WebAdapterLayer:
    """The layer of the Lambda Web Adapter, which AWS publishes in each region.

    https://github.com/awslabs/aws-lambda-web-adapter
    """

    account: str = "753240598075"
    """The account that publishes it."""
    name: str = "LambdaAdapterLayerArm64"
    """The layer for arm64 functions."""
    version: int = 27
    """The layer's version."""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The OpenAI-compatible API in front of Bedrock and of `[serving]`.

    docs/gateway-deployment.md describes it.
    """

    models: tuple[ModelAlias, ...]
    """The models on offer. The gateway may call these and no others."""
    residency: Residency = Residency.GEO
    """How far a request may travel: `region`, `geo` (the environment's jurisdiction) or `global`.
    Models that would take it further are refused."""
    guardrail: GuardrailSettings = GuardrailSettings()  # noqa: RUF009 - it is frozen
    """What every chat call is checked for."""
    masked_in_logs: tuple[str, ...] = ()
    """Personal data, as Bedrock names it, that a second guardrail masks in the request log after
    the gateway's own redactor, for example `NAME`. Each logged request is paid for. Left out: the
    redactor alone."""
    oidc: OidcProvider | None = None
    """Whose tokens are accepted beside API keys. Left out: keys and signed requests only."""
    private: bool = False
    """Whether the API is reached only from inside the VPC. It has no domain of its own then."""
    domain_prefix: str = "api"
    """The name below the network's domain, where the network has one."""
    playground: bool = True
    """Whether a page to try the API is served, and the API's description, without a credential."""
    throttle: Throttle = Throttle()
    """The rate of all teams together that have no usage plan of their own."""
    usage_plans: tuple[UsagePlan, ...] = ()
    """Throttles for single teams."""
    requests_per_address: int = 3000
    """The most requests from one IP address in five minutes; the firewall refuses the rest."""
    authorizer_cache_seconds: int = 300
    """For how long a credential that was checked once is trusted, and so the time until the
    revocation of a key is effective. 0 checks every request."""
    memory_mib: int = 1024
    """The function's memory, and with it its share of a processor."""
    reserved_concurrency: int = 100
    """The most requests at one moment. It is taken from the account's concurrency, of which Lambda
    wants 100 left over."""
    provisioned_concurrency: ProvisionedConcurrency | None = None
    """Instances that are kept ready. Left out: none, and a first request takes a second longer."""
    deployment: Deployment = Deployment.CANARY
    """How a new version takes over: `canary` or `at-once`."""
    web_adapter: WebAdapterLayer = WebAdapterLayer()
    """The layer that hands requests to the application."""
    logging_role: bool = True
    """Whether this stack makes the role with which API Gateway writes logs. It is a setting of the
    whole account and region: false where another stack makes it."""
    log_retention_days: int = 365
    """Days until logs go."""
    service: ContainerService | None = None
    """The same application in containers, beside the function. Left out: the function alone."""
    invocation_logging: InvocationLogs | None = None
    """Bedrock's own log of raw requests and answers, of **every** caller in the account and region.
    Left out: the stack does not touch the setting."""
    data_retention: RetentionSetting | None = None
    """What AWS and the providers of models may keep, for every caller in the account and region.
    Left out: the stack does not touch the setting."""

    def __post_init__(self) -> None:
        problems = Problems("gateway")
        self._check_numbers(problems)
        self._check_names(problems)
        check_models(problems, self.models)
        unknown = [kind for kind in self.masked_in_logs if kind not in PII_TYPES]
        problems.require(
            not unknown,
            "masked_in_logs",
            unknown,
            "Bedrock's guardrails know no such kind of data.",
            f"Choose from {', '.join(sorted(PII_TYPES))}.",
        )
        problems.raise_if_any()
        # The catalogue can be written of models that are in order.
        self._check_service(problems)
        problems.raise_if_any()

    def facts(self, alias: ModelAlias) -> ModelFacts:
        """Return what is known of the model behind ``alias``, with what the alias gives itself."""
        return facts_of(alias)

    def price(self, alias: ModelAlias) -> Price:
        """Return what tokens cost through ``alias``."""
        return price_of(alias)

    def catalogue(self, base_urls: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the document from which the gateway knows its models.

        ``base_urls`` says where the models of ``[serving]`` answer, by their names there.
        """
        addresses = base_urls or {}
        return {
            model.alias: catalogue_entry(
                model,
                facts_of(model),
                price_of(model),
                base_url=addresses.get(model.served_by or ""),
            )
            for model in self.models
        }

    def catalogue_text(self, base_urls: Mapping[str, str] | None = None) -> str:
        """Return the catalogue as the shortest JSON, for an environment variable."""
        return json.dumps(self.catalogue(base_urls), sort_keys=True, separators=(",", ":"))

    @property
    def served_models(self) -> tuple[str, ...]:
        """The names of the models of ``[serving]`` that aliases lead to, each once."""
        return tuple(dict.fromkeys(it.served_by for it in self.models if it.served_by is not None))

    def references(self, kind: ModelKind | None = None) -> tuple[ModelReference, ...]:
        """Return the models on Bedrock, or those of one kind, each once, in the aliases' order."""
        found = (
            model.reference for model in self.models if kind is None or facts_of(model).kind is kind
        )
        return tuple(dict.fromkeys(reference for reference in found if reference is not None))

    def check_residency(
        self, problems: Problems, jurisdiction: Jurisdiction, *, field: str = "models"
    ) -> None:
        """Note every model whose requests would travel further than the residency allows.

        What the environment serves itself stays in its VPC.

        ``field`` is where the models stand in what ``problems`` are about.
        """
        for index, model in enumerate(self.models):
            if model.model_id is None:
                continue
            check_residency(
                problems,
                f"{field}.{index}.model_id",
                model.model_id,
                residency=self.residency,
                jurisdiction=jurisdiction,
            )

    def _check_numbers(self, problems: Problems) -> None:
        lowest, highest = MEMORY_MIB
        for name, low, high in (
            ("authorizer_cache_seconds", 0, LONGEST_AUTHORIZER_CACHE),
            ("memory_mib", lowest, highest),
            ("requests_per_address", LOWEST_ADDRESS_LIMIT, 2_000_000_000),
            ("reserved_concurrency", 1, 100_000),
        ):
            value: int = getattr(self, name)
            problems.require(
                low <= value <= high,
                name,
                value,
                f"It must lie between {low} and {high}.",
                "Give such a number, or leave it out for the default.",
            )
        most_ready = self.provisioned_concurrency and self.provisioned_concurrency.maximum
        problems.require(
            (most_ready or 0) <= self.reserved_concurrency,
            "provisioned_concurrency.maximum",
            most_ready,
            f"More would be kept ready than may run: reserved_concurrency is "
            f"{self.reserved_concurrency}.",
            "Lower it, or raise reserved_concurrency.",
        )
        check_log_retention(problems, self.log_retention_days)

    def _check_names(self, problems: Problems) -> None:
        problems.require(
            LABEL.fullmatch(self.domain_prefix) is not None,
            "domain_prefix",
            self.domain_prefix,
            "It is not one label of a domain name, and the certificate covers no more.",
            "Use up to 63 lower-case letters, digits and hyphens, without a dot.",
        )
        for field, names in (
            ("usage_plans", [plan.name for plan in self.usage_plans]),
            ("models", [model.alias for model in self.models]),
        ):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            problems.require(
                not twice, field, twice, "A name is given twice.", "Give each a name of its own."
            )

    def _check_service(self, problems: Problems) -> None:
        if self.service is None:
            return
        problems.require(
            self.private or self.service.domain_prefix != self.domain_prefix,
            "service.domain_prefix",
            self.service.domain_prefix,
            "It is the name of the API, and one name leads to one place.",
            "Give the service another one.",
        )
        length = len(self.catalogue_text())
        problems.require(
            length <= LONGEST_CATALOGUE,
            "models",
            f"{len(self.models)} models",
            f"Their catalogue has {length} characters, and a task definition has room for "
            f"{LONGEST_CATALOGUE}.",
            "Offer fewer models, or remove [gateway.service].",
        )
