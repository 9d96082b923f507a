"""Whether every pod finds a node: selectors, affinity, taints, and what it requests."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.controller_charts import CHARTS
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.node_kinds import NodeKind, node_kinds
from ops.kubernetes.pods import PodTemplate, Resources, pods_of, requests_of
from ops.kubernetes.quantity import quantity

CONTROLLERS_SHARE: Final = Decimal("0.5")
"""Of the system nodes, that charts may request: add-ons and DaemonSets take the rest, and some
controllers run twice."""

_TOO_SMALL, _NOT_TOLERATED, _LACKING, _NOT_WANTED = 2, 3, 5, 10
_BLOCKING: Final = frozenset({"NoSchedule", "NoExecute"})
_UNMEASURED: Final = frozenset({"ephemeral-storage"})
"""Resources of which a node may have an amount that the templates do not tell."""


def check_placement(contents: ClusterContents, problems: Problems) -> None:
    """Note every pod that no node takes, and controllers too large for the system nodes.

    DaemonSets of charts may fit no node: many charts have one for nodes that only some clusters
    have, and it makes no pods elsewhere.
    """
    kinds = node_kinds(contents)
    pods = [pod for made in contents.objects for pod in pods_of(made)]
    daemons = [pod for pod in pods if pod.runs_on_every_node]
    for pod in pods:
        if pod.runs_on_every_node and pod.owner.chart is not None:
            continue
        _check_pod(pod, kinds, [other for other in daemons if other is not pod], problems)
    _check_controllers(contents, problems)
    pinned = {chart.name for chart in CHARTS}
    for pod in pods:
        # Others' charts may have no value for it, as HyperPod's has none for Kubeflow's operators.
        if pod.owner.chart in pinned and not pod.runs_on_every_node:
            _check_requests(pod, problems)


def _check_requests(pod: PodTemplate, problems: Problems) -> None:
    """Note containers of a chart's controller for which the scheduler keeps nothing free."""
    for container in pod.containers:
        missing = sorted({"cpu", "memory"} - requests_of(container).keys())
        problems.require(
            not missing,
            pod.title,
            container.get("name"),
            f"This container requests no {' and no '.join(missing)}. The scheduler puts it where "
            "none is left, and a node that runs short evicts it first.",
            "Give the chart's value for its resources.",
        )


def _check_pod(
    pod: PodTemplate,
    kinds: Sequence[NodeKind],
    daemons: Sequence[PodTemplate],
    problems: Problems,
) -> None:
    found = [
        (kind, list(obstacles(pod, kind, () if pod.runs_on_every_node else daemons)))
        for kind in kinds
    ]
    if any(not in_the_way for _, in_the_way in found):
        return
    if not found:
        problems.add(pod.title, None, "The cluster has no nodes.", "Give it a pool.")
        return
    nearest, missing = min(found, key=lambda pair: sum(obstacle.weight for obstacle in pair[1]))
    problems.add(
        pod.title,
        dict(pod.spec.get("nodeSelector", {})),
        "No node of the cluster takes its pods, which would wait for ever. The nearest, "
        f"{nearest.title}, does not: {'; '.join(obstacle.text for obstacle in missing)}.",
        "Change the pod, or give the cluster a pool for it.",
    )


class Obstacle(NamedTuple):
    """What keeps a pod off a kind of node; the heavier, the less the node was meant for it."""

    weight: int
    text: str


def obstacles(
    pod: PodTemplate, kind: NodeKind, daemons: Sequence[PodTemplate]
) -> Iterator[Obstacle]:
    """Yield what keeps ``pod`` off nodes of ``kind``, where ``daemons`` have taken their part."""
    yield from (Obstacle(_NOT_WANTED, text) for text in _unmet_terms(pod.spec, kind))
    for taint in kind.taints:
        if taint["effect"] in _BLOCKING and not _tolerates(pod.spec, taint):
            yield Obstacle(_NOT_TOLERATED, f"it does not tolerate the taint {taint['key']}")
    yield from _shortages(pod, kind, _taken(kind, daemons))


def _shortages(pod: PodTemplate, kind: NodeKind, taken: Resources) -> Iterator[Obstacle]:
    for name, amount in sorted(pod.requests().items()):
        if amount == 0 or (name in _UNMEASURED and name not in kind.resources):
            continue
        free = kind.resources.get(name, Decimal(0)) - taken.get(name, Decimal(0))
        if amount > free:
            yield Obstacle(
                _TOO_SMALL if free else _LACKING,
                f"it requests {_shown(amount)} of {name}, and a node has {_shown(free)}",
            )
        elif amount > kind.limits.get(name, amount):
            yield Obstacle(
                _TOO_SMALL,
                f"it requests {_shown(amount)} of {name}, and all nodes together may have "
                f"{_shown(kind.limits[name])}",
            )


