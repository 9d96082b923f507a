"""The log of a function that is a web server, in the log group that its configuration names."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ministack.services import cloudwatch_logs


class FunctionLog:
    """A log stream of one instance of a function. The group must exist, as CloudWatch asks."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        default = f"/aws/lambda/{config['FunctionName']}"
        self._group = config.get("LoggingConfig", {}).get("LogGroup") or default
        day = datetime.now(UTC).strftime("%Y/%m/%d")
        self._stream = f"{day}/[{config['Version']}]{uuid4().hex}"

    def follow(self, lines: Iterable[str]) -> None:
        """Write each line as it comes, until there are no more."""
        for line in lines:
            self.write(line.rstrip("\n"))

    def write(self, line: str) -> None:
        """Append one line; nothing where the group was deleted."""
        group = cloudwatch_logs._log_groups.get(self._group)
        if group is None:
            return
        now = int(time.time() * 1000)
        stream = group["streams"].setdefault(self._stream, _empty_stream(now))
        event = {"timestamp": now, "message": line, "ingestionTime": now}
        cloudwatch_logs._append_log_events(stream, [event])


def _empty_stream(now: int) -> dict[str, Any]:
    return {
        "events": [],
        "uploadSequenceToken": "1",
        "creationTime": now,
        "firstEventTimestamp": None,
        "lastEventTimestamp": None,
        "lastIngestionTime": None,
    }
