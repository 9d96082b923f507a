"""Whether everything exists that objects name: namespaces, claims, configuration, targets."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from llm_constructs.specs.controller_charts import CHARTS
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ADDON_NAMESPACES, AppliedObject, ClusterContents
from ops.kubernetes.pods import PodTemplate, pods_of

BUILT_IN: Final = frozenset(
    {
        *(("Namespace", None, name) for name in ("default", "kube-system", "kube-public")),
        ("Namespace", None, "kube-node-lease"),
        ("PriorityClass", None, "system-cluster-critical"),
        ("PriorityClass", None, "system-node-critical"),
        # What servers of an aggregated API read to know who calls them, and who asks for metrics:
        # https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
        ("Role", "kube-system", "extension-apiserver-authentication-reader"),
        ("ServiceAccount", "kube-system", "horizontal-pod-autoscaler"),
    }
)
"""Of every cluster: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/"""

Name = tuple[str, str | None, str]
"""Kind, namespace (``None`` for what has none) and name of an object."""


def check_references(contents: ClusterContents, problems: Problems) -> None:
    """Note every name of something that neither an object, a chart nor Kubernetes makes."""
    known = contents.names | BUILT_IN | frozenset(_made_by_others(contents))
    for made in contents.objects:
        for kind, namespace, name in _references(made):
            problems.require(
                (kind, namespace, name) in known or _in_open_chart(kind, namespace, contents),
                made.title,
                name,
                f"It names this {kind}{f' in {namespace}' if namespace else ''}, and nothing "
                "makes it.",
                "Correct the name, or add the object.",
            )
    _check_selectors(contents, problems)


def _made_by_others(contents: ClusterContents) -> Iterator[Name]:
    # Charts are installed with `--create-namespace`.
    made = {release.namespace for release in contents.releases}
    made |= {ADDON_NAMESPACES[name] for name, _ in contents.addons if name in ADDON_NAMESPACES}
    for namespace in made:
        yield "Namespace", None, namespace
    secrets = {chart.name: chart.secrets for chart in CHARTS}
    for release in contents.releases:
        for secret in secrets.get(release.chart, ()):
            yield "Secret", release.namespace, secret
    named = {each.name for each in contents.of_kind("Namespace")}
    for namespace in {*made, *named, "default", "kube-system"}:
        yield "ServiceAccount", namespace, "default"


def _in_open_chart(kind: str, namespace: str | None, contents: ClusterContents) -> bool:
    """Say whether a chart that nobody has rendered might make something of the kind there."""
    return (
        kind != "Namespace"
        and namespace is not None
        and any(
            release.namespace == namespace and not release.rendered for release in contents.releases
        )
    )


def _references(made: AppliedObject) -> Iterator[Name]:
    if made.namespace is not None:
        yield "Namespace", None, made.namespace
    for pod in pods_of(made):
        yield from _references_of_pod(pod)
    rule = _RULES.get(made.kind)
    if rule is not None:
        yield from rule(made)


def _of_claim(claim: AppliedObject) -> Iterator[Name]:
    spec = claim.body["spec"]
    if spec.get("volumeName"):
        yield "PersistentVolume", None, spec["volumeName"]
    if spec.get("storageClassName"):
        yield "StorageClass", None, spec["storageClassName"]


def _of_volume(volume: AppliedObject) -> Iterator[Name]:
    claim = volume.body["spec"].get("claimRef")
    if claim:
        yield "PersistentVolumeClaim", claim["namespace"], claim["name"]


def _of_scaler(scaler: AppliedObject) -> Iterator[Name]:
    spec = scaler.body["spec"]
    target = spec.get("scaleTargetRef")
    if target:
        yield target.get("kind", "Deployment"), scaler.namespace, target["name"]
    for trigger in spec.get("triggers", ()):
        reference = trigger.get("authenticationRef")
        if reference:
            kind = reference.get("kind", "TriggerAuthentication")
            everywhere = kind == "ClusterTriggerAuthentication"
            yield kind, None if everywhere else scaler.namespace, reference["name"]


def _of_target_group(binding: AppliedObject) -> Iterator[Name]:
    yield "Service", binding.namespace, binding.body["spec"]["serviceRef"]["name"]


def _of_pool(pool: AppliedObject) -> Iterator[Name]:
    reference = pool.body["spec"]["template"]["spec"]["nodeClassRef"]
    yield reference["kind"], None, reference["name"]


def _of_local_queue(queue: AppliedObject) -> Iterator[Name]:
    yield "ClusterQueue", None, queue.body["spec"]["clusterQueue"]


def _of_cluster_queue(queue: AppliedObject) -> Iterator[Name]:
    for group in queue.body["spec"].get("resourceGroups", ()):
        for flavor in group["flavors"]:
            yield "ResourceFlavor", None, flavor["name"]


def _of_binding(binding: AppliedObject) -> Iterator[Name]:
    role = binding.body["roleRef"]
    # Cluster roles are Kubernetes' own as often as not.
    if role["kind"] == "Role":
        yield "Role", binding.namespace, role["name"]
    for subject in binding.body.get("subjects", ()):
        if subject["kind"] == "ServiceAccount":
            yield "ServiceAccount", subject.get("namespace", binding.namespace), subject["name"]


_RULES: Final[Mapping[str, Callable[[AppliedObject], Iterator[Name]]]] = {
    "PersistentVolumeClaim": _of_claim,
    "PersistentVolume": _of_volume,
    "ScaledObject": _of_scaler,
    "ScaledJob": _of_scaler,
    "HorizontalPodAutoscaler": _of_scaler,
    "TargetGroupBinding": _of_target_group,
    "NodePool": _of_pool,
    "LocalQueue": _of_local_queue,
    "ClusterQueue": _of_cluster_queue,
    "RoleBinding": _of_binding,
    "ClusterRoleBinding": _of_binding,
}
"""What objects of each kind name, besides the pods that they make."""


def _references_of_pod(pod: PodTemplate) -> Iterator[Name]:
    namespace = pod.owner.namespace or "default"
    yield "ServiceAccount", namespace, pod.spec.get("serviceAccountName", "default")
    if pod.spec.get("priorityClassName"):
        yield "PriorityClass", None, pod.spec["priorityClassName"]
    for secret in pod.spec.get("imagePullSecrets", ()):
        yield "Secret", namespace, secret["name"]
    for kind, name in (*_of_volumes(pod), *_of_environment(pod)):
        yield kind, namespace, name


def _of_volumes(pod: PodTemplate) -> Iterator[tuple[str, str]]:
    for volume in pod.spec.get("volumes", ()):
        sources = [volume, *volume.get("projected", {}).get("sources", ())]
        for source in sources:
            for key, kind, field in _VOLUMES:
                reference = source.get(key)
                if reference and not reference.get("optional", False) and field in reference:
                    yield kind, reference[field]


_VOLUMES: Final = (
    ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
    ("configMap", "ConfigMap", "name"),
    ("secret", "Secret", "secretName"),
    ("secret", "Secret", "name"),
)


def _of_environment(pod: PodTemplate) -> Iterator[tuple[str, str]]:
    for container in pod.containers:
        sources = [
            *container.get("envFrom", ()),
            *(entry.get("valueFrom", {}) for entry in container.get("env", ())),
        ]
        for source in sources:
            for key, reference in source.items():
                kind = _ENVIRONMENT.get(key)
                if kind and not reference.get("optional", False):
                    yield kind, reference["name"]


_ENVIRONMENT: Final[Mapping[str, str]] = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}


def _check_selectors(contents: ClusterContents, problems: Problems) -> None:
    """Note services, budgets and policies that no pod belongs to."""
    pods = [pod for made in contents.objects for pod in pods_of(made)]
    for made in contents.objects:
        selector = _selector(made)
        if selector is None or _in_open_chart(made.kind, made.namespace, contents):
            continue
        found = any(
            pod.owner.namespace == made.namespace and _carries(pod, selector) for pod in pods
        )
        problems.require(
            found,
            made.title,
            dict(selector),
            "It is for pods with these labels, and nothing makes any.",
            "Correct the labels, or remove the object.",
        )


def _selector(made: AppliedObject) -> Mapping[str, str] | None:
    spec = made.body.get("spec", {})
    found: Mapping[str, str] = {}
    match made.kind:
        case "Service":
            found = spec.get("selector", {})
        case "PodDisruptionBudget":
            found = spec.get("selector", {}).get("matchLabels", {})
        case "NetworkPolicy":
            found = spec.get("podSelector", {}).get("matchLabels", {})
    return found or None


_PLACE_IN_GROUP: Final = "leaderworkerset.sigs.k8s.io/worker-index"
"""LeaderWorkerSet gives this label to each of its pods."""


def _carries(pod: PodTemplate, selector: Mapping[str, str]) -> bool:
    labels = dict(pod.labels)
    if pod.owner.kind == "LeaderWorkerSet":
        labels.setdefault(_PLACE_IN_GROUP, "0" if pod.role == "leader" else "1")
    return selector.items() <= labels.items()
