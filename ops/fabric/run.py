"""One run of the proof on a cluster, from the first object made to the last one deleted."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from ops.fabric.evidence import NodeLog, read_log
from ops.fabric.kubectl import ClusterError, Kubectl
from ops.fabric.objects import FabricRun, objects

INDEX_LABEL: Final = "batch.kubernetes.io/job-completion-index"
"""Of an indexed Job's pods. https://kubernetes.io/docs/reference/labels-annotations-taints/"""

HOPELESS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})
"""Reasons of a waiting container that time does not mend."""

POLL_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time, for waiting; ``now`` is in seconds."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class RunLogs:
    """What the pods wrote, by the index of their node, and why some did not run, if known."""

    nodes: Mapping[int, NodeLog]
    obstacles: tuple[str, ...]


def logs_of(
    kubectl: Kubectl, run: FabricRun, *, clock: Clock, tell: Callable[[str], None]
) -> RunLogs:
    """Run the proof and return its logs; whatever happens, its objects are deleted.

    ``tell`` hears what the run waits for, once for each change. Raises
    :class:`~ops.fabric.kubectl.ClusterError` where the cluster refuses.
    """
    with _made(kubectl, run):
        job, pods = _finished(kubectl, run, clock, tell)
        obstacles = {*_suspension(job), *_obstacles(pods)}
        nodes = {}
        for pod in pods:
            index = _index(pod)
            if index is None or pod["status"].get("phase") == "Pending":
                continue
            try:
                nodes[index] = read_log(kubectl.logs(pod["metadata"]["name"]))
            except ClusterError as error:
                obstacles.add(f"The log of node {index} cannot be read: {error}")
        return RunLogs(nodes=nodes, obstacles=tuple(sorted(obstacles)))


@contextmanager
def _made(kubectl: Kubectl, run: FabricRun) -> Iterator[None]:
    made = objects(run)
    try:
        kubectl.create(made)
        yield
    finally:
        # Also after Ctrl-C, and after a creation that failed half-way.
        kubectl.delete(made)


def _finished(
    kubectl: Kubectl, run: FabricRun, clock: Clock, tell: Callable[[str], None]
) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    deadline = clock.now() + run.deadline_seconds
    told = ""
    while True:
        job = kubectl.job(run.name)
        pods = kubectl.pods({"app.kubernetes.io/instance": run.name})
        if _ended(job) or clock.now() >= deadline or _is_hopeless(pods):
            return job, pods
        state = _state(job, pods, run.count)
        if state != told:
            tell(state)
            told = state
        clock.sleep(POLL_SECONDS)


def _ended(job: Mapping[str, Any]) -> bool:
    return bool(_conditions(job) & {"Complete", "Failed"})


def _suspension(job: Mapping[str, Any]) -> Iterator[str]:
    # Where teams have quotas, Kueue suspends every job until there is room for it.
    if "Suspended" in _conditions(job):
        yield (
            "A queue holds the Job until its team's quota has room for it; `kubectl describe "
            "workloads` in its namespace says what is missing."
        )


def _conditions(job: Mapping[str, Any]) -> frozenset[str]:
    conditions = job.get("status", {}).get("conditions", [])
    return frozenset(each["type"] for each in conditions if each["status"] == "True")


def _is_hopeless(pods: Sequence[Mapping[str, Any]]) -> bool:
    return any(reason in HOPELESS for pod in pods for reason, _ in _waiting(pod))


def _state(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], count: int) -> str:
    running = sum(pod["status"].get("phase") == "Running" for pod in pods)
    obstacles = "; ".join(sorted({*_suspension(job), *_obstacles(pods)}))
    return f"{running} of {count} pods run. {obstacles}".strip()


def _obstacles(pods: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for pod in pods:
        for condition in pod["status"].get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                yield f"A pod has no node: {condition.get('message', 'no reason given')}"
        for reason, message in _waiting(pod):
            if reason in HOPELESS:
                yield f"A pod's image cannot be had ({reason}): {message}"


def _waiting(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for container in pod["status"].get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            yield waiting.get("reason", ""), waiting.get("message", "no message")


def _index(pod: Mapping[str, Any]) -> int | None:
    index = pod["metadata"].get("labels", {}).get(INDEX_LABEL)
    return int(index) if index is not None else None
