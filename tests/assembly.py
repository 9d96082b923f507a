"""The templates of every environment, synthesised at most once for each state of the sources."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.assembly import stacks

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "assemblies"
SOURCES = ("config", "stacks", "constructs", "lambdas", "app.py", "cdk.json", "requirements.txt")


@dataclass(frozen=True)
class Assembly:
    """A cloud assembly on disk."""

    directory: Path

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """The templates by stack name."""
        return {stack.name: stack.template for stack in stacks(self.directory)}


def every_environment() -> Assembly:
    """Return the assembly of all environments, from the cache when the sources are unchanged.

    Raises :class:`RuntimeError` with the app's own words when the synthesis fails.
    """
    directory = CACHE / _fingerprint()
    CACHE.parent.mkdir(exist_ok=True)
    # One of the processes that run tests synthesises, and the others wait for it.
    with CACHE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "manifest.json").exists():
            shutil.rmtree(CACHE, ignore_errors=True)
            _synthesise(directory)
    return Assembly(directory)


def _synthesise(directory: Path) -> None:
    partial = directory.with_suffix(".partial")
    environment = {**os.environ, "CDK_OUTDIR": str(partial), "CDK_VALIDATION": "false"}
    result = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), "-c", "env=all"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"The environments do not synthesise:\n{result.stdout}{result.stderr}")
    partial.rename(directory)


def _fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(_source_files()):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _source_files() -> Iterator[Path]:
    for name in SOURCES:
        source = ROOT / name
        if source.is_file():
            yield source
        for path in source.rglob("*") if source.is_dir() else ():
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
