"""Processes of functions on a machine that is not Lambda's, and that may stand still at times."""

import queue
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ministack.core import lambda_runtime

from ops.local.emulator.machine_code import for_this_machine

LEAST_SECONDS: Final = 120
"""Any function's time here. What a template allows is meant for Lambda's own machines."""

_POLL_SECONDS = 0.001
_QUIET_POLLS = 20
_MOST_POLLS = 5_000


def install(packages: Path) -> None:
    """Start functions with compiled modules of ``packages``, and lose nothing that they write."""
    prepare = lambda_runtime.Worker.__init__

    def prepared(self: object, name: str, config: Mapping[str, Any], code: bytes) -> None:
        seconds = max(LEAST_SECONDS, config.get("Timeout", 0))
        prepare(self, name, {**config, "Timeout": seconds}, for_this_machine(code, packages))

    lambda_runtime.Worker.__init__ = prepared
    lambda_runtime.Worker._drain_stderr_bounded = _written


def _written(worker: Any, first_line_wait: float = 0.05) -> str:
    """Return what a function has written, when nothing more comes.

    ministack stops by the clock, and loses all of it where the thread that reads was not given the
    processor in time. Between two looks that thread always has its turn, so that looks are counted.
    """
    lines: list[str] = []
    left = round(first_line_wait / _POLL_SECONDS)
    for _look in range(_MOST_POLLS):
        try:
            lines.append(worker._stderr_queue.get_nowait())
        except queue.Empty:
            left -= 1
            if left < 0:
                break
            time.sleep(_POLL_SECONDS)
        else:
            left = _QUIET_POLLS
    return "\n".join(lines)
