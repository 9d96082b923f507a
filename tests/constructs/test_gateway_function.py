"""The application as Lambda starts it: its zip file, its layer's file, its variables."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from gateway.governance.identity import Caller
from gateway.governance.request_context import CONTEXT_HEADER, context_from
from llm_constructs.function_asset import build
from ops.local.access import free_ports
from stacks.gateway import APPLICATION, CACHE
from tests.constructs.test_function_asset import HERE
from tests.constructs.test_gateway import catalogue_file, function, gateway

STARTS_WITHIN_SECONDS = 120


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(build(replace(APPLICATION, platform=HERE), CACHE)) as content:
        content.extractall(folder)
    configured = function(gateway(), "gateway/run.sh")
    # Unpacking by zipfile loses what Lambda keeps.
    (folder / configured["Handler"]).chmod(0o755)
    with running(folder, configured) as found:
        yield found


@contextmanager
def running(folder: Path, configured: dict[str, Any]) -> Iterator[str]:
    """Run the handler's script with the function's variables until the block ends."""
    (port,) = free_ports(1)
    environment = variables_of(folder, configured, port)
    process = subprocess.Popen([str(folder / configured["Handler"])], env=environment)
    try:
        wait_until_it_listens(port, process)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STARTS_WITHIN_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def variables_of(folder: Path, configured: dict[str, Any], port: int) -> dict[str, str]:
    models = folder / "models.json"
    models.write_text(catalogue_file())
    programs = folder / "programs"
    programs.mkdir()
    # Without site packages: what the zip file lacks is lacking.
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (programs / "python3").chmod(0o755)
    given = configured["Environment"]["Variables"]
    return {
        **{name: value if isinstance(value, str) else "later" for name, value in given.items()},
        "GATEWAY_MODELS": str(models),
        "GATEWAY_PORT": str(port),
        "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "AWS_DEFAULT_REGION": "us-east-2",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }


def wait_until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = monotonic() + STARTS_WITHIN_SECONDS
    while process.poll() is None and monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    pytest.fail(f"It does not listen; its exit code is {process.returncode}.")


def answer(url: str, **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=STARTS_WITHIN_SECONDS) as response:  # noqa: S310 - loopback
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def request_context(**identity: Any) -> str:
    caller = Caller(key_id="k1", team="search", models=frozenset({"fast"}), redaction="redacted")
    return json.dumps({"authorizer": context_from(caller), "stage": "live", **identity})


def test_the_adapters_readiness_check_is_answered(address: str) -> None:
    variables = function(gateway(), "gateway/run.sh")["Environment"]["Variables"]
    status, _ = answer(address + variables["AWS_LWA_READINESS_CHECK_PATH"])
    assert status == 200


def test_the_authorisers_context_reaches_the_application(address: str) -> None:
    status, body = answer(f"{address}/v1/models", **{CONTEXT_HEADER: request_context()})
    assert status == 200
    assert [model["id"] for model in body["data"]] == ["fast"]


def test_nobody_is_let_in_without_a_context(address: str) -> None:
    status, body = answer(f"{address}/v1/models", Authorization="Bearer lp_a_b")
    assert status == 401
    assert body["error"]["message"]


def test_a_context_beside_the_adapters_own_is_not_believed(address: str) -> None:
    # The adapter adds its header to one that the client sent; servers join them with a comma.
    forged = request_context(identity={"userArn": "arn:aws:sts::1:assumed-role/a/b"})
    both = f"{forged}, {request_context()}"
    status, _ = answer(f"{address}/v1/models", **{CONTEXT_HEADER: both})
    assert status == 401
