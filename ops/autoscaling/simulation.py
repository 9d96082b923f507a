"""A model server, its autoscaler and a load, second by second."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ops.autoscaling.load_profile import LoadProfile
from ops.autoscaling.scaled_object import Load, Policy, Scaling
from ops.load.sample import percentiles

SYNC_SECONDS: Final = 15
"""How often the HorizontalPodAutoscaler looks.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#how-does-a-horizontalpodautoscaler-work
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """One copy of a model, as a load test measured it.

    ``concurrency`` requests are answered at once, each in ``answer_seconds``, the first token after
    ``first_token_seconds`` of them. A copy answers ``start_seconds`` after it was asked for, and
    metrics are ``metrics_seconds`` old when the autoscaler reads them.
    """

    concurrency: int
    answer_seconds: float
    first_token_seconds: float
    start_seconds: int
    metrics_seconds: int

    @property
    def capacity(self) -> float:
        """Requests a second that one copy can answer for long."""
        return self.concurrency / self.answer_seconds


@dataclass(frozen=True)
class Moment:
    """One second of the run: copies asked for, those that answer, and the requests there."""

    replicas: int
    ready: int
    running: int
    waiting: int


@dataclass(kw_only=True)
class Outcome:
    """What became of the requests. ``first_tokens`` are seconds, one for each that was answered.

    ``refused`` had no copy that was ready, and ``unanswered`` waited still when the run ended.
    """

    first_tokens: list[float] = field(default_factory=list)
    refused: int = 0
    unanswered: int = 0
    moments: list[Moment] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """All that came."""
        return len(self.first_tokens) + self.refused + self.unanswered

    def good_share(self, objective_seconds: float) -> float:
        """Return the share, 0 to 1, whose first token came within the objective."""
        if not self.requests:
            return 1.0
        return sum(each <= objective_seconds for each in self.first_tokens) / self.requests

    @property
    def replica_hours(self) -> float:
        """What is paid for: copies that were asked for, whether they answered yet or not."""
        return sum(moment.replicas for moment in self.moments) / 3600


class Simulation:
    """One run, which is the same for the same ``seed``. ``starts_at`` is a minute of the week."""

    def __init__(
        self,
        *,
        scaling: Scaling,
        server: Server,
        profile: LoadProfile,
        starts_at: int = 0,
        seed: int = 0,
    ) -> None:
        self._scaling = scaling
        self._server = server
        self._profile = profile
        self._starts_at = starts_at
        self._seed = seed
        first = Load(waiting=0, running=0, first_token=0, calls=0, minute=starts_at)
        begin = scaling.minimum
        if begin or scaling.is_active(first):
            begin = scaling.wanted(first, replicas=begin, ready=begin)
        # Seconds from which each copy answers; those of the beginning have always done so.
        self._ready_at = [0] * begin
        self._changes: deque[tuple[int, int]] = deque()
        self._proposals: deque[tuple[int, int]] = deque()
        self._active_at = 0
        self._queue: deque[int] = deque()
        self._busy_until: deque[float] = deque()
        self._seen: deque[tuple[int, int, int]] = deque()
        self._begun: deque[tuple[float, float]] = deque()
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Follow the whole load, and after it the queue until it is empty or stays as it is."""
        second = 0
        for arrived in self._profile.arrivals(self._seed):
            self._step(second, arrived)
            second += 1
        patience = second + self._server.start_seconds + self._scaling.calls_window_seconds
        while self._queue and second < patience:
            self._step(second, 0)
            second += 1
        self._outcome.unanswered = len(self._queue)
        return self._outcome

    def _step(self, second: int, arrived: int) -> None:
        ready = sum(moment <= second for moment in self._ready_at)
        if ready:
            self._queue.extend([second] * arrived)
        else:
            # A load balancer without a target answers by itself.
            self._outcome.refused += arrived
        self._answer(second, ready)
        self._seen.append((len(self._queue), len(self._busy_until), arrived))
        if len(self._seen) > self._scaling.calls_window_seconds + self._server.metrics_seconds + 1:
            self._seen.popleft()
        if second % SYNC_SECONDS == 0 or second % self._scaling.polling_seconds == 0:
            self._scale(second, ready, self._load(second))
        self._outcome.moments.append(
            Moment(len(self._ready_at), ready, len(self._busy_until), len(self._queue))
        )

    def _answer(self, second: int, ready: int) -> None:
        while self._busy_until and self._busy_until[0] <= second:
            self._busy_until.popleft()
        room = ready * self._server.concurrency - len(self._busy_until)
        for _ in range(min(room, len(self._queue))):
            came = self._queue.popleft()
            # All take equally long, so the first to begin is the first to end.
            self._busy_until.append(second + self._server.answer_seconds)
            first_token = second - came + self._server.first_token_seconds
            self._outcome.first_tokens.append(first_token)
            self._begun.append((second + self._server.first_token_seconds, first_token))

    def _load(self, second: int) -> Load:
        """Return what the metrics say, which are of some time ago."""
        delay = min(self._server.metrics_seconds, len(self._seen) - 1)
        waiting, running, _ = self._seen[-1 - delay]
        seen_at = second - self._server.metrics_seconds
        since = seen_at - self._scaling.latency_window_seconds
        while self._begun and self._begun[0][0] <= since:
            self._begun.popleft()
        latest = [value for moment, value in self._begun if moment <= seen_at]
        calls = list(self._seen)[: len(self._seen) - delay][-self._scaling.calls_window_seconds :]
        return Load(
            waiting=waiting,
            running=running,
            first_token=percentiles(latest).get("p95", 0.0),
            calls=sum(each for _, _, each in calls),
            minute=self._starts_at + second // 60,
        )

    def _scale(self, second: int, ready: int, load: Load) -> None:
        replicas = len(self._ready_at)
        if second % self._scaling.polling_seconds == 0 and self._scaling.minimum == 0:
            if self._scaling.is_active(load):
                self._active_at = second
                if not replicas:
                    return self._resize(second, 1)
            elif replicas and second - self._active_at >= self._scaling.idle_seconds:
                return self._resize(second, 0)
        if second % SYNC_SECONDS == 0 and replicas:
            wanted = self._scaling.wanted(load, replicas=replicas, ready=ready)
            held = self._limited(second, wanted)
            # What KEDA does between none and one is not known to the autoscaler's policies.
            if held != replicas:
                self._changes.append((second, held - replicas))
                self._resize(second, held)
        return None

    def _limited(self, second: int, wanted: int) -> int:
        """Hold a proposal back by the latest ones, and by how fast copies may come and go."""
        replicas = len(self._ready_at)
        self._proposals.append((second, wanted))
        while self._proposals[0][0] < second - self._scaling.calm_seconds:
            self._proposals.popleft()
        if wanted > replicas:
            most = [policy.most(self._before(second, policy)) for policy in self._scaling.growth]
            return min(wanted, max([replicas, *most])) if most else wanted
        held = min(replicas, max(proposal for _, proposal in self._proposals))
        least = [policy.least(self._before(second, policy)) for policy in self._scaling.shrinkage]
        return max(held, min([replicas, *least])) if least else held

    def _before(self, second: int, policy: Policy) -> int:
        """Return how many copies there were when the period of a policy began."""
        changed = sum(by for moment, by in self._changes if moment > second - policy.seconds)
        return len(self._ready_at) - changed

    def _resize(self, second: int, replicas: int) -> None:
        by = replicas - len(self._ready_at)
        self._ready_at += [second + self._server.start_seconds] * by
        # Those that are not ready go first, the youngest of them before.
        # https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
        self._ready_at = sorted(self._ready_at)[:replicas]
