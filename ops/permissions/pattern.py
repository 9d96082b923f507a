"""Texts with wildcards, as policies write them."""

import re
from functools import cache

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")


@cache
def overlap(first: str, second: str) -> bool:
    """Whether some text matches both patterns; `*` is any text and `?` any character."""
    if not first or not second:
        return not (first + second).strip("*")
    if "*" in (first[0], second[0]):
        return _after_star(first, second)
    if first[0] == second[0] or "?" in (first[0], second[0]):
        return overlap(first[1:], second[1:])
    return False


def _after_star(first: str, second: str) -> bool:
    if first[0] != "*":
        first, second = second, first
    return overlap(first[1:], second) or overlap(first, second[1:])


def names_type(pattern: str, form: str) -> bool:
    """Whether ``pattern``, an ARN of a policy, can match resources of a type.

    ``form`` is how AWS writes the ARN of the type: ``arn:${Partition}:s3:::${BucketName}``.
    """
    if pattern == "*" or form == "*":
        return pattern == form
    given, known = pattern.split(":", 5), form.split(":", 5)
    if len(given) != len(known):
        return False
    # The one placeholder that ends before a slash: a bucket's name, which objects come after.
    if known[5] == "${BucketName}" and "/" in given[5]:
        return False
    return all(
        overlap(text, _PLACEHOLDER.sub("*", wanted))
        for text, wanted in zip(given, known, strict=True)
    )
