"""What the guardrail of the gateway looks for."""

from dataclasses import dataclass
from enum import StrEnum

from llm_constructs.specs.problem import Problems

PII_TYPES = frozenset(
    {
        *("ADDRESS", "AGE", "NAME", "EMAIL", "PHONE", "USERNAME", "PASSWORD", "DRIVER_ID"),
        *("LICENSE_PLATE", "VEHICLE_IDENTIFICATION_NUMBER", "CREDIT_DEBIT_CARD_CVV"),
        *("CREDIT_DEBIT_CARD_EXPIRY", "CREDIT_DEBIT_CARD_NUMBER", "PIN"),
        *("INTERNATIONAL_BANK_ACCOUNT_NUMBER", "SWIFT_CODE", "IP_ADDRESS", "MAC_ADDRESS", "URL"),
        *("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "US_BANK_ACCOUNT_NUMBER", "US_BANK_ROUTING_NUMBER"),
        *("US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER", "US_PASSPORT_NUMBER"),
        *("US_SOCIAL_SECURITY_NUMBER", "CA_HEALTH_NUMBER", "CA_SOCIAL_INSURANCE_NUMBER"),
        *("UK_NATIONAL_HEALTH_SERVICE_NUMBER", "UK_NATIONAL_INSURANCE_NUMBER"),
        "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER",
    }
)
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GuardrailPiiEntityConfig.html"""

LONGEST_MESSAGE = 500
"""Characters. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateGuardrail.html"""

HIGHEST_THRESHOLD = 99
"""Percent. https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-contextual-grounding-check.html"""


class FilterStrength(StrEnum):
    """How readily a content filter takes something for harmful."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, kw_only=True)
class GuardrailSettings:
    """The guardrail that every chat call passes. It can be made weaker, but not left out."""

    content_filters: FilterStrength = FilterStrength.MEDIUM
    """Hate, insults, sexual content, violence and misconduct, in prompts and answers."""
    prompt_attacks: FilterStrength = FilterStrength.HIGH
    """Attempts to make the model disregard its instructions, in prompts."""
    blocked_pii: tuple[str, ...] = ("AWS_SECRET_KEY", "CREDIT_DEBIT_CARD_NUMBER", "PASSWORD")
    """Personal data and credentials that block a prompt or an answer, as Bedrock names them."""
    masked_pii: tuple[str, ...] = ()
    """Personal data that is replaced by its name in prompts and answers."""
    grounding_percent: int | None = None
    """The least that an answer must be supported by the retrieved text that it is given, in
    percent. Left out: not checked."""
    relevance_percent: int | None = None
    """The least that an answer must bear on the question, in percent. Left out: not checked."""
    blocked_message: str = "This request or its answer is against the rules of use."
    """What stands in place of what was blocked."""

    def __post_init__(self) -> None:
        problems = Problems("guardrail")
        self._check_pii(problems)
        for name in ("grounding_percent", "relevance_percent"):
            percent: int | None = getattr(self, name)
            problems.require(
                percent is None or 1 <= percent <= HIGHEST_THRESHOLD,
                name,
                percent,
                f"A threshold lies between 1 and {HIGHEST_THRESHOLD}.",
                "Give such a number, or leave it out to check nothing.",
            )
        problems.require(
            1 <= len(self.blocked_message) <= LONGEST_MESSAGE,
            "blocked_message",
            self.blocked_message,
            f"It has {len(self.blocked_message)} characters.",
            f"Write 1 to {LONGEST_MESSAGE} characters.",
        )
        problems.raise_if_any()

    def _check_pii(self, problems: Problems) -> None:
        for name in ("blocked_pii", "masked_pii"):
            kinds: tuple[str, ...] = getattr(self, name)
            unknown = [kind for kind in kinds if kind not in PII_TYPES]
            problems.require(
                not unknown,
                name,
                unknown,
                "Bedrock's guardrails know no such kind of data.",
                f"Choose from {', '.join(sorted(PII_TYPES))}.",
            )
        twice = sorted({*self.blocked_pii} & {*self.masked_pii})
        problems.require(
            not twice,
            "masked_pii",
            twice,
            "It is blocked already, and cannot be masked as well.",
            "Keep each kind in one of blocked_pii and masked_pii.",
        )


def masking_only(kinds: tuple[str, ...]) -> GuardrailSettings:
    """Return the settings of a guardrail that masks ``kinds`` of personal data and blocks nothing.

    Raises :class:`~llm_constructs.specs.problem.SpecificationError` for kinds that do not exist.
    """
    return GuardrailSettings(
        content_filters=FilterStrength.NONE,
        prompt_attacks=FilterStrength.NONE,
        blocked_pii=(),
        masked_pii=kinds,
    )
