"""What the templates of an assembly bring into each of its clusters."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ops.assembly import SynthesisedStack, stacks
from ops.kubernetes.template_text import Templates

CLUSTER_TYPE: Final = "AWS::EKS::Cluster"
OBJECT_TYPE: Final = "Custom::AWSCDK-EKS-KubernetesResource"
CHART_TYPE: Final = "Custom::AWSCDK-EKS-HelmChart"


ADDON_NAMESPACES: Final[Mapping[str, str]] = {
    "amazon-cloudwatch-observability": "amazon-cloudwatch"
}
"""Of EKS's add-ons outside kube-system.

https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html
"""


@dataclass(frozen=True, kw_only=True)
class AppliedObject:
    """One Kubernetes object, and the resource that applies it."""

    stack: str
    logical_id: str
    body: Mapping[str, Any]
    chart: str | None = None
    """The chart that makes it, ``None`` where the template itself holds it."""

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.body["kind"])

    @property
    def group(self) -> str:
        """The API group of its kind, empty for the core one."""
        group, slash, _ = str(self.body["apiVersion"]).partition("/")
        return group if slash else ""

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"].get("name", ""))

    @property
    def namespace(self) -> str | None:
        """Its namespace, ``None`` for objects that say none."""
        namespace: str | None = self.body["metadata"].get("namespace")
        return namespace

    @property
    def title(self) -> str:
        """How messages name it: ``Deployment serving/model of llm-dev-serving``."""
        path = "/".join(part for part in (self.namespace, self.name) if part)
        source = f"the chart {self.chart} in {self.stack}" if self.chart else self.stack
        return f"{self.kind} {path} of {source}"


@dataclass(frozen=True, kw_only=True)
class ChartRelease:
    """One release of a Helm chart, with its values.

    ``folder`` is where the assembly has the chart's files, ``None`` for a chart of a registry.
    ``waits`` says whether the deployment goes on only when its pods answer, ``rendered`` whether
    the chart's objects are among those of its cluster, because its files were there to be rendered.
    """

    stack: str
    logical_id: str
    release: str
    chart: str
    repository: str
    version: str
    namespace: str
    values: Mapping[str, Any]
    folder: Path | None = None
    waits: bool = False
    rendered: bool = False


@dataclass(frozen=True, kw_only=True)
class ManagedGroup:
    """A managed node group; ``efa`` counts the EFA interfaces of each of its nodes."""

    name: str
    instance_types: tuple[str, ...]
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, str], ...]
    minimum: int
    maximum: int
    efa: int

    @property
    def is_for_controllers(self) -> bool:
        """Whether it always has nodes that any pod may use, which controllers start on."""
        return self.minimum > 0 and not self.taints


@dataclass(frozen=True, kw_only=True)
class HyperPodGroup:
    """A group of nodes of a HyperPod cluster that this cluster orchestrates.

    ``instance_types`` are EC2's names of them; ``efa`` says whether its nodes have EFA.
    """

    name: str
    instance_types: tuple[str, ...]
    labels: Mapping[str, str]
    count: int
    efa: bool


@dataclass(frozen=True, kw_only=True)
class ClusterContents:
    """Everything that an assembly brings into one cluster.

    ``associations`` are namespaces and names of the service accounts with a role, ``addons`` names
    and configuration of EKS's add-ons. ``mirrors`` are what names of images in the account's ECR
    begin with: prefixes of pull-through caches, and repositories. ``automatic`` says that EKS runs
    the nodes (Auto Mode).
    """

    name: str
    region: str
    version: str
    objects: tuple[AppliedObject, ...]
    releases: tuple[ChartRelease, ...] = ()
    addons: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    associations: frozenset[tuple[str, str]] = frozenset()
    groups: tuple[ManagedGroup, ...] = ()
    hyperpod_groups: tuple[HyperPodGroup, ...] = ()
    mirrors: frozenset[str] = frozenset()
    automatic: bool = False

    def of_kind(self, *kinds: str) -> Iterator[AppliedObject]:
        """Yield the objects of some kinds."""
        return (made for made in self.objects if made.kind in kinds)

    @cached_property
    def names(self) -> frozenset[tuple[str, str | None, str]]:
        """Kind, namespace and name of every object."""
        return frozenset((made.kind, made.namespace, made.name) for made in self.objects)

    def with_rendered(
        self, release: ChartRelease, bodies: Iterable[Mapping[str, Any]]
    ) -> "ClusterContents":
        """Return the contents with the objects that a release's chart makes of its values."""
        made = tuple(
            AppliedObject(
                stack=release.stack,
                logical_id=release.logical_id,
                body=body,
                chart=release.chart,
            )
            for body in bodies
        )
        known = tuple(
            replace(each, rendered=True) if each == release else each for each in self.releases
        )
        return replace(self, objects=(*self.objects, *made), releases=known)


def clusters(directory: Path) -> tuple[ClusterContents, ...]:
    """Return the contents of each cluster of the assembly in ``directory``.

    What stands in a template as a reference becomes a value of the right shape. Raises
    :class:`ops.assembly.AssemblyError` where there is no assembly.
    """
    found = stacks(directory)
    templates = Templates(found)
    return tuple(
        _contents(stack, _with_dependents(stack, found), templates, directory)
        for stack in found
        if any(True for _ in templates.of_type(stack.name, CLUSTER_TYPE))
    )


