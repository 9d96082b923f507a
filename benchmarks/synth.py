"""What synthesis costs over the least that a CDK app in Python can cost.

The app and an empty app (no stacks) run in turn, with the same Python, Node and environment
variables, so that the load of the machine falls on both. The ratio of their CPU times, user and
system, of the whole process tree, is what to compare from day to day; wall times are not steady.
The table goes to stderr; the last line of stdout is one JSON object. docs/performance.md says how
to read it. Nothing is written into the repository.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# The roots of `config`, and of what it imports.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "constructs"))

from config.node import packaged_node

ROOT = Path(__file__).parents[1]

ENVIRONMENTS = ("dev", "staging", "prod")
ENGINES = ("off", "on")

# "No stacks" is what every CDK app pays: Python, jsii, Node, the library, and one synthesis.
EMPTY_APP = "from aws_cdk import App\n\nApp().synth()\n"

# The counters are written only for a synthesis slower than this threshold (milliseconds):
# https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/core/lib/app.ts
_ALWAYS_COUNT = json.dumps({"@aws-cdk/core.slowSynthThreshold": 0})
# jsii's kernel answers each message of Python with one write to its pipe.
_JSII_MESSAGES = "fs.writeSync(cnt)"
_CONSTRUCTS = "count:Constructs(cnt)"

_TAIL = 2000
"""Characters of a failed app's output that are worth reading."""


Result = dict[str, Any]
"""One line of the table, as it stands in the JSON object."""


class BenchmarkError(RuntimeError):
    """A run that cannot be measured; the message says which and why."""