def _taken(kind: NodeKind, daemons: Sequence[PodTemplate]) -> dict[str, Decimal]:
    taken: dict[str, Decimal] = {}
    for daemon in daemons:
        if not any(obstacles(daemon, kind, ())):
            for name, amount in daemon.requests().items():
                taken[name] = taken.get(name, Decimal(0)) + amount
    return taken


def _unmet_terms(spec: Mapping[str, Any], kind: NodeKind) -> Iterator[str]:
    selector = [
        {"key": key, "operator": "In", "values": [value]}
        for key, value in spec.get("nodeSelector", {}).items()
    ]
    required = (
        spec.get("affinity", {})
        .get("nodeAffinity", {})
        .get("requiredDuringSchedulingIgnoredDuringExecution", {})
    )
    # One of the terms must be met, each with all of its expressions, beside the selector.
    terms = [term.get("matchExpressions", []) for term in required.get("nodeSelectorTerms", [{}])]
    yield from min((_unmet([*selector, *term], kind) for term in terms), key=len)


def _unmet(expressions: Sequence[Mapping[str, Any]], kind: NodeKind) -> list[str]:
    possible = dict(kind.labels)
    unmet = []
    for each in expressions:
        key, operator, values = each["key"], each["operator"], each.get("values", [])
        if not _narrowed(possible, key, operator, frozenset(values)):
            shown = f" {', '.join(values)}" if values else ""
            unmet.append(f"it wants the label {key} {operator}{shown}")
    return unmet


def _narrowed(
    possible: dict[str, frozenset[str] | None], key: str, operator: str, values: frozenset[str]
) -> bool:
    """Leave only the values of a label that an expression allows; say whether any is left."""
    absent = key not in possible
    if operator == "DoesNotExist":
        return absent
    if absent:
        return operator == "NotIn"
    have = possible[key]
    if operator == "In":
        possible[key] = values if have is None else have & values
    elif have is not None:
        possible[key] = frozenset(value for value in have if _allowed(value, operator, values))
    return possible[key] is None or bool(possible[key])


def _allowed(value: str, operator: str, values: frozenset[str]) -> bool:
    match operator:
        case "NotIn":
            return value not in values
        case "Gt" | "Lt":
            (bound,) = values
            return int(value) > int(bound) if operator == "Gt" else int(value) < int(bound)
    return operator == "Exists"


def _tolerates(spec: Mapping[str, Any], taint: Mapping[str, str]) -> bool:
    return any(_matches(toleration, taint) for toleration in spec.get("tolerations", ()))


def _matches(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect", taint["effect"]) != taint["effect"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key", taint["key"]) == taint["key"]
    return (toleration.get("key"), toleration.get("value", "")) == (
        taint["key"],
        taint.get("value", ""),
    )


def _check_controllers(contents: ClusterContents, problems: Problems) -> None:
    """Compare what charts are told to request with the nodes that are always there."""
    groups = [group for group in contents.groups if group.is_for_controllers]
    if not groups:
        return
    free = {"cpu": Decimal(0), "memory": Decimal(0)}
    for group in groups:
        row = INSTANCE_TYPES[group.instance_types[0]].allocatable()
        free["cpu"] += Decimal(row.cpu_millis) / 1000 * group.minimum
        free["memory"] += Decimal(row.memory_mib) * 1024**2 * group.minimum
    asked = _requested_by_charts(contents)
    for name, most in free.items():
        problems.require(
            asked.get(name, Decimal(0)) <= most * CONTROLLERS_SHARE,
            "system nodes",
            _shown(asked.get(name, Decimal(0))),
            f"The charts request this much of {name}, which is more than half of the "
            f"{_shown(most)} that {', '.join(group.name for group in groups)} always has.",
            "Choose a larger type or a higher minimum for the system nodes.",
        )


def _requested_by_charts(contents: ClusterContents) -> Resources:
    total: dict[str, Decimal] = {}
    for requests in _requests_of_charts(contents):
        for name, amount in requests.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def _requests_of_charts(contents: ClusterContents) -> Iterator[Resources]:
    """Yield what each pod of the controllers requests, of open charts what their values say."""
    for made in contents.objects:
        for pod in pods_of(made) if made.chart else ():
            if not pod.runs_on_every_node:
                yield from [pod.requests()] * made.body["spec"].get("replicas", 1)
    for release in contents.releases:
        if not release.rendered:
            for requests in _requests_in(release.values):
                yield {name: quantity(text) for name, text in requests.items()}


def _requests_in(values: Any) -> Iterator[Mapping[str, str]]:
    if isinstance(values, dict):
        if isinstance(values.get("requests"), dict):
            yield values["requests"]
        for each in values.values():
            yield from _requests_in(each)


def _shown(amount: Decimal) -> str:
    gib = amount / 1024**3
    return f"{gib:.1f} GiB" if gib >= 1 else f"{amount.normalize():f}"
