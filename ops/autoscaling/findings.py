"""What a run says about the settings, as sentences."""

import math
from collections.abc import Iterator
from itertools import pairwise

from ops.autoscaling.load_profile import LoadProfile
from ops.autoscaling.scaled_object import Scaling
from ops.autoscaling.simulation import Outcome, Server


def findings(
    outcome: Outcome, *, scaling: Scaling, server: Server, profile: LoadProfile
) -> Iterator[str]:
    """Yield what kept answers from coming in time, each with what would help."""
    capacity = scaling.maximum * server.capacity
    if profile.peak > capacity:
        needed = math.ceil(profile.peak / server.capacity)
        yield (
            f"{scaling.maximum} copies answer at most {capacity:.2f} requests a second, and at the "
            f"peak {profile.peak:.2f} come. Raise maximum to at least {needed}."
        )
    if outcome.refused:
        yield (
            f"{outcome.refused} requests were refused, because no copy was ready. Raise minimum, "
            "or set business_hours that begin before the load does."
        )
    late = _seconds_waiting_for_copies(outcome)
    if late:
        yield (
            f"For {_minutes(late)} requests waited while copies were starting, which takes "
            f"{_minutes(server.start_seconds)}. Lower waiting_requests or first_token_seconds, so "
            "that copies are asked for sooner; raise minimum; or make the start shorter."
        )
    idle = _copies_never_needed(outcome, server)
    if idle:
        yield (
            f"The copies asked for were never all busy: {idle} fewer would have done at every "
            "moment. Raise waiting_requests or first_token_seconds, or lower minimum."
        )
    turns = _turns(outcome, server.start_seconds)
    if turns:
        yield (
            f"Copies went, and were asked for again before a new one could have started ({turns} "
            "in this run). The load swings faster than copies start; raise minimum."
        )


def _seconds_waiting_for_copies(outcome: Outcome) -> int:
    return sum(
        moment.waiting > 0 and 0 < moment.ready < moment.replicas for moment in outcome.moments
    )


def _copies_never_needed(outcome: Outcome, server: Server) -> int:
    if any(moment.waiting for moment in outcome.moments) or outcome.refused:
        return 0
    spare = (
        moment.ready - math.ceil(moment.running / server.concurrency)
        for moment in outcome.moments
        if moment.ready
    )
    return min(spare, default=0)


def _turns(outcome: Outcome, within_seconds: int) -> int:
    """Count how often copies came back sooner than one needs to start, after others had gone."""
    turns, gone_at = 0, None
    for second, (before, after) in enumerate(pairwise(outcome.moments)):
        if after.replicas < before.replicas:
            gone_at = second
        elif after.replicas > before.replicas and gone_at is not None:
            turns += second - gone_at <= within_seconds
            gone_at = None
    return turns


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
