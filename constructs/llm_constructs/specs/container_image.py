"""Container images in ECR, named so that they stay the same."""

import re

from llm_constructs.specs.problem import Problems

_PATH = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_VERSION = re.compile(r"sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def check_image(problems: Problems, repository: str, version: str) -> None:
    """Note what is wrong with an ECR repository's name and an image's tag or digest."""
    # https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
    problems.require(
        2 <= len(repository) <= 256
        and re.fullmatch(rf"({_PATH}/)*{_PATH}", repository) is not None,
        "repository",
        repository,
        "It is not the name of an ECR repository.",
        "Give the name alone, such as llm/gateway, without registry and tag.",
    )
    problems.require(
        _VERSION.fullmatch(version) is not None and version != "latest",
        "version",
        version,
        "It names no image, or another one after each push, so that tasks would differ.",
        "Give a tag such as 1.4.0, or a digest of sha256: and 64 hexadecimal digits.",
    )
