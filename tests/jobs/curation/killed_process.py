"""Runs the job in processes that are killed, as a script; each line of stdin asks for one.

A request holds the arguments of ``curation.cli.run``, the folder to watch, and where to end: at
the ``event``-th operation on a file of the folder or on a connection, after so many ``seconds``, or
not at all. The answer is the signal that ended the process (0 for none) and how many operations it
came to. Imports are made once, and every process is a fork of this one.
"""

import json
import os
import signal
import sys
import time
from typing import Any

from curation import cli, local_storage, s3_storage

OPERATIONS = frozenset({"open", "os.link", "os.rename", "os.remove", "os.mkdir"})
assert local_storage
assert s3_storage


def run(request: dict[str, Any], counter: int) -> None:
    """Run the job in this process, which ends here."""
    count = 0

    def observe(event: str, details: tuple[Any, ...]) -> None:
        nonlocal count
        local = event in OPERATIONS and str(details[0]).startswith(request["folder"])
        if local or event == "http.client.send":
            count += 1
            if count == request.get("event"):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(observe)
    with open(os.devnull, "w") as sys.stdout:  # noqa: PTH123
        cli.run(*request["arguments"])
    os.write(counter, str(count).encode())
    os._exit(0)


def answer(request: dict[str, Any]) -> dict[str, int]:
    """Fork, wait, and tell how the process ended."""
    reading, writing = os.pipe()
    while signal.sigtimedwait([signal.SIGCHLD], 0):
        # It tells of a child that is long gone, and would end the wait for this one.
        continue
    child = os.fork()
    if not child:
        try:
            run(request, writing)
        finally:
            os._exit(70)
    os.close(writing)
    if "seconds" in request:
        signal.sigtimedwait([signal.SIGCHLD], request["seconds"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    counted = os.read(reading, 32)
    os.close(reading)
    code = os.waitstatus_to_exitcode(status)
    if code > 0:
        raise SystemExit(f"the job failed with status {code}")
    return {"signal": -code, "operations": int(counted or 0)}


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    for line in sys.stdin:
        began = time.monotonic()
        result = answer(json.loads(line))
        sys.stdout.write(json.dumps({**result, "seconds": time.monotonic() - began}) + "\n")
        sys.stdout.flush()
