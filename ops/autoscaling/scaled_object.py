"""What KEDA and the HorizontalPodAutoscaler will do, as the ScaledObject of a template says it."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

TOLERANCE: Final = 0.1
"""How far a metric may lie from its target before the autoscaler acts: the default of
``--horizontal-pod-autoscaler-tolerance``, which EKS does not let anybody change.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

_CRON: Final = re.compile(r"(\d+) (\d+) \* \* ([\d,-]+)")
_MINUTES_A_DAY: Final = 24 * 60
_WINDOW: Final = re.compile(r"\[(\d+)m\]")
_QUEUE, _RUNNING = "num_requests_waiting", "num_requests_running"
_FIRST_TOKEN = "time_to_first_token"  # noqa: S105 - a metric of text


class ScalingError(ValueError):
    """A ScaledObject that is not understood here; the message says which part."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What the triggers see at one moment.

    ``waiting`` and ``running`` count requests, ``first_token`` is the 95th percentile in seconds,
    ``calls`` the requests of the last minutes, and ``minute`` the minute of the week, from Monday.
    """

    waiting: int
    running: int
    first_token: float
    calls: int
    minute: int


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Hours of the week in which ``replicas`` run; ``days`` count from Monday, which is 0."""

    start: int
    end: int
    days: frozenset[int]
    replicas: int

    def holds(self, minute: int) -> bool:
        """Whether a minute of the week lies within them."""
        day, rest = divmod(minute % (7 * _MINUTES_A_DAY), _MINUTES_A_DAY)
        return day in self.days and self.start <= rest < self.end


@dataclass(frozen=True, kw_only=True)
class Policy:
    """By how much copies may change within ``seconds``: a number, or a share of them in percent."""

    seconds: int
    value: int
    is_percent: bool

    def most(self, replicas: int) -> int:
        """Return up to how many copies ``replicas`` may become."""
        return (
            math.ceil(replicas * (1 + self.value / 100))
            if self.is_percent
            else (replicas + self.value)
        )

    def least(self, replicas: int) -> int:
        """Return down to how many copies ``replicas`` may become."""
        return (
            math.floor(replicas * (1 - self.value / 100))
            if self.is_percent
            else (replicas - self.value)
        )


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How the copies of a model follow its load. Targets are ``None`` where no trigger has them.

    ``polling_seconds`` is how often KEDA looks whether anything is active, and ``idle_seconds`` how
    long nothing must be before the last copy goes. ``calm_seconds`` is how long less load must last
    before a copy goes. The windows are how far back times to the first token and calls are looked
    at.
    """

    minimum: int
    maximum: int
    waiting_target: float | None = None
    first_token_target: float | None = None
    wakes_on_calls: bool = False
    clocks: tuple[Clock, ...] = ()
    polling_seconds: int = 30
    idle_seconds: int = 300
    calm_seconds: int = 300
    latency_window_seconds: int = 180
    calls_window_seconds: int = 300
    growth: tuple[Policy, ...] = ()
    shrinkage: tuple[Policy, ...] = ()

    @classmethod
    def fixed(cls, replicas: int) -> "Scaling":
        """Return the scaling of a model whose number of copies never changes."""
        return cls(minimum=replicas, maximum=replicas)

    def is_active(self, load: Load) -> bool:
        """Whether any trigger is active, so that KEDA keeps a copy."""
        return (
            (self.waiting_target is not None and load.waiting > 0)
            or (self.first_token_target is not None and load.first_token > 0)
            or (self.wakes_on_calls and (load.calls > 0 or load.running + load.waiting > 0))
            or any(clock.holds(load.minute) for clock in self.clocks)
        )

    def wanted(self, load: Load, *, replicas: int, ready: int) -> int:
        """Return what the autoscaler proposes for ``replicas``, of which ``ready`` are ready.

        Metrics per pod are divided by their target; a value as it is multiplies the ready pods.
        The largest proposal counts.
        https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/podautoscaler/replica_calculator.go
        """
        proposals = [self.floor]
        if self.waiting_target is not None:
            proposals.append(_per_pod(load.waiting, self.waiting_target, replicas))
        if self.first_token_target is not None:
            proposals.append(_as_it_is(load.first_token, self.first_token_target, replicas, ready))
        proposals += [
            _per_pod(clock.replicas, 1, replicas)
            for clock in self.clocks
            if clock.holds(load.minute)
        ]
        return min(max(proposals), self.maximum)

    @property
    def floor(self) -> int:
        """The fewest copies of the autoscaler, which KEDA alone takes to zero."""
        return max(1, self.minimum)


