"""What the gateway costs: its package, its imports, its latency, and many streams at once.

Imports and sizes stand beside those of FastAPI with uvicorn, LiteLLM and Powertools, each
installed into a throw-away folder; one that cannot be installed is reported as absent. Latencies
stand beside botocore calling the same fake Bedrock directly, in the same run. There are no budgets
and keys here: an emulator's latency would say nothing about DynamoDB's. The table goes to stderr;
the last line of stdout is one JSON object.
"""

import argparse
import compileall
import json
import os
import py_compile
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "lambdas"))

import botocore.session
import psutil
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from ops.fake_bedrock.reply import text_steps

ROOT = Path(__file__).parents[1]
PEERS = {
    "fastapi_uvicorn": (["fastapi", "uvicorn"], "import fastapi, uvicorn"),
    "litellm": (["litellm"], "import litellm"),
    "powertools_rest": (
        ["aws-lambda-powertools"],
        "from aws_lambda_powertools.event_handler import APIGatewayRestResolver",
    ),
}
# What the gateway calls; botocore carries the descriptions of 400 further services.
SERVICES = ("bedrock-runtime", "dynamodb", "secretsmanager", "sts")
IMPORT_RUNS = 9
TOKENS = 50
STREAM_COUNTS = (1, 50, 200)
TOKEN_PAUSE_SECONDS = 0.02
MODEL_ID = "eu.amazon.nova-lite-v1:0"
REQUEST = {"messages": [{"role": "user", "content": "Hello"}], "model": "fast"}
CATALOGUE = {
    "fast": {
        "model_id": MODEL_ID,
        "price": {"input": 60_000, "output": 240_000},
        "context_tokens": 300_000,
    }
}
CONSOLE = Console(stderr=True)


def build_asset(folder: Path) -> None:
    """Install the locked requirements and the code, keep the needed services, compile bytecode."""
    lock = ROOT / "lambdas" / "gateway" / "requirements.txt"
    install(folder, "--require-hashes", "-r", str(lock))
    data = folder / "botocore" / "data"
    for service in data.iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)
    for unused in [*folder.glob("bin"), *folder.glob("*.dist-info")]:
        shutil.rmtree(unused)
    ignored = shutil.ignore_patterns("__pycache__", "requirements.*")
    shutil.copytree(ROOT / "lambdas" / "gateway", folder / "gateway", ignore=ignored)
    # The package is read-only and never older than its bytecode: no check of dates is needed.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, invalidation_mode=mode)


def install(folder: Path, *requirements: str) -> None:
    """Install requirements into a folder; raises CalledProcessError when that fails."""
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder)]
    command += ["--python", sys.executable]
    subprocess.run([*command, *requirements], check=True, capture_output=True, timeout=600)


def megabytes(folder: Path) -> float:
    """Return the size of all files in a folder."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return round(size / 1e6, 2)


def zipped_megabytes(folder: Path) -> float:
    """Return the size of the folder as a zip file."""
    with tempfile.NamedTemporaryFile(suffix=".zip") as target:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in folder.rglob("*"):
                archive.write(file, file.relative_to(folder))
        return round(Path(target.name).stat().st_size / 1e6, 2)


def import_milliseconds(folder: Path, statement: str) -> float:
    """Return the least CPU time of a statement in fresh interpreters that see the folder only."""
    code = (
        f"import time\nbegan = time.process_time()\n{statement}\n"
        "print((time.process_time() - began) * 1000)"
    )
    times = []
    for _ in range(IMPORT_RUNS):
        process = subprocess.run(
            [sys.executable, "-S", "-c", code],
            env={"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        times.append(float(process.stdout.split()[-1]))
    return round(min(times), 1)


def measure_packages() -> dict[str, Any]:
    """Measure the asset and the peers; a peer that cannot be installed is None."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_asset(folder)
        results: dict[str, Any] = {
            "gateway": {
                "import_cpu_ms": import_milliseconds(folder, "import gateway.server"),
                "installed_mb": megabytes(folder),
                "zip_mb": zipped_megabytes(folder),
            }
        }
    for peer, (requirements, statement) in PEERS.items():
        results[peer] = measure_peer(requirements, statement)
    return results