@dataclass(frozen=True)
class Cost:
    """One run of a process tree."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    """Of its largest process, which is Node with the validation engine and Python without."""


@dataclass(frozen=True)
class Work:
    """What an app does in every run alike."""

    resources: int
    constructs: int
    jsii_messages: int


@dataclass(frozen=True)
class App:
    """A CDK app to run: a script with its arguments."""

    script: Path
    arguments: tuple[str, ...] = ()

    def run(self, environment: Mapping[str, str], outdir: Path) -> Cost:
        """Synthesise into ``outdir`` and return the cost; raise :class:`BenchmarkError`."""
        command = [sys.executable, str(self.script), *self.arguments]
        with tempfile.TemporaryFile("w+") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                env={**environment, "CDK_OUTDIR": str(outdir)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            # The usage that comes with the exit is that of the process and all its descendants.
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                raise BenchmarkError(
                    f"{' '.join(command)}: It ended with {process.returncode}, so there is nothing "
                    f"to measure. Its output ends with:\n{output.read()[-_TAIL:]}"
                )
        return Cost(usage.ru_utime + usage.ru_stime, wall_s, _megabytes(usage.ru_maxrss))


def main() -> int:
    """Run the benchmark that the command line describes; return the exit code."""
    arguments = _arguments()
    try:
        with _scratch() as folder:
            floor = App(_written(folder / "empty.py", EMPTY_APP))
            results = [
                _result(
                    App(arguments.app, ("-c", f"env={name}")),
                    floor,
                    name=name,
                    engine=engine,
                    runs=arguments.runs,
                    folder=folder,
                )
                for name in arguments.env
                for engine in arguments.engine
            ]
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    _print_table(results)
    print(json.dumps(_report(results, arguments.runs)))
    return _verdict(results, arguments.max_cpu_ratio)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-n", dest="runs", type=_positive, default=7, help="pairs of runs")
    parser.add_argument("--env", action="append", help="may be given again (default: every one)")
    parser.add_argument(
        "--engine",
        choices=(*ENGINES, "both"),
        default="both",
        help="template validation engine of the CDK",
    )
    parser.add_argument(
        "--max-cpu-ratio", type=float, help="exit with 1 when a median CPU ratio is above this"
    )
    parser.add_argument("--app", type=Path, default=ROOT / "app.py", help="script of the app")
    arguments = parser.parse_args()
    arguments.env = arguments.env or list(ENVIRONMENTS)
    arguments.engine = ENGINES if arguments.engine == "both" else (arguments.engine,)
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number of runs; give 1 or more")
    return number


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="synth-benchmark-") as folder:
        yield Path(folder)


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _environment(engine: str, folder: Path) -> dict[str, str]:
    ignored = {"CDK_VALIDATION", "CDK_CONTEXT_JSON", "CDK_OUTDIR", "PYTHONDONTWRITEBYTECODE"}
    environment = {key: value for key, value in os.environ.items() if key not in ignored}
    # Bytecode goes to the scratch folder, where the first, unmeasured run leaves it for the others.
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    if node := packaged_node():
        environment.setdefault("JSII_NODE", str(node))
    if engine == "off":
        environment["CDK_VALIDATION"] = "false"
    return environment


def _result(app: App, floor: App, *, name: str, engine: str, runs: int, folder: Path) -> Result:
    environment = _environment(engine, folder)
    # These fill the caches of bytecode and of jsii's packages.
    _fresh(floor, environment)
    work = _work(app, environment)
    pairs = [(_fresh(floor, environment), _fresh(app, environment)) for _ in range(runs)]
    floors, apps = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {
        "env": name,
        "engine": engine,
        "resources": work.resources,
        "constructs": work.constructs,
        "jsii_messages": work.jsii_messages,
        "app": _costs(apps),
        "floor": _costs(floors),
        "ratio": {
            "cpu": _spread(one.cpu_s / least.cpu_s for least, one in pairs),
            "wall": _spread(one.wall_s / least.wall_s for least, one in pairs),
        },
        "over_floor_per_100_resources": {
            "cpu_ms": _per_hundred((one.cpu_s - least.cpu_s for least, one in pairs), work),
            "wall_ms": _per_hundred((one.wall_s - least.wall_s for least, one in pairs), work),
        },
    }


def _fresh(app: App, environment: Mapping[str, str]) -> Cost:
    """Run ``app`` into a new, empty folder, as in a fresh clone."""
    with _scratch() as outdir:
        return app.run(environment, outdir)


def _work(app: App, environment: Mapping[str, str]) -> Work:
    with _scratch() as outdir:
        counters = outdir / "counters.json"
        app.run(
            {
                **environment,
                "CDK_PERF_COUNTERS_FILE": str(counters),
                "CDK_CONTEXT_JSON": _ALWAYS_COUNT,
            },
            outdir,
        )
        if not counters.exists():
            raise BenchmarkError(
                f"{app.script}: The synthesis wrote no performance counters. It may have turned "
                "`performanceReporting` off."
            )
        counted = json.loads(counters.read_text(encoding="utf-8"))["counters"]
        templates = [json.loads(path.read_bytes()) for path in outdir.glob("*.template.json")]
    return Work(
        resources=sum(len(template.get("Resources", {})) for template in templates),
        constructs=counted[_CONSTRUCTS],
        jsii_messages=counted[_JSII_MESSAGES],
    )


def _costs(costs: list[Cost]) -> dict[str, Any]:
    return {
        "cpu_s": _spread(cost.cpu_s for cost in costs),
        "wall_s": _spread(cost.wall_s for cost in costs),
        "peak_mb": round(statistics.median(cost.peak_mb for cost in costs)),
    }


def _spread(values: Iterable[float]) -> dict[str, float]:
    numbers = sorted(values)
    return {
        "median": round(statistics.median(numbers), 3),
        "min": round(numbers[0], 3),
        "max": round(numbers[-1], 3),
    }


def _per_hundred(seconds: Iterable[float], work: Work) -> float | None:
    if not work.resources:
        return None
    return round(statistics.median(seconds) * 1000 * 100 / work.resources, 1)


def _megabytes(max_rss: int) -> float:
    # Linux counts kibibytes, macOS bytes: getrusage(2).
    return max_rss / (1024**2 if sys.platform == "darwin" else 1024)


def _report(results: list[Result], runs: int) -> dict[str, Any]:
    return {
        "benchmark": "synth",
        "floor": "an app without stacks, same Python and Node, run in turn with the app",
        "units": {
            "cpu_s": "seconds of CPU, user and system, whole process tree",
            "wall_s": "seconds",
            "peak_mb": "MiB, largest process, median",
            "ratio": "app / floor, pair by pair",
            "over_floor_per_100_resources": "milliseconds, median",
        },
        "runs": runs,
        "machine": {
            "cpus": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "node": _node_version(),
        },
        "results": results,
    }


def _node_version() -> str:
    node = os.environ.get("JSII_NODE") or packaged_node() or "node"
    asked = subprocess.run([str(node), "--version"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _print_table(results: list[Result]) -> None:
    table = Table(title="Synthesis against an empty app (median, min-max)", title_justify="left")
    for heading in (
        "Environment",
        "Engine",
        "Resources",
        "CPU ratio",
        "Wall ratio",
        "CPU s",
        "CPU ms / 100",
        "jsii messages",
        "Constructs",
        "Peak MiB",
    ):
        table.add_column(
            heading, justify="left" if heading in {"Environment", "Engine"} else "right"
        )
    for result in results:
        table.add_row(*_cells(result))
    Console(stderr=True).print(table)


def _cells(result: Result) -> list[str]:
    return [
        result["env"],
        result["engine"],
        str(result["resources"]),
        _range(result["ratio"]["cpu"]),
        _range(result["ratio"]["wall"]),
        _range(result["app"]["cpu_s"]),
        str(result["over_floor_per_100_resources"]["cpu_ms"]),
        str(result["jsii_messages"]),
        str(result["constructs"]),
        str(result["app"]["peak_mb"]),
    ]


def _range(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f}, {spread['min']:.2f}-{spread['max']:.2f}"


def _verdict(results: list[Result], limit: float | None) -> int:
    """Return 1, with a sentence for each, when a CPU ratio is above ``limit``."""
    if limit is None:
        return 0
    above = [result for result in results if result["ratio"]["cpu"]["median"] > limit]
    for result in above:
        print(
            f"{result['env']}, engine {result['engine']}: The CPU ratio is "
            f"{result['ratio']['cpu']['median']}, above {limit}. docs/performance.md says where "
            "time goes.",
            file=sys.stderr,
        )
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
