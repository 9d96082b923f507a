"""The images that clusters pull: their names at the source, and in the account's ECR."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from llm_constructs.specs.controller_charts import CHARTS
from llm_constructs.specs.mirror import NOT_CACHED, account_of, source_of
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ChartRelease, ClusterContents
from ops.kubernetes.pods import pods_of


class Way(StrEnum):
    """How an image gets to where the cluster pulls it."""

    PULL = "pull"
    """Somebody pulls it once by its name in the account, and ECR keeps what passes."""
    COPY = "copy"
    """Somebody copies it into its repository in the account."""
    PRESENT = "present"
    """It is in the account, or in a registry of AWS's in the region."""
    PUBLIC = "public"
    """Nodes pull it from its source."""


@dataclass(frozen=True, kw_only=True)
class ClusterImage:
    """An image that pods name as ``name``, made by the charts or stacks ``owners``.

    One that is not ``whole`` is of a chart that nobody has rendered: what is known of its name is
    the value given to the chart, a repository or a registry, and the chart adds the rest.
    """

    name: str
    owners: tuple[str, ...]
    whole: bool = True

    @cached_property
    def source(self) -> str:
        """The name of the image at its source."""
        return source_of(self.name) or self.name

    @property
    def repository(self) -> str:
        """The name of the repository in its registry, without tag and digest."""
        path = self.name.partition("/")[2].partition("@")[0]
        return path.partition(":")[0]

    @property
    def way(self) -> Way:
        """How it gets to where the cluster pulls it."""
        if source_of(self.name) is not None:
            uncached = self.source.partition("/")[0] in NOT_CACHED
            return Way.COPY if uncached else Way.PULL
        return Way.PUBLIC if account_of(self.name) is None else Way.PRESENT


def images_of(contents: ClusterContents) -> tuple[ClusterImage, ...]:
    """Return the images of a cluster's pods, each once, by the names at their sources.

    Of charts, those that have been rendered are known whole. Add-ons of EKS bring images of AWS's
    own, which are not among them.
    """
    owners: dict[tuple[str, bool], set[str]] = {}
    for made in contents.objects:
        for pod in pods_of(made):
            for container in pod.containers:
                # Some kinds give a container its image later.
                if "image" in container:
                    key = (container["image"], True)
                    owners.setdefault(key, set()).add(made.chart or made.stack)
    for release in open_charts(contents):
        for name, whole in _values_of(release):
            owners.setdefault((name, whole), set()).add(release.release)
    found = (
        ClusterImage(name=name, owners=tuple(sorted(of)), whole=whole)
        for (name, whole), of in owners.items()
    )
    return tuple(sorted(found, key=lambda image: image.source))


def open_charts(contents: ClusterContents) -> tuple[ChartRelease, ...]:
    """Return the releases that nobody has rendered, and that are not known to have no images."""
    without = {chart.name for chart in CHARTS if not chart.images}
    return tuple(
        release
        for release in contents.releases
        if not release.rendered and release.chart not in without
    )


def _values_of(release: ChartRelease) -> Iterator[tuple[str, bool]]:
    """Yield what a chart's values say of its images, and whether that is the whole name."""
    chart = next((chart for chart in CHARTS if chart.name == release.chart), None)
    for path, source in chart.images.items() if chart else ():
        parent, _, last = path.rpartition(".")
        beside = _at(release.values, parent)
        tag = beside.get("tag")
        name = str(beside.get(last, source))
        yield (f"{name}:{tag}", True) if tag else (name, False)


def _at(values: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    for part in path.split("."):
        found = values.get(part)
        values = found if isinstance(found, Mapping) else {}
    return values


def check_images(contents: ClusterContents, problems: Problems) -> None:
    """Note images that a cluster with a mirror would not find in it."""
    if not contents.mirrors:
        return
    for image in images_of(contents):
        problems.require(
            image.way is not Way.PUBLIC,
            image.name,
            list(image.owners),
            "The cluster takes its images from the account's ECR, and this one would come from its "
            "own registry, which a network without a way out does not reach.",
            "Name the chart's value for it among `images` in specs/controller_charts.py, or use an "
            "image of a registry that is mirrored.",
        )
        problems.require(
            image.way not in (Way.PULL, Way.COPY) or _is_mirrored(image, contents.mirrors),
            image.name,
            list(image.owners),
            "Neither a pull-through cache nor a repository of the template takes it.",
            "Name it where the mirror sees it: in an object, or among a chart's `images` in "
            "specs/controller_charts.py.",
        )


def _is_mirrored(image: ClusterImage, mirrors: frozenset[str]) -> bool:
    return image.repository in mirrors or image.repository.partition("/")[0] in mirrors
