"""The budget ledger in DynamoDB: reserve before the call, settle after it.

One table with the partition key ``id`` and the time to live ``expires_at``. It holds counters,
``KEY#<key id>#<window>#<label>`` and ``TEAM#<team>#<window>#<label>``, and leases,
``LEASE#<request id>``. The sparse index :data:`OPEN_LEASES` (partition key ``open_team``, sort key
``lease_until``, keys only) finds the leases that nobody has settled.

Condition expressions have no arithmetic, so a counter is increased on the condition that it is at
most the limit minus the increase; every counter and the lease are written in one transaction. A
counter holds what is settled plus what is held, so that no reader can ever see more than the
limit in it, as long as an answer uses no more than was reserved for it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.governance.budget import (
    Amounts,
    BudgetExceeded,
    BudgetUnavailable,
    Dimension,
    Limits,
    LimitSource,
    Rates,
    Reservation,
    Scope,
    Usage,
    UsageLine,
    UsageReport,
    Window,
)
from gateway.governance.identity import Caller, Clock
from gateway.governance.transaction import (
    ConditionFailed,
    RetryPolicy,
    TransactionWriter,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

OPEN_LEASES = "open-leases"
"""The name of the index on open leases."""

LEASE_SECONDS = 16 * 60
"""A minute more than a Lambda function may run (15 minutes), so that no living call is swept."""

DAY_SECONDS = 86_400

COUNTER_DAYS = {Window.MINUTE: 2, Window.DAY: 35, Window.MONTH: 400}
"""How long a counter stays after its window: a month's for the comparison with a year before."""

OPEN_LEASE_DAYS = 35
"""An open lease outlives the longest window that it can hold an amount in."""

CLOSED_LEASE_DAYS = 2
"""A closed lease stays so that a late or repeated settlement is recognised."""

SWEEP_LIMIT = 25
"""Expired leases that one call returns at most, to bound its time."""

OPEN, SETTLED, RETURNED = "open", "settled", "returned"


@dataclass(frozen=True)
class _Counter:
    """One scope's counter of one window."""

    scope: Scope
    name: str
    window: Window
    moment: float
    limits: Limits

    @property
    def id(self) -> str:
        return f"{self.scope.upper()}#{self.name}#{self.window}#{self.window.label(self.moment)}"

    @property
    def end(self) -> int:
        return self.window.end(self.moment)

    @property
    def expires_at(self) -> int:
        return self.end + COUNTER_DAYS[self.window] * DAY_SECONDS

    def limited(self) -> Iterator[tuple[Dimension, int]]:
        for dimension in Dimension:
            limit = self.limits.of(self.window, dimension)
            if limit is not None:
                yield dimension, limit

    def exceeded(
        self, dimension: Dimension, limit: int, used: int, *, never_fits: bool = False
    ) -> BudgetExceeded:
        return BudgetExceeded(
            window=self.window,
            scope=self.scope,
            dimension=dimension,
            limit=limit,
            used=used,
            retry_after_seconds=max(1, self.end - int(self.moment)),
            never_fits=never_fits,
        )


