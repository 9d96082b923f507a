"""What every test shares."""

import os
from pathlib import Path

import pytest

from config.node import use_packaged_node
from tests.assembly import Assembly, every_environment

ROOT = Path(__file__).parent.parent

use_packaged_node()
# The validation engine decides in `make synth`, once; in tests it would double every synthesis.
os.environ.setdefault("CDK_VALIDATION", "false")


def pytest_configure() -> None:
    """Stop at once if ``constructs/`` became a package."""
    if (ROOT / "constructs" / "__init__.py").exists():
        pytest.exit(
            "constructs/__init__.py exists and shadows the PyPI package `constructs`. Remove it: "
            "constructs/ is a source root, and the package in it is llm_constructs.",
            returncode=4,
        )


@pytest.fixture(scope="session")
def assembly() -> Assembly:
    """The cloud assembly of every environment. Mark the tests that use it with ``synth``."""
    return every_environment()
