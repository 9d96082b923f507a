"""Whether each concern of a cluster has one owner: two of them fight, and both look broken."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llm_constructs.specs.instance_type import DEVICE_RESOURCES, EFA_RESOURCE, DeviceKind
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents


@dataclass(frozen=True, kw_only=True)
class Concern:
    """Something of which a cluster has at most one owner.

    ``charts`` and ``addons`` own it when they are installed, ``images`` when an object runs an
    image whose name ends so. ``resource`` is what it counts on nodes. ``automatic`` is what EKS
    itself does in a cluster of Auto Mode:
    https://docs.aws.amazon.com/eks/latest/userguide/automode.html
    """

    name: str
    charts: frozenset[str] = frozenset()
    addons: frozenset[str] = frozenset()
    images: tuple[str, ...] = ()
    resource: str | None = None
    automatic: bool = False


CONCERNS: Final = (
    Concern(
        name="the NVIDIA device plugin",
        charts=frozenset({"nvidia-device-plugin", "gpu-operator"}),
        images=("/k8s-device-plugin",),
        resource=DEVICE_RESOURCES[DeviceKind.NVIDIA],
        automatic=True,
    ),
    Concern(
        name="the Neuron device plugin",
        charts=frozenset({"neuron-helm-chart"}),
        images=("/neuron-device-plugin",),
        resource=DEVICE_RESOURCES[DeviceKind.NEURON],
        automatic=True,
    ),
    Concern(
        name="the EFA device plugin",
        charts=frozenset({"aws-efa-k8s-device-plugin"}),
        images=("/aws-efa-k8s-device-plugin",),
        resource=EFA_RESOURCE,
        automatic=True,
    ),
    Concern(
        name="DCGM",
        charts=frozenset({"dcgm-exporter", "gpu-operator"}),
        addons=frozenset({"eks-node-monitoring-agent"}),
        images=("/dcgm-exporter", "/dcgm"),
        automatic=True,
    ),
    Concern(
        name="quotas and queues",
        charts=frozenset({"kueue", "volcano", "yunikorn"}),
    ),
    Concern(
        name="launching of nodes",
        charts=frozenset({"karpenter", "cluster-autoscaler"}),
        automatic=True,
    ),
    Concern(
        name="block storage",
        charts=frozenset({"aws-ebs-csi-driver"}),
        addons=frozenset({"aws-ebs-csi-driver"}),
        automatic=True,
    ),
    Concern(
        name="FSx for Lustre",
        charts=frozenset({"aws-fsx-csi-driver"}),
        addons=frozenset({"aws-fsx-csi-driver"}),
    ),
    Concern(
        name="Mountpoint for S3",
        charts=frozenset({"aws-mountpoint-s3-csi-driver"}),
        addons=frozenset({"aws-mountpoint-s3-csi-driver"}),
    ),
    Concern(
        name="load balancers",
        charts=frozenset({"aws-load-balancer-controller"}),
        images=("/aws-load-balancer-controller",),
        automatic=True,
    ),
    Concern(
        name="records of ingresses",
        charts=frozenset({"external-dns"}),
        addons=frozenset({"external-dns"}),
    ),
    Concern(
        name="the API of resource metrics",
        charts=frozenset({"metrics-server"}),
        addons=frozenset({"metrics-server"}),
    ),
    Concern(
        name="the API of external metrics",
        charts=frozenset({"keda", "prometheus-adapter", "datadog"}),
    ),
    Concern(
        name="the pods' network",
        charts=frozenset({"aws-vpc-cni", "cilium"}),
        addons=frozenset({"vpc-cni"}),
        automatic=True,
    ),
    Concern(
        name="credentials of pods",
        addons=frozenset({"eks-pod-identity-agent"}),
        charts=frozenset({"eks-pod-identity-agent"}),
        automatic=True,
    ),
)


def check_ownership(contents: ClusterContents, problems: Problems) -> None:
    """Note every concern with several owners, and whatever is installed twice."""
    for concern in CONCERNS:
        owners = sorted(set(_owners(concern, contents)))
        problems.require(
            len(owners) <= 1,
            concern.name,
            owners,
            "Several programs are in charge of it, and would undo each other's work.",
            "Keep one of them.",
        )
    for kind, names in _installed(contents):
        for name, count in Counter(names).items():
            problems.require(
                count == 1,
                kind,
                name,
                f"It is installed {count} times, and the last to come takes the others' place.",
                "Install it once.",
            )
    _check_leader_services(contents, problems)


def _check_leader_services(contents: ClusterContents, problems: Problems) -> None:
    """Note every service with the name of one that LeaderWorkerSet would make.

    https://github.com/kubernetes-sigs/lws/blob/main/pkg/utils/controller/controller_utils.go
    """
    services = {(made.namespace, made.name) for made in contents.of_kind("Service")}
    for group in contents.of_kind("LeaderWorkerSet"):
        problems.require(
            (group.namespace, group.name) not in services,
            group.title,
            group.name,
            "A Service has this name, and LeaderWorkerSet makes the headless one, by which pods "
            "find their leader before it is ready, only where the name is free.",
            "Give the Service another name.",
        )


def _owners(concern: Concern, contents: ClusterContents) -> Iterator[str]:
    for release in contents.releases:
        if release.chart in concern.charts:
            yield f"the chart {release.chart}"
    for name, configuration in contents.addons:
        if name in concern.addons or (concern.name == "DCGM" and _runs_dcgm(configuration)):
            yield f"the add-on {name}"
    for made in contents.objects:
        # What a chart makes is the chart's, whatever else it is for.
        if made.chart not in concern.charts and runs(made.body, concern):
            yield made.title if made.chart is None else f"the chart {made.chart}"
    if concern.automatic and contents.automatic:
        yield "EKS Auto Mode"


def _runs_dcgm(configuration: Mapping[str, Any]) -> bool:
    """Say whether Container Insights has the metrics of GPUs, which DCGM gives it."""
    logs = configuration.get("agent", {}).get("config", {}).get("logs", {})
    insights = logs.get("metrics_collected", {}).get("kubernetes", {})
    return bool(insights.get("accelerated_compute_metrics", False))


def runs(body: Any, concern: Concern) -> bool:
    """Say whether an object, or a part of it, runs an image of ``concern``."""
    return any(image.endswith(concern.images) for image in _images(body))


def _images(value: Any) -> Iterator[str]:
    """Yield the names of all images without registry tags and digests."""
    if isinstance(value, Mapping):
        image = value.get("image")
        if isinstance(image, str):
            yield image.partition("@")[0].rpartition(":")[0] or image
        for each in value.values():
            yield from _images(each)
    elif isinstance(value, list):
        for each in value:
            yield from _images(each)


def _installed(contents: ClusterContents) -> Iterable[tuple[str, list[str]]]:
    return (
        ("release", [f"{each.namespace}/{each.release}" for each in contents.releases]),
        ("add-on", [name for name, _ in contents.addons]),
        (
            "object",
            [f"{made.group} {made.kind} {made.namespace} {made.name}" for made in contents.objects],
        ),
    )