class DynamoDBLedger:
    """Keeps budgets in DynamoDB; see :class:`~gateway.governance.budget.BudgetLedger`.

    ``rates`` has the price and weight of every model. ``lease_seconds`` must be more than the
    longest call. A reservation whose process died is returned by the next request of its team
    that meets it: when a budget refuses, and otherwise every ``sweep_seconds``.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        rates: Rates,
        limits: LimitSource,
        lease_seconds: int = LEASE_SECONDS,
        sweep_seconds: float = 60,
        clock: Clock = time.time,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._rates = rates
        self._limits = limits
        self._lease_seconds = lease_seconds
        self._sweep_seconds = sweep_seconds
        self._clock = clock
        self._writer = TransactionWriter(client, retry or RetryPolicy())
        self._swept: dict[str, float] = {}

    def reserve(
        self,
        caller: Caller,
        *,
        model: str,
        input_tokens: int,
        max_output_tokens: int,
        request_id: str,
    ) -> Reservation:
        """Hold the most the request can use, in every window or in none."""
        held = self._reservation(model, input_tokens, max_output_tokens)
        counters = self._counters(caller)
        _refuse_what_never_fits(counters, held)
        self._sweep_when_due(caller.team)
        reservation = Reservation(
            request_id=request_id,
            model=model,
            held=held,
            counters=tuple(counter.id for counter in counters),
            lease_until=int(self._clock()) + self._lease_seconds,
        )
        try:
            self._hold(caller, reservation, counters)
        except BudgetExceeded:
            if not self.return_expired(caller.team):
                raise
            self._hold(caller, reservation, counters)
        return reservation

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Replace what was held by what was used, exactly once.

        A lease that ended before is charged all the same: the model was used.
        """
        used = self._rates[reservation.model].amounts(usage)
        if self._close(reservation, OPEN, SETTLED, used - reservation.held, -reservation.held):
            return
        self._close(reservation, RETURNED, SETTLED, used, Amounts())

    def release(self, reservation: Reservation) -> None:
        """Return all that was held, once."""
        self._close(reservation, OPEN, RETURNED, -reservation.held, -reservation.held)

    def usage(self, caller: Caller) -> UsageReport:
        """Return the current windows of the caller's key and team."""
        counters = self._counters(caller)
        items = [self._read(counter.id) for counter in counters]
        return UsageReport(
            tuple(
                line
                for counter, item in zip(counters, items, strict=True)
                for line in _lines(counter, item)
            )
        )

    def return_expired(self, team: str, *, limit: int = SWEEP_LIMIT) -> int:
        """Return what the team's expired leases hold, and how many there were, at most ``limit``.

        Raises:
            BudgetUnavailable: DynamoDB cannot be reached.
        """
        answer = self._call(
            "query",
            TableName=self._table,
            IndexName=OPEN_LEASES,
            KeyConditionExpression="open_team = :team AND lease_until <= :now",
            ExpressionAttributeValues={":team": {"S": team}, ":now": _n(int(self._clock()))},
            Limit=limit,
        )
        return sum(self._return(item["id"]["S"]) for item in answer["Items"])

    def teams_with_expired_leases(self) -> set[str]:
        """Return the teams that :meth:`return_expired` would find something for.

        Raises:
            BudgetUnavailable: DynamoDB cannot be reached.
        """
        teams: set[str] = set()
        start: dict[str, Any] = {}
        while True:
            answer = self._call(
                "scan",
                TableName=self._table,
                IndexName=OPEN_LEASES,
                FilterExpression="lease_until <= :now",
                ExpressionAttributeValues={":now": _n(int(self._clock()))},
                **start,
            )
            teams |= {item["open_team"]["S"] for item in answer["Items"]}
            if "LastEvaluatedKey" not in answer:
                return teams
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _reservation(self, model: str, input_tokens: int, max_output_tokens: int) -> Amounts:
        if model not in self._rates:
            message = f"The model {model!r} has no rates. Add them to the environment's models."
            raise ValueError(message)
        if min(input_tokens, max_output_tokens) < 0:
            raise ValueError("A request cannot have a negative number of tokens.")
        return self._rates[model].reservation(input_tokens, max_output_tokens)

    def _counters(self, caller: Caller) -> list[_Counter]:
        """Return a counter for each limited window, and for each month, which reports need."""
        now = self._clock()
        counters = [
            _Counter(scoped.scope, scoped.name, window, now, scoped.limits)
            for scoped in self._limits.limits(caller)
            for window in Window
        ]
        return [
            counter
            for counter in counters
            if counter.window is Window.MONTH or any(counter.limited())
        ]

    def _hold(self, caller: Caller, reservation: Reservation, counters: list[_Counter]) -> None:
        lease = _lease_put(self._table, caller.team, reservation)
        increases = [_increase(self._table, counter, reservation.held) for counter in counters]
        try:
            self._writer.write([lease, *increases])
        except ConditionFailed as failure:
            self._raise_refusal(failure, counters, reservation.held)

    def _raise_refusal(
        self, failure: ConditionFailed, counters: list[_Counter], held: Amounts
    ) -> NoReturn:
        if 0 in failure.failed():
            raise BudgetUnavailable(
                "The request id has been used before. Send each request under a new one."
            ) from None
        refusals = [
            refusal
            for place in failure.failed()
            for refusal in _refusals(counters[place - 1], failure.reasons[place].item, held)
        ]
        # All of them must pass, so the one that takes longest is the one to wait for.
        raise max(refusals, key=lambda refusal: refusal.retry_after_seconds) from None

    def _close(
        self,
        reservation: Reservation,
        before: str,
        after: str,
        change: Amounts,
        held: Amounts,
    ) -> bool:
        lease = f"LEASE#{reservation.request_id}"
        update = _lease_update(self._table, lease, before, after, int(self._clock()))
        changes = [_change(self._table, name, change, held) for name in reservation.counters]
        try:
            self._writer.write([update, *changes])
        except ConditionFailed:
            return False
        return True

    def _return(self, lease: str) -> bool:
        item = self._read(lease)
        if item.get("state", {}).get("S") != OPEN:
            return False  # The index is behind: somebody closed it meanwhile.
        reservation = Reservation(
            request_id=lease.removeprefix("LEASE#"),
            model=item["model"]["S"],
            held=Amounts(**{part.value: int(item[part.value]["N"]) for part in Dimension}),
            counters=tuple(item["counters"]["SS"]),
            lease_until=int(item["lease_until"]["N"]),
        )
        return self._close(reservation, OPEN, RETURNED, -reservation.held, -reservation.held)

    def _sweep_when_due(self, team: str) -> None:
        now = self._clock()
        if now - self._swept.get(team, float("-inf")) >= self._sweep_seconds:
            self._swept[team] = now
            self.return_expired(team)

    def _read(self, identifier: str) -> Mapping[str, Any]:
        answer = self._call(
            "get_item", TableName=self._table, Key={"id": {"S": identifier}}, ConsistentRead=True
        )
        item: Mapping[str, Any] = answer.get("Item", {})
        return item

    def _call(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(**arguments)
        except (BotoCoreError, ClientError) as error:
            raise BudgetUnavailable("The budget table cannot be read.") from error


def _refuse_what_never_fits(counters: Sequence[_Counter], held: Amounts) -> None:
    for counter in counters:
        for dimension, limit in counter.limited():
            if held.of(dimension) > limit:
                raise counter.exceeded(dimension, limit, 0, never_fits=True)


def _refusals(
    counter: _Counter, item: Mapping[str, Any], held: Amounts
) -> Iterator[BudgetExceeded]:
    for dimension, limit in counter.limited():
        used = int(item.get(dimension.value, {"N": "0"})["N"])
        if used + held.of(dimension) > limit:
            yield counter.exceeded(dimension, limit, used)


def _lines(counter: _Counter, item: Mapping[str, Any]) -> Iterator[UsageLine]:
    for dimension in Dimension:
        total = int(item.get(dimension.value, {"N": "0"})["N"])
        held = int(item.get(f"held_{dimension}", {"N": "0"})["N"])
        yield UsageLine(
            scope=counter.scope,
            name=counter.name,
            window=counter.window,
            dimension=dimension,
            used=total - held,
            held=held,
            limit=counter.limits.of(counter.window, dimension),
            resets_at=counter.end,
        )


def _n(number: int) -> dict[str, str]:
    return {"N": str(number)}


def _lease_put(table: str, team: str, reservation: Reservation) -> "TransactWriteItemTypeDef":
    return {
        "Put": {
            "TableName": table,
            "Item": {
                "id": {"S": f"LEASE#{reservation.request_id}"},
                "state": {"S": OPEN},
                "open_team": {"S": team},
                "model": {"S": reservation.model},
                "counters": {"SS": list(reservation.counters)},
                "lease_until": _n(reservation.lease_until),
                "expires_at": _n(reservation.lease_until + OPEN_LEASE_DAYS * DAY_SECONDS),
                **{part.value: _n(reservation.held.of(part)) for part in Dimension},
            },
            "ConditionExpression": "attribute_not_exists(id)",
        }
    }


def _lease_update(
    table: str, lease: str, before: str, after: str, now: int
) -> "TransactWriteItemTypeDef":
    return {
        "Update": {
            "TableName": table,
            "Key": {"id": {"S": lease}},
            "UpdateExpression": "SET #state = :after, expires_at = :expires REMOVE open_team",
            "ConditionExpression": "#state = :before",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {
                ":before": {"S": before},
                ":after": {"S": after},
                ":expires": _n(now + CLOSED_LEASE_DAYS * DAY_SECONDS),
            },
        }
    }


def _increase(table: str, counter: _Counter, held: Amounts) -> "TransactWriteItemTypeDef":
    conditions = []
    room = {}
    for dimension, limit in counter.limited():
        conditions.append(
            f"(attribute_not_exists(#{dimension}) OR #{dimension} <= :{dimension}_room)"
        )
        room[f":{dimension}_room"] = _n(limit - held.of(dimension))
    change = _change(table, counter.id, held, held)
    update = change["Update"]
    update["UpdateExpression"] += " SET expires_at = :expires"
    values = {**update.get("ExpressionAttributeValues", {}), ":expires": _n(counter.expires_at)}
    update["ExpressionAttributeValues"] = {**values, **room}
    if conditions:
        update["ConditionExpression"] = " AND ".join(conditions)
        update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return change


def _change(table: str, counter: str, total: Amounts, held: Amounts) -> "TransactWriteItemTypeDef":
    """Return an update that adds to a counter what it holds in all, and of it for open leases."""
    additions = [f"#{part} :{part}, #held_{part} :held_{part}" for part in Dimension]
    amounts = {f":{part}": _n(total.of(part)) for part in Dimension}
    holds = {f":held_{part}": _n(held.of(part)) for part in Dimension}
    names = [*Dimension, *(f"held_{part}" for part in Dimension)]
    return {
        "Update": {
            "TableName": table,
            "Key": {"id": {"S": counter}},
            "UpdateExpression": f"ADD {', '.join(additions)}",
            "ExpressionAttributeNames": {f"#{name}": str(name) for name in names},
            "ExpressionAttributeValues": {**amounts, **holds},
        }
    }
