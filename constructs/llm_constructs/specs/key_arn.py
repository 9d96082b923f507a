"""ARNs of keys, where an environment's file names them."""

import re
from typing import Final

from llm_constructs.specs.problem import Problems

_KEY_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[a-f0-9-]+")
"""https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN"""


def require_key_arn(problems: Problems, value: str | None, field: str = "key_arn") -> None:
    """Note a ``value`` that is neither left out nor the ARN of a key."""
    problems.require(
        value is None or _KEY_ARN.fullmatch(value) is not None,
        field,
        value,
        "It is not the ARN of a key; an alias says nothing to IAM.",
        "Write it as arn:aws:kms:us-east-2:111111111111:key/id.",
    )