def measure_peer(requirements: list[str], statement: str) -> dict[str, float] | None:
    """Measure one peer, None when it cannot be installed or imported."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            install(folder, *requirements)
            compileall.compile_dir(folder, quiet=2)
            cpu = import_milliseconds(folder, statement)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
            CONSOLE.print(f"{requirements[0]} is absent: {type(problem).__name__}")
            return None
        return {"import_cpu_ms": cpu, "installed_mb": megabytes(folder)}


class Unlimited:
    """Governance without a store: one caller, no limits."""

    def authenticate(self, _headers: Any) -> Any:
        """Return the only caller there is."""
        from gateway.governance.identity import Caller

        return Caller("bench", "bench", None, "redacted")

    def reserve(self, _caller: Any, **asked: Any) -> Any:
        """Hold nothing."""
        from gateway.governance.budget import Amounts, Reservation

        return Reservation(asked["request_id"], asked["model"], Amounts(), (), 0)

    def settle(self, reservation: Any, usage: Any) -> None:
        """Settle nothing."""

    def release(self, reservation: Any) -> None:
        """Release nothing."""

    def current(self) -> tuple[str, bytes]:
        """Return a key for pseudonyms."""
        return "v1", bytes(32)


def serve(threads: int) -> None:
    """Serve the real application, with its log and redaction, over governance without a store."""
    from gateway.app import GatewayApplication, Parts
    from gateway.backends import Backends
    from gateway.bedrock import create_client
    from gateway.breaker import CircuitBreaker
    from gateway.catalogue import Catalogue
    from gateway.governance.record import RequestLog
    from gateway.governance.telemetry import Telemetry, Tracing
    from gateway.journal import GovernedJournal, Redactors
    from gateway.server import create, port_of
    from gateway.service import ChatService, Timeouts
    from gateway.settings import Settings

    none: Any = None
    governance: Any = Unlimited()
    catalogue = Catalogue.parse(json.dumps(CATALOGUE))
    journal = GovernedJournal(catalogue, RequestLog(Redactors(governance)), Telemetry("bench"))
    chat = ChatService(
        catalogue=catalogue,
        backends=Backends(create_client(read_timeout_seconds=60, connections=threads), none, None),
        ledger=governance,
        journal=journal,
        timeouts=Timeouts(),
        breaker=CircuitBreaker(),
        tracing=Tracing({}),
    )
    parts = Parts(catalogue, governance, governance, none, chat, none, 1_000_000)
    settings: Any = Settings(
        environment="bench",
        catalogue=catalogue,
        directory_table="",
        ledger_table="",
        pepper_secret="",
        pseudonym_secret="",
        identity="",
        oidc=None,
        guardrail=None,
        log_guardrail=None,
        server_keys={},
        timeouts=Timeouts(),
        largest_body=1_000_000,
        host="127.0.0.1",
        port=0,
        threads=threads,
    )
    server = create(GatewayApplication(parts), settings)
    sys.stderr.write(f"http://127.0.0.1:{port_of(server)}\n")
    sys.stderr.flush()
    server.run()


@contextmanager
def process(
    command: list[str], environ: dict[str, str], *, stream: str
) -> Iterator[tuple[str, int]]:
    """Run a server that prints its address to a stream; yield the address and its process id."""
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    pipes[stream] = subprocess.PIPE
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, text=True, **pipes)
    try:
        output = getattr(running, stream)
        yield output.readline().strip(), running.pid
    finally:
        running.kill()
        running.wait()


def timed(call: Callable[[], object], runs: int) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds, after a tenth as warm-up."""
    for _ in range(runs // 10):
        call()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    quantiles = statistics.quantiles(times, n=100)
    return {"p50_ms": round(quantiles[49], 2), "p99_ms": round(quantiles[98], 2)}


class Client:
    """One kept-alive connection to the gateway."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=60)

    def post(self, body: dict[str, Any]) -> bytes:
        """Send a chat request and return all of its answer."""
        self._connection.request("POST", "/v1/chat/completions", json.dumps(body))
        return self._connection.getresponse().read()

    def health(self) -> None:
        """Ask whether the process serves."""
        self._connection.request("GET", "/health")
        self._connection.getresponse().read()


def check(complete: bool) -> None:
    """Stop the benchmark when an answer is not whole: its time would mean nothing."""
    if not complete:
        raise SystemExit("An answer broke off; nothing was measured.")


def direct_client(endpoint: str) -> Any:
    """Return botocore's client for the fake."""
    return botocore.session.get_session().create_client(
        "bedrock-runtime",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 - the fake takes anything
        config=Config(parameter_validation=False),
    )


def measure_latency(endpoint: str, url: str, runs: int) -> dict[str, Any]:
    """Measure whole answers and streams, through the gateway and directly."""
    words = " ".join(f"word{number}" for number in range(TOKENS - 2))
    direct, client = direct_client(endpoint), Client(url)
    message = [{"role": "user", "content": [{"text": words}]}]
    params = {"modelId": MODEL_ID, "messages": message, "inferenceConfig": {"maxTokens": 999}}
    body = {**REQUEST, "messages": [{"role": "user", "content": words}]}

    def drain() -> None:
        check(sum(1 for _ in direct.converse_stream(**params)["stream"]) > TOKENS)

    def stream() -> None:
        check(client.post({**body, "stream": True}).endswith(b"[DONE]\n\n"))

    results = {
        "whole_direct": timed(lambda: direct.converse(**params), runs),
        "whole_gateway": timed(lambda: client.post(body), runs),
        "stream_direct": timed(drain, runs),
        "stream_gateway": timed(stream, runs),
    }
    for kind in ("whole", "stream"):
        gateway, floor = results[f"{kind}_gateway"], results[f"{kind}_direct"]
        results[f"{kind}_added"] = {
            name: round(gateway[name] - floor[name], 2) for name in ("p50_ms", "p99_ms")
        }
    return results


def measure_streams(endpoint: str, url: str, pid: int, count: int) -> dict[str, Any]:
    """Run streams at once, each of 50 tokens with pauses, and ask for health meanwhile."""
    pause = {"pause": TOKEN_PAUSE_SECONDS}
    steps = [part for step in text_steps(*["word "] * TOKENS) for part in (step, pause)]
    script = json.dumps([{"steps": steps}] * count).encode()
    urllib.request.urlopen(f"{endpoint}/fake/script", data=script).read()  # noqa: S310 - loopback
    answers: list[bytes] = []

    def one() -> None:
        answers.append(Client(url).post({**REQUEST, "stream": True}))

    gateway = psutil.Process(pid)
    streams = [threading.Thread(target=one) for _ in range(count)]
    client = Client(url)
    peak, health = 0, []
    began, cpu = time.perf_counter(), sum(gateway.cpu_times()[:2])
    for stream in streams:
        stream.start()
    while any(stream.is_alive() for stream in streams):
        asked = time.perf_counter()
        client.health()
        health.append((time.perf_counter() - asked) * 1000)
        peak = max(peak, gateway.memory_info().rss)
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    whole = sum(answer.endswith(b"[DONE]\n\n") for answer in answers)
    return {
        "complete": whole,
        "seconds": round(seconds, 2),
        "ideal_seconds": round(len(steps) / 2 * TOKEN_PAUSE_SECONDS, 2),
        "tokens_per_second": round(whole * TOKENS / seconds),
        "gateway_cpu_seconds": round(sum(gateway.cpu_times()[:2]) - cpu, 2),
        "peak_rss_mb": round(peak / 1e6, 1),
        "health_p50_ms": round(statistics.median(health), 1),
        "health_max_ms": round(max(health), 1),
    }


def measure_service(runs: int) -> dict[str, Any]:
    """Measure the running gateway over the fake."""
    fake = [sys.executable, "-m", "ops.fake_bedrock", "0"]
    with process(fake, {}, stream="stdout") as (endpoint, _):
        environ = {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": endpoint,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }
        gateway = [sys.executable, __file__, "--serve", str(max(STREAM_COUNTS) + 16)]
        with process(gateway, environ, stream="stderr") as (url, pid):
            latency = measure_latency(endpoint, url, runs)
            streams = {
                str(count): measure_streams(endpoint, url, pid, count) for count in STREAM_COUNTS
            }
    return {"latency": latency, "streams": streams}


def show(results: dict[str, Any]) -> None:
    """Print the results as a table."""
    table = Table("what", "figures")
    for group in ("packages", "latency", "streams"):
        for name, figures in results[group].items():
            text = (
                "absent" if figures is None else ", ".join(f"{k} {v}" for k, v in figures.items())
            )
            table.add_row(f"{group}: {name}", text)
    CONSOLE.print(table)


def main() -> None:
    """Run everything, or one part, and print the JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="requests per latency figure")
    parser.add_argument(
        "--serve", type=int, metavar="THREADS", help="serve; used by the run itself"
    )
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    results = {"packages": measure_packages(), **measure_service(arguments.runs)}
    targets = {"import_cpu_ms": 200, "zip_mb": 5, "peak_rss_mb_at_200_streams": 120}
    results["targets"] = targets
    show(results)
    print(json.dumps({"benchmark": "gateway", **results}))


if __name__ == "__main__":
    main()
