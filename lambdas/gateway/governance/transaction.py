"""All-or-nothing writes to DynamoDB, retried while other writers are in the way."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.governance.budget import BudgetUnavailable

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

CONDITION_FAILED = "ConditionalCheckFailed"

TRANSIENT = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
        "ThrottlingError",
        "ThrottlingException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "InternalServerError",
    }
)
"""Codes after which nothing was written and the same request may succeed
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)."""


@dataclass(frozen=True)
class CancellationReason:
    """Why one item of a transaction was refused, and what the table held then, if anything."""

    code: str
    item: Mapping[str, Any]


class ConditionFailed(Exception):  # noqa: N818 - DynamoDB's term
    """A transaction was refused by at least one condition; nothing was written.

    ``reasons`` has one entry for each item, in order.
    """

    def __init__(self, reasons: Sequence[CancellationReason]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("A condition of the transaction does not hold.")

    def failed(self) -> list[int]:
        """Return the positions of the items whose condition does not hold."""
        return [
            place for place, reason in enumerate(self.reasons) if reason.code == CONDITION_FAILED
        ]


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try again: full jitter below a doubling bound.

    With the defaults a write gives up after 10 attempts and at most 2.2 seconds of waiting
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    attempts: int = 10
    first_seconds: float = 0.01
    longest_seconds: float = 0.4
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def wait(self, attempt: int) -> None:
        """Wait before the attempt after ``attempt``, which counts from 0."""
        bound = min(self.longest_seconds, self.first_seconds * 2**attempt)
        self.sleep(self.uniform(0, bound))


class TransactionWriter:
    """Writes transactions to DynamoDB."""

    def __init__(self, client: "DynamoDBClient", retry: RetryPolicy) -> None:
        self._client = client
        self._retry = retry

    def write(self, items: "Sequence[TransactWriteItemTypeDef]") -> None:
        """Write all of ``items`` or none.

        Raises:
            ConditionFailed: a condition does not hold.
            BudgetUnavailable: other writers stayed in the way, or DynamoDB cannot be reached.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        for attempt in range(self._retry.attempts):
            try:
                self._client.transact_write_items(TransactItems=items)
            except ClientError as error:
                _raise_unless_transient(error)
            except BotoCoreError as error:
                raise BudgetUnavailable("DynamoDB cannot be reached.") from error
            else:
                return
            if attempt + 1 < self._retry.attempts:
                self._retry.wait(attempt)
        message = f"Other requests changed the budget during {self._retry.attempts} attempts."
        raise BudgetUnavailable(message)


def _raise_unless_transient(error: "ClientError") -> None:
    code = error.response["Error"]["Code"]
    details: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", ())
    reasons = [CancellationReason(part.get("Code", ""), part.get("Item", {})) for part in details]
    if any(reason.code == CONDITION_FAILED for reason in reasons):
        raise ConditionFailed(reasons) from None
    codes = {reason.code for reason in reasons} | {code}
    if not codes & TRANSIENT:
        message = f"DynamoDB refused the transaction: {code}."
        raise BudgetUnavailable(message) from error
