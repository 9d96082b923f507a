"""Charts and images of a cluster whose network has no way out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from llm_constructs.specs.helm_chart import HelmChart, nested
from llm_constructs.specs.mirror import (
    NOT_CACHED,
    PREFIXES,
    Mirror,
    mirrored,
    registry_of,
)
from llm_constructs.specs.problem import Problem, SpecificationError

UPSTREAMS: Final[Mapping[str, str]] = {"docker.io": "registry-1.docker.io"}
"""Addresses of registries whose images' names do not say it."""


_FIELD = re.compile(r"""^(name|version):\s*["']?([\w.+-]+)""", re.MULTILINE)


class ImageMirror(Construct):
    """Charts from ``charts``, a folder with one folder for each, and images from the account's ECR.

    A pull-through cache is made for each registry that somebody asks an image of, and a repository
    for each image that ECR does not cache. ``images`` are the names asked for, by their own.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        mirror: Mirror,
        charts: Path,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        self._mirror = mirror
        self._charts = charts
        self._key = key
        self._removal_policy = removal_policy
        self.images: dict[str, str] = {}

    def chart(self, chart: HelmChart) -> assets.Asset:
        """Return the files of a chart.

        Raises :class:`SpecificationError` unless they are there, of the chart's name and version.
        """
        folder = chart_folder(self._charts, chart.name, chart.version)
        check_chart(folder, chart.name, chart.version)
        found = self.node.try_find_child(f"Chart-{chart.name}")
        if isinstance(found, assets.Asset):
            return found
        return assets.Asset(self, f"Chart-{chart.name}", path=str(folder))

    def values(self, images: Mapping[str, str]) -> dict[str, Any]:
        """Return the values with which a chart's ``images`` come from the account's ECR."""
        return nested({path: self.image(name) for path, name in images.items()})

    def image(self, name: str) -> str:
        """Return the name of an image in the account's ECR, and see to it that it can be there."""
        registry = registry_of(name)
        stack = Stack.of(self)
        if registry in NOT_CACHED:
            self._add_repository(name)
        elif registry in PREFIXES:
            self._add_cache(registry)
        self.images[name] = mirrored(name, account=stack.account, region=stack.region)
        return self.images[name]

    def rewritten(self, value: Any) -> Any:
        """Return a Kubernetes object with all of its images from the account's ECR."""
        if isinstance(value, Mapping):
            return {
                key: self.image(item)
                if key == "image" and isinstance(item, str)
                else self.rewritten(item)
                for key, item in value.items()
            }
        return [self.rewritten(item) for item in value] if isinstance(value, list) else value

    def _add_cache(self, registry: str) -> None:
        prefix = PREFIXES[registry]
        if self.node.try_find_child(f"Cache-{prefix}"):
            return
        needed = self._mirror.credentials()
        secret = needed.get(registry)
        if registry in needed and secret is None:
            problem = Problem(
                f"{prefix.replace('-', '_')}_secret_arn",
                None,
                f"ECR caches images of {registry} for those alone who have an account there.",
                "Give the secret with its user name and access token.",
            )
            raise SpecificationError("mirror", [problem])
        # The L2 module has no pull-through caches:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-pullthroughcacherule.html
        ecr.CfnPullThroughCacheRule(
            self,
            f"Cache-{prefix}",
            ecr_repository_prefix=prefix,
            upstream_registry_url=UPSTREAMS.get(registry, registry),
            credential_arn=secret,
        )

    def _add_repository(self, image: str) -> None:
        registry = registry_of(image)
        name = PREFIXES[registry] + image.removeprefix(registry).partition("@")[0].split(":")[0]
        construct_id = f"Repository-{name.replace('/', '-')}"
        if self.node.try_find_child(construct_id):
            return
        ecr.Repository(
            self,
            construct_id,
            repository_name=name,
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=self._key,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            removal_policy=self._removal_policy,
        )


def chart_folder(charts: Path, name: str, version: str) -> Path:
    """Return the folder in ``charts`` that has the files of one version of a chart."""
    return charts / f"{name}-{version}"


def check_chart(folder: Path, name: str, version: str) -> None:
    """Raise :class:`SpecificationError` unless ``folder`` has this version of this chart."""
    file = folder / "Chart.yaml"
    if not file.exists():
        problem = Problem(
            name,
            str(folder),
            "The chart is to come from here, and is not here.",
            "Fetch it with `python -m ops charts`, where its registry is reached.",
        )
        raise SpecificationError("charts", [problem])
    # Helm writes both on lines of their own; the CDK side has no reader of YAML.
    fields = dict(_FIELD.findall(file.read_text(encoding="utf-8")))
    given = (fields.get("name"), fields.get("version", "").removeprefix("v"))
    if given != (name, version.removeprefix("v")):
        problem = Problem(
            name,
            str(folder),
            f"It has {given[0]} {given[1]}, and {name} {version} is pinned.",
            "Remove the folder, and fetch the chart with `python -m ops charts`.",
        )
        raise SpecificationError("charts", [problem])