def _per_pod(total: float, target: float, replicas: int) -> int:
    if replicas and abs(1 - total / (target * replicas)) <= TOLERANCE:
        return replicas
    return math.ceil(total / target)


def _as_it_is(value: float, target: float, replicas: int, ready: int) -> int:
    ratio = value / target
    if not replicas:
        return math.ceil(ratio)
    return replicas if abs(1 - ratio) <= TOLERANCE else math.ceil(ratio * ready)


def scaling_of(body: Mapping[str, Any]) -> Scaling:
    """Read a ScaledObject.

    Raises :class:`ScalingError` for a trigger that this module cannot follow.
    """
    spec = body["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    waiting = first_token = None
    wakes = False
    windows: dict[str, int] = {}
    clocks = []
    for trigger in spec["triggers"]:
        about = trigger["metadata"]
        query = str(about.get("query", ""))
        if trigger["type"] == "cron":
            clocks.append(_clock(about))
        elif trigger["type"] == "aws-cloudwatch":
            # Keeps a copy, and adds none: its target is one that no load reaches.
            wakes = True
            windows["calls_window_seconds"] = int(about["metricCollectionTime"])
        elif _RUNNING in query:
            wakes = True
        elif _QUEUE in query:
            waiting = float(about["threshold"])
        elif _FIRST_TOKEN in query:
            first_token = float(about["threshold"])
            windows["latency_window_seconds"] = 60 * int(_WINDOW.findall(query)[0])
        else:
            raise ScalingError(
                f"The trigger {trigger['type']} {query!r} of {body['metadata']['name']} is not one "
                "that can be followed here."
            )
    return Scaling(
        minimum=int(spec["minReplicaCount"]),
        maximum=int(spec["maxReplicaCount"]),
        waiting_target=waiting,
        first_token_target=first_token,
        wakes_on_calls=wakes,
        clocks=tuple(clocks),
        polling_seconds=int(spec["pollingInterval"]),
        idle_seconds=int(spec["cooldownPeriod"]),
        calm_seconds=int(behavior["scaleDown"]["stabilizationWindowSeconds"]),
        growth=_policies(behavior["scaleUp"]["policies"]),
        shrinkage=_policies(behavior["scaleDown"]["policies"]),
        **windows,
    )


def _policies(found: Iterable[Mapping[str, Any]]) -> tuple[Policy, ...]:
    return tuple(
        Policy(
            seconds=int(each["periodSeconds"]),
            value=int(each["value"]),
            is_percent=each["type"] == "Percent",
        )
        for each in found
    )


def _clock(about: Mapping[str, str]) -> Clock:
    fields = [_CRON.fullmatch(about[name]) for name in ("start", "end")]
    if not all(fields):
        raise ScalingError(
            f"The hours from {about['start']!r} to {about['end']!r} are not of the form that can "
            "be followed here: minute, hour, and days of the week."
        )
    start, end = (int(each[2]) * 60 + int(each[1]) for each in fields if each)
    days = fields[0][3] if fields[0] else ""
    return Clock(
        start=start,
        end=end,
        days=frozenset(_days(days)),
        replicas=int(about["desiredReplicas"]),
    )


def _days(field: str) -> Iterable[int]:
    """Return the days of a field of cron, where Sunday is 0, counted from Monday."""
    for part in field.split(","):
        first, _, last = part.partition("-")
        for day in range(int(first), int(last or first) + 1):
            yield (day - 1) % 7
