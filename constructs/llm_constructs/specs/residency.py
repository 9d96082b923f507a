"""Where a request to a model may be computed, and which inference profiles keep to it."""

import re
from dataclasses import dataclass
from enum import StrEnum

from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import REGIONS, Jurisdiction

GLOBAL_PREFIX = "global"
"""The prefix of profiles that route to every commercial region.

https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
"""

JURISDICTION_OF_PREFIX: dict[str, Jurisdiction | None] = {
    "us": Jurisdiction.US,
    "us-gov": Jurisdiction.US_GOV,
    "eu": Jurisdiction.EU,
    "jp": Jurisdiction.JAPAN,
    "au": Jurisdiction.AUSTRALIA,
    "ca": Jurisdiction.CANADA,
    "apac": None,
}
"""Prefixes of geographic profiles, with the jurisdiction that holds all of their destinations.

The destinations of ``apac`` lie in many countries. Source:
https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html
"""

PROVIDERS = frozenset(
    {
        *("ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta"),
        *("minimax", "mistral", "moonshot", "moonshotai", "nvidia", "openai", "qwen", "stability"),
        *("twelvelabs", "writer", "xai", "zai"),
    }
)
"""First parts of foundation model ids, by which a prefix is recognised.

https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html
"""

_MODEL_ID = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9a-z]+)*")

_DEPLOYMENT = re.compile(
    r"arn:aws(-[a-z]+)*:bedrock:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):"
    r"custom-model-deployment/[a-z0-9]{12}"
)
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetCustomModelDeployment.html"""


@dataclass(frozen=True)
class CustomModelDeployment:
    """A fine-tuned model that Bedrock serves on demand, by its ARN: in one account and region."""

    arn: str
    account: str
    region: str

    @classmethod
    def parse(cls, model_id: str) -> "CustomModelDeployment | None":
        """Return the deployment that ``model_id`` is the ARN of, or ``None`` for any other id."""
        match = _DEPLOYMENT.fullmatch(model_id)
        return cls(model_id, match["account"], match["region"]) if match else None


class Residency(StrEnum):
    """How far a request may travel."""

    REGION = "region"
    """It stays in the environment's region."""
    GEO = "geo"
    """It stays in the environment's jurisdiction."""
    GLOBAL = "global"
    """It may go to any commercial region."""


@dataclass(frozen=True)
class ModelReference:
    """A Bedrock model id, apart from the prefix that makes it an inference profile's."""

    prefix: str | None
    """``None`` for a model called directly, in the region of the caller."""
    foundation_model: str
    """The id of the model itself; that of a fine-tuned one is not told by its deployment, and
    empty."""
    deployment: CustomModelDeployment | None = None
    """The deployment of a fine-tuned model."""

    @classmethod
    def parse(cls, model_id: str) -> "ModelReference":
        """Take ``model_id`` apart.

        Raises :class:`~llm_constructs.specs.problem.SpecificationError` for what is neither a
        foundation model id, nor that of a system-defined inference profile, nor the ARN of a custom
        model deployment.
        """
        if deployment := CustomModelDeployment.parse(model_id):
            return cls(None, "", deployment)
        problems = Problems("model")
        first, _, rest = model_id.partition(".")
        provider = rest.partition(".")[0]
        if _MODEL_ID.fullmatch(model_id) is None:
            problems.add(
                "model_id",
                model_id,
                "It is not the id of a foundation model or a system-defined inference profile.",
                "Give an id such as us.anthropic.claude-haiku-4-5-20251001-v1:0, or the ARN of a "
                "custom model deployment. Other ARNs are refused: those of application profiles do "
                "not tell where they lead.",
            )
        elif first in PROVIDERS:
            return cls(None, model_id)
        elif first == GLOBAL_PREFIX or first in JURISDICTION_OF_PREFIX:
            return cls(first, rest)
        else:
            kind = "prefix" if provider in PROVIDERS else "provider"
            known = sorted(PROVIDERS if kind == "provider" else JURISDICTION_OF_PREFIX)
            problems.add(
                "model_id",
                model_id,
                f"Where the {kind} {first!r} leads is not known.",
                f"Choose one of {', '.join(known)}.",
            )
        raise problems.error()

    @property
    def is_profile(self) -> bool:
        """Whether the id is an inference profile's, which may leave the region."""
        return self.prefix is not None

    def destinations(self, region: str) -> tuple[str, ...]:
        """Return the regions that may compute a request made in ``region``, sorted.

        ``"*"`` alone stands for every commercial region. For a geographic profile they are all
        regions of its jurisdiction that the platform knows: those that the profile has today may
        become more, and every one is allowed.
        """
        if self.prefix is None:
            return (region,)
        jurisdiction = JURISDICTION_OF_PREFIX.get(self.prefix)
        if jurisdiction is None:
            return ("*",)
        return tuple(sorted(name for name, place in REGIONS.items() if place is jurisdiction))


def check_residency(
    problems: Problems,
    field: str,
    model_id: str,
    *,
    residency: Residency,
    jurisdiction: Jurisdiction,
) -> None:
    """Note a problem for a model whose requests would travel further than ``residency`` allows."""
    reference = ModelReference.parse(model_id)
    prefix, model = reference.prefix, reference.foundation_model
    if prefix is None or (prefix == GLOBAL_PREFIX and residency is Residency.GLOBAL):
        return
    if residency is Residency.REGION:
        problems.add(
            field,
            model_id,
            "An inference profile sends requests to other regions, and the residency is region.",
            f"Use {model} where Bedrock serves it in the region itself, or allow geo.",
        )
    elif prefix == GLOBAL_PREFIX:
        problems.add(
            field,
            model_id,
            f"A global profile leaves the jurisdiction {jurisdiction}, and the residency is geo.",
            _alternative(model, jurisdiction),
        )
    elif JURISDICTION_OF_PREFIX[prefix] is not jurisdiction:
        problems.add(
            field,
            model_id,
            f"Profiles that begin with {prefix}. are computed outside the jurisdiction "
            f"{jurisdiction}, or cannot be called from it.",
            _alternative(model, jurisdiction),
        )


def check_deployment(
    problems: Problems, field: str, model_id: str, *, account: str, region: str
) -> None:
    """Note a fine-tuned model that is deployed elsewhere, where a call would not find it."""
    deployment = CustomModelDeployment.parse(model_id)
    problems.require(
        deployment is None or (deployment.account, deployment.region) == (account, region),
        field,
        model_id,
        f"A fine-tuned model answers in the account and region of its deployment, and these are "
        f"{account} and {region}.",
        "Copy the model there, deploy it, and give that deployment's ARN.",
    )


def _alternative(model: str, jurisdiction: Jurisdiction) -> str:
    for prefix, place in JURISDICTION_OF_PREFIX.items():
        if place is jurisdiction:
            return f"Use {prefix}.{model}, or {model} where Bedrock serves it in the region itself."
    return f"Use {model}: no geographic profile stays in the jurisdiction {jurisdiction}."
