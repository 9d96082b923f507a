"""A copy of the project, for tests that change it."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("app.py", "cdk.json", "config", "stacks", "constructs", "lambdas")


def copy_project(folder: Path) -> None:
    """Copy what a synthesis reads, bytecode included, into a folder."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # Bytecode that another process is writing has a name that it soon loses.
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(source, folder / part)
