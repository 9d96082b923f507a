"""Names of things that exist, and of things that do not."""

from dataclasses import replace
from typing import Any

import pytest

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.object_references import check_references
from tests.ops.kubernetes.clusters import cluster, named, release, workload


def told(contents: ClusterContents) -> str:
    problems = Problems("planted")
    check_references(contents, problems)
    return str(problems.error())


def claim(name: str) -> dict[str, Any]:
    return {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]}


def environment(**source: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "env": [{"name": "A", "valueFrom": source}]}]}


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        (workload(serviceAccountName="nobody"), "ServiceAccount in serving"),
        (workload(**claim("gone")), "PersistentVolumeClaim in serving"),
        (
            workload(volumes=[{"name": "c", "configMap": {"name": "gone"}}]),
            "ConfigMap in serving",
        ),
        (
            workload(volumes=[{"projected": {"sources": [{"secret": {"name": "gone"}}]}}]),
            "Secret in serving",
        ),
        (workload(**environment(secretKeyRef={"name": "gone", "key": "a"})), "Secret in serving"),
        (workload(priorityClassName="gone"), "PriorityClass"),
        (workload(imagePullSecrets=[{"name": "gone"}]), "Secret in serving"),
        (named("ConfigMap", "a", "gone"), "Namespace"),
        (
            named("PersistentVolumeClaim", "a", spec={"volumeName": "gone"}),
            "PersistentVolume",
        ),
        (
            named("PersistentVolumeClaim", "a", spec={"storageClassName": "gone"}),
            "StorageClass",
        ),
        (
            named("ScaledObject", "a", spec={"scaleTargetRef": {"name": "gone"}, "triggers": []}),
            "Deployment in serving",
        ),
        (
            named("ScaledObject", "a", spec={"triggers": [{"authenticationRef": {"name": "b"}}]}),
            "TriggerAuthentication in serving",
        ),
        (
            named("TargetGroupBinding", "a", spec={"serviceRef": {"name": "gone"}}),
            "Service in serving",
        ),
        (named("LocalQueue", "a", spec={"clusterQueue": "gone"}), "ClusterQueue"),
        (
            named(
                "ClusterQueue", "a", None, spec={"resourceGroups": [{"flavors": [{"name": "b"}]}]}
            ),
            "ResourceFlavor",
        ),
        (
            named("RoleBinding", "a", roleRef={"kind": "Role", "name": "gone"}, subjects=[]),
            "Role in serving",
        ),
        (
            named(
                "RoleBinding",
                "a",
                roleRef={"kind": "ClusterRole", "name": "view"},
                subjects=[{"kind": "ServiceAccount", "name": "gone"}],
            ),
            "ServiceAccount in serving",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_of_nothing_is_told(planted: dict[str, Any], kind: str) -> None:
    assert f"It names this {kind}, and nothing makes it." in told(cluster(planted))


def test_a_pool_needs_its_class() -> None:
    contents = cluster()
    for made in contents.of_kind("NodePool"):
        made.body["spec"]["template"]["spec"]["nodeClassRef"]["name"] = "gone"
    assert "It names this EC2NodeClass" in told(contents)


@pytest.mark.parametrize(
    "planted",
    [
        (workload(), named("Service", "a", spec={"selector": {"app": "planted"}})),
        (workload(**claim("data")), named("PersistentVolumeClaim", "data", spec={})),
        (workload(**environment(secretKeyRef={"name": "gone", "optional": True})),),
        (workload(**environment(fieldRef={"fieldPath": "status.podIP"})),),
        (workload(priorityClassName="system-cluster-critical"),),
    ],
)
def test_what_exists_may_be_named(planted: tuple[dict[str, Any], ...]) -> None:
    assert told(cluster(*planted)) == ""


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Service", {"selector": {"app": "gone"}}),
        ("PodDisruptionBudget", {"selector": {"matchLabels": {"app": "gone"}}}),
        ("NetworkPolicy", {"podSelector": {"matchLabels": {"app": "gone"}}}),
    ],
)
def test_labels_that_no_pod_carries_are_told(kind: str, spec: dict[str, Any]) -> None:
    message = told(cluster(workload(), named(kind, "a", spec=spec)))
    assert "It is for pods with these labels, and nothing makes any." in message


def test_a_leader_is_found_by_the_place_that_its_controller_gives_it() -> None:
    template = workload()["spec"]["template"]
    group = named(
        "LeaderWorkerSet",
        "a",
        spec={"leaderWorkerTemplate": {"leaderTemplate": template, "workerTemplate": template}},
    )
    for index, expected in (("0", True), ("1", True), ("2", False)):
        selector = {"app": "planted", "leaderworkerset.sigs.k8s.io/worker-index": index}
        message = told(cluster(group, named("Service", "a", spec={"selector": selector})))
        assert (message == "") is expected


def test_a_chart_that_nobody_rendered_may_make_what_its_namespace_names() -> None:
    keda = release("keda", namespace="keda")
    service = named("Service", "a", "keda", spec={"selector": {"app": "operator"}})
    contents = cluster(service, releases=(keda,))
    assert told(contents) == ""
    assert "nothing makes any" in told(contents.with_rendered(keda, []))


def test_a_secret_that_a_charts_program_makes_may_be_named() -> None:
    volumes = [{"name": "certificates", "secret": {"secretName": "kedaorg-certs"}}]
    pods = {**workload(volumes=volumes), "metadata": {"name": "metrics", "namespace": "keda"}}
    keda = replace(release("keda", namespace="keda"), rendered=True)
    assert told(cluster(pods, releases=(keda,))) == ""
    other = replace(release("other", namespace="keda"), rendered=True)
    assert "kedaorg-certs" in told(cluster(pods, releases=(other,)))


def test_bindings_to_what_the_control_plane_has_are_fine() -> None:
    # As programs that serve an API of metrics bring them.
    reader = named(
        "RoleBinding",
        "reader",
        "kube-system",
        roleRef={"kind": "Role", "name": "extension-apiserver-authentication-reader"},
        subjects=[
            {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler"},
            {"kind": "ServiceAccount", "name": "default", "namespace": "serving"},
        ],
    )
    assert told(cluster(reader)) == ""
    assert "Role in serving" in told(
        cluster({**reader, "metadata": {"name": "reader", "namespace": "serving"}})
    )
