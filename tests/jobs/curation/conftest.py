"""What the tests of the curation job share."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

Killer = Callable[..., dict[str, Any]]
"""Runs the job in a process that is killed; see ``killed_process.py``."""


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an emulated S3."""
    with _process("s3_process.py") as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@pytest.fixture(scope="module")
def emulator(s3: str) -> Iterator[str]:
    """The address of an emulated S3, which the SDK finds in the environment of this module."""
    variables = {
        "AWS_ENDPOINT_URL_S3": s3,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield s3


@contextmanager
def killer() -> Iterator[Killer]:
    """Return a function that runs the job in a process of its own, to its end or until a kill."""
    with _process("killed_process.py") as process:

        def run(**request: Any) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        yield run


@contextmanager
def _process(script: str) -> Iterator["subprocess.Popen[str]"]:
    path = os.pathsep.join([str(ROOT / "jobs"), str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, str(HERE / script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
