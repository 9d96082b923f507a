"""What a run waits for, and how long, with a clock of the test's own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from config.loading import load
from ops.fabric.kubectl import Kubectl
from ops.fabric.nodes import fabric_nodes
from ops.fabric.objects import FabricRun
from ops.fabric.run import Clock, logs_of
from ops.fabric.whole_node import KubernetesObject

RUN = FabricRun(
    name="fabric-proof-abcdef",
    namespace="training",
    nodes=fabric_nodes(load("prod"), "training-p5en", 2),
    count=2,
    image="image:1",
    mebibytes=64,
    iterations=3,
    deadline_seconds=600,
)


class Queue(Kubectl):
    """A cluster whose queue holds every Job, so that none has pods."""

    left: int = 0

    def create(self, objects: Iterable[KubernetesObject]) -> None:
        self.left += len(list(objects))

    def delete(self, objects: Iterable[KubernetesObject]) -> None:
        self.left -= len(list(objects))

    def job(self, name: str) -> Mapping[str, Any]:
        assert name == RUN.name
        return {"status": {"conditions": [{"type": "Suspended", "status": "True"}]}}

    def pods(self, selector: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        assert RUN.name in selector.values()
        return []


def test_a_job_that_a_queue_holds_is_explained_and_not_left_behind() -> None:
    """Where teams have quotas, Kueue holds every job of their namespaces until there is room."""
    queue = Queue(namespace="training", context=None)
    seconds = [0.0]
    told: list[str] = []
    clock = Clock(
        now=lambda: seconds[0], sleep=lambda each: seconds.__setitem__(0, seconds[0] + each)
    )

    logs = logs_of(queue, RUN, clock=clock, tell=told.append)

    assert seconds[0] >= RUN.deadline_seconds
    assert logs.nodes == {}
    (obstacle,) = logs.obstacles
    assert "holds the Job until its team's quota has room" in obstacle
    assert told == [f"0 of 2 pods run. {obstacle}"]
    assert queue.left == 0
