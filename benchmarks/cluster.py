"""What the cluster and its models cost a synthesis, and their objects' validation.

The app runs in turn with the same environment without `[eks]` and `[serving]`, and with an
empty app; the part's CPU time over the empty app's is the figure to compare. Then all
Kubernetes objects of all environments are checked in this process, schemas and all. The last line
of stdout is one JSON object. Nothing is written into the repository.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# The roots of `config`, and of what it imports.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "constructs"))

from benchmarks.synth import EMPTY_APP, App
from config.node import packaged_node
from llm_constructs.specs.problem import Problems
from ops.kubernetes.consistency import problems_of
from ops.kubernetes.contents import clusters
from ops.kubernetes.object_schemas import ObjectSchemas

ROOT = Path(__file__).parents[1]

LIMITS = {"part_over_floor": 1.2, "objects_s": 5.0}
"""The bars: the part's CPU time by the empty app's, and seconds for all objects."""

PART_APP = """
import dataclasses
import sys
sys.path.insert(0, {root!r})
sys.path.insert(0, {constructs!r})
from config.node import use_packaged_node
use_packaged_node()
from config import load
from stacks.platform import build_app
import os
from pathlib import Path
environment = load(sys.argv[1])
without = {{name: None for name in sys.argv[2:]}}
if without and environment.gateway:
    # Aliases of the models that this app does not serve.
    models = tuple(each for each in environment.gateway.models if each.served_by is None)
    without["gateway"] = dataclasses.replace(environment.gateway, models=models)
chosen = environment.model_copy(update=without)
build_app([chosen], outdir=Path(os.environ["CDK_OUTDIR"])).synth()
"""

PART = ("eks", "serving")


def main() -> int:
    """Measure, print, and return 1 where a bar is missed and ``--assert`` was given."""
    parser = argparse.ArgumentParser(description="What the cluster costs.")
    parser.add_argument("-n", dest="runs", type=int, default=5, help="triples of runs")
    parser.add_argument("--env", default="staging")
    parser.add_argument(
        "--engine", choices=("on", "off"), default="off", help="CloudFormation's rules, as in synth"
    )
    parser.add_argument("--assert", dest="strict", action="store_true", help="1 where one misses")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-benchmark-") as name:
        folder = Path(name)
        part = _part(folder, arguments.env, arguments.engine, arguments.runs)
        objects = _objects(folder)
    report = {
        "benchmark": "cluster",
        "environment": arguments.env,
        "engine": arguments.engine,
        "runs": arguments.runs,
        "units": {
            "part_over_floor": "CPU seconds of the part / of an app without stacks, median",
            "objects_s": "seconds for extraction, schemas and cross-checks of all environments",
        },
        "limits": LIMITS,
        **part,
        **objects,
    }
    print(json.dumps(report))
    missed = [name for name, limit in LIMITS.items() if report[name] > limit]
    return 1 if missed and arguments.strict else 0


def _part(folder: Path, environment: str, engine: str, runs: int) -> dict[str, Any]:
    script = folder / "part.py"
    script.write_text(
        PART_APP.format(root=str(ROOT), constructs=str(ROOT / "constructs")), encoding="utf-8"
    )
    empty = folder / "empty.py"
    empty.write_text(EMPTY_APP, encoding="utf-8")
    apps = {
        "floor": App(empty),
        "without": App(script, (environment, *PART)),
        "whole": App(script, (environment,)),
    }
    # Without bytecode each run would compile everything anew, and the empty app most of all.
    ignored = {"CDK_VALIDATION", "PYTHONDONTWRITEBYTECODE"}
    settings = {key: value for key, value in os.environ.items() if key not in ignored}
    if engine == "off":
        settings["CDK_VALIDATION"] = "false"
    settings["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    if node := packaged_node():
        settings.setdefault("JSII_NODE", str(node))
    seconds: dict[str, list[float]] = {name: [] for name in apps}
    # The first round fills the caches.
    for number in range(runs + 1):
        for name, app in apps.items():
            out = folder / f"{name}-{number}"
            cost = app.run(settings, out)
            if number:
                seconds[name].append(cost.cpu_s)
    ratios = [
        (whole - without) / floor
        for whole, without, floor in zip(
            seconds["whole"], seconds["without"], seconds["floor"], strict=True
        )
    ]
    return {
        "part_over_floor": round(statistics.median(ratios), 2),
        "part_over_floor_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "cpu_s": {name: round(statistics.median(each), 2) for name, each in seconds.items()},
    }


def _objects(folder: Path) -> dict[str, Any]:
    settings = {**os.environ, "CDK_VALIDATION": "false"}
    App(ROOT / "app.py", ("-c", "env=all")).run(settings, folder / "all")
    crds = os.environ.get("KUBERNETES_CRDS")
    started = time.perf_counter()
    schemas = ObjectSchemas(sorted(Path(crds).glob("*.yaml")) if crds else ())
    problems = Problems("kubernetes")
    count = left = 0
    for contents in clusters(folder / "all"):
        left += len(schemas.check(contents, problems))
        count += len(contents.objects)
        found = problems_of(contents)
        if found:
            raise SystemExit(f"{contents.name}: {found[0]}")
    problems.raise_if_any()
    return {
        "objects": count,
        "objects_without_schema": left,
        "objects_s": round(time.perf_counter() - started, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
