"""A second pass over redacted text by a Bedrock guardrail, which finds names too.

It is off unless a guardrail is configured: each call costs money and time. It gets text that the
redactor has been over already, so that raw text takes no further path.
"""

from collections.abc import Sequence
from typing import Any, Protocol

CHARACTERS_PER_CALL = 20_000
"""Below the 25 text units of 1,000 characters that one call of ApplyGuardrail takes by default
(https://docs.aws.amazon.com/general/latest/gr/bedrock.html)."""


class GuardrailClient(Protocol):
    """The part of the ``bedrock-runtime`` client that is used."""

    def apply_guardrail(self, **arguments: Any) -> Any:
        """Call ApplyGuardrail."""
        ...


class AnonymizationFailed(Exception):  # noqa: N818 - a state; whoever sees it logs no text
    """The guardrail did not return the text; the message holds none of it."""


class GuardrailAnonymizer:
    """Masks what a guardrail's sensitive information policy is set to ANONYMIZE."""

    def __init__(self, client: GuardrailClient, guardrail_id: str, version: str) -> None:
        self._client = client
        self._guardrail_id = guardrail_id
        self._version = version

    def anonymize(self, text: str) -> str:
        """Return ``text`` as the guardrail leaves it.

        Raises:
            AnonymizationFailed: the guardrail blocked the text, or could not be asked.
        """
        return "".join(self._masked(part) for part in parts_of(text))

    def _masked(self, text: str) -> str:
        try:
            answer = self._client.apply_guardrail(
                guardrailIdentifier=self._guardrail_id,
                guardrailVersion=self._version,
                source="OUTPUT",
                content=[{"text": {"text": text}}],
            )
        except Exception as error:
            # Any failure at all means no text; the cause may quote it, so that it is dropped.
            message = f"ApplyGuardrail failed with {type(error).__name__}."
            raise AnonymizationFailed(message) from None
        if answer["action"] == "NONE":
            return text
        if is_blocked(answer.get("assessments", [])):
            raise AnonymizationFailed("The guardrail blocks the text instead of masking it.")
        return "".join(output["text"] for output in answer["outputs"])


def parts_of(text: str) -> list[str]:
    """Cut at white space, so that no name is cut in two unless it is longer than a call takes."""
    parts = []
    while len(text) > CHARACTERS_PER_CALL:
        cut = max(text.rfind(" ", 0, CHARACTERS_PER_CALL), text.rfind("\n", 0, CHARACTERS_PER_CALL))
        cut = cut + 1 if cut > 0 else CHARACTERS_PER_CALL
        parts.append(text[:cut])
        text = text[cut:]
    return [*parts, text] if text else parts


def is_blocked(assessments: Sequence[Any]) -> bool:
    """Return whether a policy blocks the text, rather than masks parts of it."""
    found = [
        finding.get("action")
        for assessment in assessments
        for policy in assessment.values()
        if isinstance(policy, dict)
        for findings in policy.values()
        if isinstance(findings, list)
        for finding in findings
    ]
    return "BLOCKED" in found