def _with_dependents(
    home: SynthesisedStack, every: Sequence[SynthesisedStack]
) -> tuple[SynthesisedStack, ...]:
    """Return the cluster's stack and those that are deployed after it because of it."""
    return (home, *(stack for stack in every if home.name in stack.dependencies))


def _contents(
    home: SynthesisedStack,
    members: Sequence[SynthesisedStack],
    templates: Templates,
    directory: Path,
) -> ClusterContents:
    names = [member.name for member in members]
    addons = [
        (body["AddonName"], json.loads(templates.text(name, body.get("ConfigurationValues", "{}"))))
        for name in names
        for _, body in templates.of_type(name, "AWS::EKS::Addon")
    ]
    ((_, cluster),) = templates.of_type(home.name, CLUSTER_TYPE)
    return ClusterContents(
        name=home.name,
        region=home.region,
        version=cluster["Version"],
        objects=tuple(made for name in names for made in _objects(name, templates)),
        releases=tuple(made for name in names for made in _releases(name, templates, directory)),
        addons=tuple(addons),
        associations=frozenset(pair for name in names for pair in _associations(name, templates)),
        groups=tuple(made for name in names for made in _groups(name, templates)),
        hyperpod_groups=tuple(made for name in names for made in _hyperpod_groups(name, templates)),
        mirrors=frozenset(each for name in names for each in _mirrors(name, templates)),
        automatic=cluster.get("ComputeConfig", {}).get("Enabled", False),
    )


def _objects(stack: str, templates: Templates) -> Iterator[AppliedObject]:
    for logical_id, body in templates.of_type(stack, OBJECT_TYPE):
        for made in json.loads(templates.text(stack, body["Manifest"])):
            yield AppliedObject(stack=stack, logical_id=logical_id, body=made)


def _releases(stack: str, templates: Templates, directory: Path) -> Iterator[ChartRelease]:
    for logical_id, body in templates.of_type(stack, CHART_TYPE):
        yield ChartRelease(
            stack=stack,
            logical_id=logical_id,
            release=body["Release"],
            chart=body.get("Chart", body["Release"]),
            repository=body.get("Repository", ""),
            version=body.get("Version", ""),
            namespace=body["Namespace"],
            values=json.loads(templates.text(stack, body.get("Values", "{}"))),
            folder=_asset(stack, body.get("ChartAssetURL"), directory),
            waits=body.get("Wait", False),
        )


def _asset(stack: str, url: Any, directory: Path) -> Path | None:
    """Return the folder of the asset that a template of ``stack`` gives the address of."""
    named = re.search(r"([0-9a-f]{64})\.zip", json.dumps(url))
    if named is None:
        return None
    manifest = json.loads((directory / f"{stack}.assets.json").read_text(encoding="utf-8"))
    return directory / str(manifest["files"][named[1]]["source"]["path"])


def _associations(stack: str, templates: Templates) -> Iterator[tuple[str, str]]:
    for _, body in templates.of_type(stack, "AWS::EKS::PodIdentityAssociation"):
        yield body["Namespace"], body["ServiceAccount"]
    for _, body in templates.of_type(stack, "AWS::EKS::Addon"):
        for entry in body.get("PodIdentityAssociations", ()):
            namespace = ADDON_NAMESPACES.get(body["AddonName"], "kube-system")
            yield namespace, entry["ServiceAccount"]


def _mirrors(stack: str, templates: Templates) -> Iterator[str]:
    for _, body in templates.of_type(stack, "AWS::ECR::PullThroughCacheRule"):
        yield body["EcrRepositoryPrefix"]
    for _, body in templates.of_type(stack, "AWS::ECR::Repository"):
        yield from filter(None, [body.get("RepositoryName")])


def _groups(stack: str, templates: Templates) -> Iterator[ManagedGroup]:
    launch_templates = {
        logical_id: body["LaunchTemplateData"]
        for logical_id, body in templates.of_type(stack, "AWS::EC2::LaunchTemplate")
    }
    for logical_id, body in templates.of_type(stack, "AWS::EKS::Nodegroup"):
        reference = body.get("LaunchTemplate", {}).get("Id", {})
        launched = launch_templates.get(reference.get("Ref", ""), {})
        sizes = body.get("ScalingConfig", {})
        interfaces = launched.get("NetworkInterfaces", ())
        yield ManagedGroup(
            name=body.get("NodegroupName", logical_id),
            instance_types=tuple(
                body.get("InstanceTypes") or filter(None, [launched.get("InstanceType")])
            ),
            labels=body.get("Labels", {}),
            taints=tuple(body.get("Taints", ())),
            minimum=sizes.get("MinSize", 0),
            maximum=sizes.get("MaxSize", 0),
            efa=sum(each.get("InterfaceType") == "efa-only" for each in interfaces),
        )


def _hyperpod_groups(stack: str, templates: Templates) -> Iterator[HyperPodGroup]:
    for _, body in templates.of_type(stack, "AWS::SageMaker::Cluster"):
        if "Eks" not in body.get("Orchestrator", {}):
            continue
        for group in body["InstanceGroups"]:
            several = group.get("InstanceRequirements", {}).get("InstanceTypes", ())
            types = several or (group["InstanceType"],)
            yield HyperPodGroup(
                name=group["InstanceGroupName"],
                instance_types=tuple(name.removeprefix("ml.") for name in types),
                labels=group.get("KubernetesConfig", {}).get("Labels", {}),
                count=group["InstanceCount"],
                efa="NetworkInterface" in group,
            )
