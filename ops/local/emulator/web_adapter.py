"""The Lambda Web Adapter: a function that is a web server, reached without buffering.

The adapter's layer is not to be had offline, so this does what it does: start the function's
handler, wait until it is ready, hand requests on, and send the answer back as it is produced.
https://github.com/awslabs/aws-lambda-web-adapter
"""

import asyncio
import contextvars
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ministack.core import lambda_runtime
from ministack.services import apigateway_v1, lambda_svc

from ops.local.access import free_ports
from ops.local.emulator.function_logs import FunctionLog
from ops.local.emulator.http_relay import Answer, relay
from ops.local.emulator.machine_code import for_this_machine

WRAPPER = "/opt/bootstrap"
LAYER = ":layer:LambdaAdapterLayer"
STREAMING = "/response-streaming-invocations"
READY_SECONDS = 90.0
"""How long a function may take until it is ready, on a busy machine."""

_POLL_SECONDS = 0.05
_FAILED = b'{"message": "Internal server error"}'
_INHERITED = ("PATH", "TMPDIR", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "LANG")
"""What a function's process takes of the emulator's own environment."""


class FunctionNotReadyError(RuntimeError):
    """The function's server did not start; its log says why."""


def is_adapted(config: Mapping[str, Any]) -> bool:
    """Tell whether a function's configuration uses the adapter: its wrapper and its layer."""
    variables = config.get("Environment", {}).get("Variables", {})
    layers = (str(layer.get("Arn", "")) for layer in config.get("Layers", ()))
    return variables.get("AWS_LAMBDA_EXEC_WRAPPER") == WRAPPER and any(LAYER in a for a in layers)


