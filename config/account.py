"""What an environment says of its account: id, region and tags."""

import re
from typing import Annotated

from pydantic import AfterValidator

from llm_constructs.specs.problem import Problem, Problems, SpecificationError
from llm_constructs.specs.region import REGIONS


def _refuse(field: str, value: object, reason: str, remedy: str) -> SpecificationError:
    return SpecificationError(field, [Problem("", value, reason, remedy)])


def _account_id(value: str) -> str:
    if not re.fullmatch(r"\d{12}", value):
        raise _refuse(
            "account",
            value,
            "An AWS account id has twelve digits.",
            'Write it in quotes, for example "111111111111".',
        )
    return value


def _region(value: str) -> str:
    if value not in REGIONS:
        raise _refuse(
            "region",
            value,
            "It is not a region that the platform knows.",
            f"Choose one of {', '.join(sorted(REGIONS))}.",
        )
    return value


_TAG = re.compile(r"[\w .:/=+\-@]+")
_TAG_KEY_LENGTH, _TAG_VALUE_LENGTH = (
    128,
    256,
)  # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html


def _tags(value: dict[str, str]) -> dict[str, str]:
    problems = Problems("tags")
    for key, text in value.items():
        legal = _TAG.fullmatch(key) and len(key) <= _TAG_KEY_LENGTH
        problems.require(
            bool(legal) and not key.lower().startswith("aws:"),
            key,
            text,
            "AWS does not accept this tag key.",
            "Use up to 128 letters, digits, spaces and . : / = + - @ _, not starting with aws:.",
        )
        problems.require(
            _TAG.fullmatch(text) is not None and len(text) <= _TAG_VALUE_LENGTH,
            key,
            text,
            "AWS does not accept this tag value, or it says nothing.",
            "Use 1 to 256 letters, digits, spaces and . : / = + - @ _.",
        )
    for required in ("owner", "cost-center"):
        problems.require(
            required in value,
            required,
            None,
            "The tag is missing; without it nobody knows whom to call or to bill.",
            f'Add {required} = "…" to [tags].',
        )
    problems.raise_if_any()
    return value


AccountId = Annotated[str, AfterValidator(_account_id)]
"""Twelve digits."""

Region = Annotated[str, AfterValidator(_region)]
"""One that the platform knows."""

Tags = Annotated[dict[str, str], AfterValidator(_tags)]
"""Tags of every resource; `owner` and `cost-center` are required."""
