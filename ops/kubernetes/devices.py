"""Whether every device of every node is counted, and by one plugin."""

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.node_kinds import node_kinds
from ops.kubernetes.ownership import CONCERNS, Concern, runs
from ops.kubernetes.placement import obstacles
from ops.kubernetes.pods import PodTemplate, pods_of


def check_devices(contents: ClusterContents, problems: Problems) -> None:
    """Note nodes whose devices no plugin counts, for pods that ask for them never start there, and
    those where two do.

    EKS counts those of a cluster of Auto Mode. A chart that nobody has rendered is taken to land
    where it should.
    """
    if contents.automatic:
        return
    for concern in CONCERNS:
        if concern.resource is not None and not _is_open(concern, contents):
            _check_resource(concern.resource, _plugins(concern, contents), contents, problems)


def _is_open(concern: Concern, contents: ClusterContents) -> bool:
    return any(
        release.chart in concern.charts and not release.rendered for release in contents.releases
    )


def _plugins(concern: Concern, contents: ClusterContents) -> list[PodTemplate]:
    return [
        pod
        for made in contents.of_kind("DaemonSet")
        if runs(made.body, concern)
        for pod in pods_of(made)
    ]


def _check_resource(
    resource: str, plugins: list[PodTemplate], contents: ClusterContents, problems: Problems
) -> None:
    for kind in node_kinds(contents):
        if not kind.resources.get(resource):
            continue
        landed = [plugin.title for plugin in plugins if not any(obstacles(plugin, kind, ()))]
        problems.require(
            len(landed) == 1,
            kind.title,
            landed,
            f"Its nodes have {resource}, which one plugin has to count: with none, no pod gets "
            "any; with two, pods get what others have.",
            "Give it one plugin whose selectors, affinity and tolerations fit its nodes.",
        )
