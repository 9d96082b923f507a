"""Charts and images from the account itself, for networks without a way out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llm_constructs.specs.problem import Problem, Problems, SpecificationError

PREFIXES: Final[Mapping[str, str]] = {
    "docker.io": "docker-hub",
    "ghcr.io": "github",
    "nvcr.io": "nvidia",
    "public.ecr.aws": "ecr-public",
    "quay.io": "quay",
    "registry.k8s.io": "kubernetes",
}
"""What the names of the account's repositories begin with, by the registry that they mirror."""

NOT_CACHED: Final = frozenset({"nvcr.io"})
"""Registries that ECR has no pull-through cache for: their images are copied.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
"""

_PRIVATE_REGISTRY = re.compile(r"(\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com")
_CREDENTIALS = re.compile(
    r"arn:aws(?:-us-gov)?:secretsmanager:[a-z0-9-]+:\d{12}:secret:ecr-pullthroughcache/[\w/+=.@-]+"
)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Charts as files of this project, and images from the account's ECR.

    Registries of public images become pull-through caches; who has a way out pulls each image
    through them once. Raises :class:`SpecificationError` with everything that cannot be.
    """

    charts: str = "charts"
    """Folder of the project with the pinned charts, as `python -m ops charts` fetches them."""
    docker_hub_secret_arn: str | None = None
    """Secret with a user name and access token for Docker Hub, which ECR needs to cache its images.
    Its name begins with `ecr-pullthroughcache/`."""
    github_secret_arn: str | None = None
    """The same for GitHub's registry, which KEDA's images come from."""

    def __post_init__(self) -> None:
        problems = Problems("mirror")
        problems.require(
            bool(self.charts) and not self.charts.startswith("/") and ".." not in self.charts,
            "charts",
            self.charts,
            "It is not a folder inside the project.",
            "Give it relative to the project, such as charts.",
        )
        for field in ("docker_hub_secret_arn", "github_secret_arn"):
            arn: str | None = getattr(self, field)
            problems.require(
                arn is None or _CREDENTIALS.fullmatch(arn) is not None,
                field,
                arn,
                "ECR reads credentials from no other secret than one whose name begins with "
                "ecr-pullthroughcache/.",
                "Give the whole ARN of such a secret.",
            )
        problems.raise_if_any()

    def credentials(self) -> Mapping[str, str | None]:
        """Return the secrets of the registries that need one."""
        return {"docker.io": self.docker_hub_secret_arn, "ghcr.io": self.github_secret_arn}


def registry_of(image: str) -> str:
    """Return the registry of an image's name, or of the beginning of one.

    Raises :class:`SpecificationError` for a registry that cannot be mirrored.
    """
    registry = image.partition("/")[0]
    if registry not in PREFIXES and not _PRIVATE_REGISTRY.fullmatch(registry):
        problem = Problem(
            "image",
            image,
            "The account has no mirror of its registry.",
            f"Use an image of {', '.join(sorted(PREFIXES))}, or of a private registry of ECR.",
        )
        raise SpecificationError("mirror", [problem])
    return registry


def mirrored(image: str, *, account: str, region: str) -> str:
    """Return the name under which the account's ECR in ``region`` has ``image``.

    Images of private registries of ECR keep theirs, but for those of AWS, which each region has.
    """
    registry = registry_of(image)
    rest = image.removeprefix(registry)
    private = _PRIVATE_REGISTRY.fullmatch(registry)
    if private is not None:
        if private[1] != AWS_IMAGES_ACCOUNT:
            return image
        return f"{AWS_IMAGES_ACCOUNT}.dkr.ecr.{region}.amazonaws.com{rest}"
    return f"{account}.dkr.ecr.{region}.amazonaws.com/{PREFIXES[registry]}{rest}"


def source_of(image: str) -> str | None:
    """Return the name at its source of an image in a mirror, or of the beginning of one.

    ``None`` for any other image.
    """
    if account_of(image) is None:
        return None
    prefix, _, rest = image.partition("/")[2].partition("/")
    registries = {prefix: registry for registry, prefix in PREFIXES.items()}
    return f"{registries[prefix]}/{rest}".rstrip("/") if prefix in registries else None


def account_of(image: str) -> str | None:
    """Return the account of an image in a private registry of ECR; ``None`` for any other image."""
    private = _PRIVATE_REGISTRY.fullmatch(image.partition("/")[0])
    return private[1] if private else None


AWS_IMAGES_ACCOUNT: Final = "602401143452"
"""Whose registries have the images of EKS in most regions.

https://docs.aws.amazon.com/eks/latest/userguide/add-ons-images.html
"""