@dataclass
class FunctionServer:
    """One version of a function as a process. It answers many requests at once."""

    record: Mapping[str, Any]
    packages: Path
    _process: "subprocess.Popen[str] | None" = None
    _folder: Path | None = None
    _port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the version."""
        config: Mapping[str, Any] = self.record["config"]
        return config

    def ready_port(self) -> int:
        """Return the port, after starting the process where it does not run.

        Raises:
            FunctionNotReadyError: it does not answer within :data:`READY_SECONDS`.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.stop()
                self._start()
            return self._port

    def stop(self) -> None:
        """End the process and remove its files."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self._folder = None

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="function-"))
        task = self._folder / "task"
        layers = self._folder / "opt"
        _unpack(for_this_machine(self.record["code_zip"], self.packages), task)
        for layer in self.config.get("Layers", ()):
            content = lambda_svc._resolve_layer_zip(layer)
            if content:
                _unpack(content, layers)
        handler = task / self.config["Handler"]
        handler.chmod(0o755)
        (self._port,) = free_ports(1)
        log = FunctionLog(self.config)
        self._process = subprocess.Popen(
            [str(handler)],
            cwd=task,
            env=self._environment(layers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # The log is written to the account and region of the request that started the process.
        reading = contextvars.copy_context()
        threading.Thread(
            target=reading.run, args=(log.follow, self._process.stdout), daemon=True
        ).start()
        self._wait_until_ready()

    def _environment(self, layers: Path) -> dict[str, str]:
        account_and_region = lambda_runtime._account_region_from_function_config(self.config)
        inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        own = {
            # Layers are not below /opt, which is the machine's own.
            key: f"{layers}/{value.removeprefix('/opt/')}" if value.startswith("/opt/") else value
            for key, value in self._variables.items()
        }
        return {
            **inherited,
            **own,
            **lambda_runtime.execution_credentials(self.config),
            "AWS_REGION": account_and_region[1],
            "AWS_DEFAULT_REGION": account_and_region[1],
            "AWS_LAMBDA_FUNCTION_NAME": self.config["FunctionName"],
            "AWS_LAMBDA_FUNCTION_VERSION": self.config["Version"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.config["MemorySize"]),
            "AWS_EC2_METADATA_DISABLED": "true",
            "GATEWAY_PORT": str(self._port),
            "PORT": str(self._port),
        }

    @property
    def _variables(self) -> Mapping[str, str]:
        variables: Mapping[str, str] = self.config.get("Environment", {}).get("Variables", {})
        return variables

    @property
    def base_path(self) -> str:
        """What the adapter takes off the beginning of paths."""
        return self._variables.get("AWS_LWA_REMOVE_BASE_PATH", "")

    def _wait_until_ready(self) -> None:
        path = self._variables.get("AWS_LWA_READINESS_CHECK_PATH", "/")
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=30):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(_POLL_SECONDS)
        self.stop()
        message = f"{self.config['FunctionName']} did not answer on {path}. See its log."
        raise FunctionNotReadyError(message)


class WebAdapter:
    """The servers of all functions, one for each version and configuration.

    ``packages`` is where compiled modules for this machine are.
    """

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._servers: dict[str, FunctionServer] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Take over API Gateway's calls of functions that use the adapter."""
        buffered = apigateway_v1._invoke_lambda_proxy_v1

        async def invoke(integration: dict[str, Any], *request: Any, **context: Any) -> Any:
            uri = str(integration.get("uri", ""))
            if not uri.endswith(STREAMING):
                return await buffered(integration, *request, **context)
            reference = uri.removesuffix(STREAMING).split("/functions/", 1)[-1]
            data, config, _ = lambda_svc._get_func_record_for_ref_in_scope(
                reference, account_id=context["owner_account_id"], region=context["owner_region"]
            )
            if data is None or config is None or not is_adapted(config):
                plain = {**integration, "uri": uri.replace(STREAMING, "/invocations")}
                return await buffered(plain, *request, **context)
            record = lambda_svc._execution_record_for_config(data, config)
            return await self._answer(record, request, context)

        apigateway_v1._invoke_lambda_proxy_v1 = invoke

    def stop(self) -> None:
        """End every process."""
        for server in self._servers.values():
            server.stop()
        self._servers.clear()

    def _server(self, record: Mapping[str, Any]) -> FunctionServer:
        config = record["config"]
        name = config["FunctionArn"].split(":function:")[-1].split(":")[0]
        state = json.dumps(
            [config["CodeSha256"], config["Version"], config.get("Environment"), config["Layers"]],
            sort_keys=True,
        )
        key = f"{name} {state}"
        with self._lock:
            if key not in self._servers:
                # Lambda keeps no instance of a configuration that was replaced.
                for other in [it for it in self._servers if it.startswith(f"{name} ")]:
                    self._servers.pop(other).stop()
                self._servers[key] = FunctionServer(record, self._packages)
            return self._servers[key]

    async def _answer(
        self, record: Mapping[str, Any], request: tuple[Any, ...], context: Mapping[str, Any]
    ) -> Answer:
        _, _, _, _, path, method, headers, body, query, _ = request
        server = self._server(record)
        try:
            port = await asyncio.to_thread(server.ready_port)
        except FunctionNotReadyError as error:
            FunctionLog(server.config).write(str(error))
            return (
                502,
                {"Content-Type": "application/json"},
                b'{"message": "Internal server error"}',
            )
        event = apigateway_v1._build_lambda_event_v1(
            *request,
            authorizer_context=context.get("authorizer_context"),
            caller_identity=context.get("caller_identity"),
        )
        started = time.monotonic()
        answer = await relay(
            port,
            method,
            _target(path.removeprefix(server.base_path), query),
            _forwarded(headers, event["requestContext"]),
            body or b"",
        )
        milliseconds = (time.monotonic() - started) * 1000
        lambda_svc._emit_lambda_metrics(
            server.config["FunctionName"], duration_ms=milliseconds, error=False, throttle=False
        )
        return answer


def _target(path: str, query: Mapping[str, Any]) -> str:
    return quote(path) + (f"?{urlencode(query, doseq=True)}" if query else "")


def _forwarded(headers: Mapping[str, Any], request_context: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in headers.items() if key.lower() != "host"}
    # As the adapter does: whatever a client sent under this name is replaced.
    return {**kept, "x-amzn-request-context": json.dumps(request_context)}


def _unpack(archive: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        with zipfile.ZipFile(file) as content:
            content.extractall(folder)
