"""Answers that are given again when a request is repeated under the same ``Idempotency-Key``.

Items ``IDEMPOTENCY#...`` of the ledger's table, which its key encrypts. Only whole bodies are
kept, never streams.
"""

import hashlib
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.governance.identity import Caller, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

IN_PROGRESS_SECONDS = 16 * 60
"""A call that died does not block its key for longer than a living one could have taken."""

LARGEST_BODY = 350_000
"""Bytes after compression; an item of DynamoDB holds 400 KB with its attributes' names."""


@dataclass(frozen=True)
class StoredAnswer:
    """The answer to the first request under a key."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Claim:
    """The right to answer the first request under a key; hand it back with the answer."""

    item_id: str
    expires_at: int


class IdempotencyConflict(Exception):  # noqa: N818 - HTTP 409 Conflict
    """The key is in use, or was used for something else; the message says which."""


class IdempotencyStore:
    """Keeps answers for ``seconds`` (default one hour), apart for each API key."""

    def __init__(
        self, client: "DynamoDBClient", table: str, *, seconds: int = 3600, clock: Clock = time.time
    ) -> None:
        self._client = client
        self._table = table
        self._seconds = seconds
        self._clock = clock

    def begin(self, caller: Caller, key: str, request: bytes) -> Claim | StoredAnswer:
        """Claim ``key`` for a request's body, or return the answer it has had.

        Raises:
            IdempotencyConflict: the first request is not answered yet, had another body, or was
                answered by something too large to keep.
        """
        now = int(self._clock())
        owner = hashlib.sha256(f"{caller.key_id}\n{key}".encode()).hexdigest()
        claim = Claim(f"IDEMPOTENCY#{owner}", now + IN_PROGRESS_SECONDS)
        digest = hashlib.sha256(request).hexdigest()
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "id": {"S": claim.item_id},
                    "request": {"S": digest},
                    "expires_at": {"N": str(claim.expires_at)},
                },
                # Items stay for days after their time to live, so that it must be compared here.
                ConditionExpression="attribute_not_exists(id) OR expires_at <= :now",
                ExpressionAttributeValues={":now": {"N": str(now)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return self._stored(claim.item_id, digest)
        return claim

    def complete(self, claim: Claim, answer: StoredAnswer) -> None:
        """Keep the answer; one that is too large is only marked as given."""
        body = zlib.compress(answer.body)
        expression = "SET #status = :status, expires_at = :until"
        values: dict[str, dict[str, str | bytes]] = {
            ":status": {"N": str(answer.status)},
            ":until": {"N": str(int(self._clock()) + self._seconds)},
            ":claimed": {"N": str(claim.expires_at)},
        }
        if len(body) <= LARGEST_BODY:
            expression += ", body = :body"
            values[":body"] = {"B": body}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"id": {"S": claim.item_id}},
                UpdateExpression=expression,
                ConditionExpression="expires_at = :claimed",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=values,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # The claim ended and another request holds the key: its answer counts.

    def abandon(self, claim: Claim) -> None:
        """Give the key back, so that a repetition is tried anew; use it when the call failed."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key={"id": {"S": claim.item_id}},
                ConditionExpression="expires_at = :claimed",
                ExpressionAttributeValues={":claimed": {"N": str(claim.expires_at)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _stored(self, item_id: str, digest: str) -> StoredAnswer:
        answer = self._client.get_item(
            TableName=self._table, Key={"id": {"S": item_id}}, ConsistentRead=True
        )
        item = answer.get("Item", {})
        if "request" in item and item["request"]["S"] != digest:
            raise IdempotencyConflict(
                "This Idempotency-Key was used for another request. Use a new key for each request."
            )
        if "status" not in item:
            raise IdempotencyConflict(
                "The first request with this Idempotency-Key is still running. Retry later."
            )
        if "body" not in item:
            raise IdempotencyConflict(
                "The first request was answered, but its answer was too large to keep. "
                "Use a new key to ask again."
            )
        return StoredAnswer(int(item["status"]["N"]), zlib.decompress(bytes(item["body"]["B"])))
