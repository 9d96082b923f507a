"""The pods that objects make, and what they ask of a node."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ops.kubernetes.contents import AppliedObject
from ops.kubernetes.quantity import quantity

Resources = Mapping[str, Decimal]
"""Amounts by the name of the resource: cores, bytes, devices."""


@dataclass(frozen=True, kw_only=True)
class PodTemplate:
    """The pods of one object, all alike; ``role`` tells those of a LeaderWorkerSet apart."""

    owner: AppliedObject
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    role: str = ""

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.owner.title} ({self.role})" if self.role else self.owner.title

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the pods."""
        labels: Mapping[str, str] = self.metadata.get("labels", {})
        return labels

    @property
    def runs_on_every_node(self) -> bool:
        """Whether each node that fits gets one."""
        return self.owner.kind == "DaemonSet"

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All containers, those that start first included."""
        return [*self.spec.get("initContainers", ()), *self.spec.get("containers", ())]

    def requests(self) -> dict[str, Decimal]:
        """Return what the scheduler reserves: what runs together, or the most of the start.

        https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
        """
        together = _sum(map(requests_of, self.spec.get("containers", ())))
        starting: dict[str, Decimal] = {}
        sidecars: dict[str, Decimal] = {}
        for container in self.spec.get("initContainers", ()):
            asked = requests_of(container)
            if container.get("restartPolicy") == "Always":
                sidecars = _sum((sidecars, asked))
            else:
                starting = _most(starting, _sum((sidecars, asked)))
        overhead = {
            name: quantity(amount) for name, amount in self.spec.get("overhead", {}).items()
        }
        return _sum((_most(_sum((together, sidecars)), starting), overhead))


def pods_of(made: AppliedObject) -> Iterator[PodTemplate]:
    """Yield the templates of the pods that an object makes, if it makes any."""
    for role, template in _templates(made.kind, made.body):
        yield PodTemplate(
            owner=made, metadata=template.get("metadata", {}), spec=template["spec"], role=role
        )


def _templates(kind: str, body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    match kind:
        case "Pod":
            yield "", body
        case "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job":
            yield "", body["spec"]["template"]
        case "CronJob":
            yield "", body["spec"]["jobTemplate"]["spec"]["template"]
        case "LeaderWorkerSet":
            group = body["spec"]["leaderWorkerTemplate"]
            for role in ("leader", "worker"):
                if f"{role}Template" in group:
                    yield role, group[f"{role}Template"]


def requests_of(container: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return what one container requests."""
    resources = container.get("resources", {})
    # A limit without a request is one as well.
    asked = {**resources.get("limits", {}), **resources.get("requests", {})}
    return {name: quantity(amount) for name, amount in asked.items()}


def _sum(parts: Iterable[Resources]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def _most(one: Resources, other: Resources) -> dict[str, Decimal]:
    return {
        name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in {*one, *other}
    }
