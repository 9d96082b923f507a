"""What every test shares."""

import os
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.loaders
import hypothesis
import pytest

from config.node import use_packaged_node
from tests.assembly import Assembly, every_environment

ROOT = Path(__file__).parent.parent
LOCAL = "tests/local/"

COSTLY_FIXTURES = {
    # What takes seconds to make, and the marker by which `make test-fast` leaves it out.
    "assembly": "synth",
    "emulator": "emulator",
    "local_cloud": "emulator",
    "empty_cloud": "emulator",
    "systems_manager": "emulator",
    "application": "slow",
    "unpacked": "slow",
}

use_packaged_node()
# The validation engine decides in `make synth`, once; in tests it would double every synthesis.
os.environ.setdefault("CDK_VALIDATION", "false")
# How long a thing takes depends on what else the machine does; speed is measured in benchmarks/.
# And the same examples in every run: a change is refused for what it breaks and not by chance. Look
# for others with `pytest --hypothesis-profile explore`.
UNTIMED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("repeatable", UNTIMED, derandomize=True)
hypothesis.settings.register_profile("explore", UNTIMED, max_examples=2_000, derandomize=False)
hypothesis.settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Stop at once if ``constructs/`` became a package."""
    if (ROOT / "constructs" / "__init__.py").exists():
        pytest.exit(
            "constructs/__init__.py exists and shadows the PyPI package `constructs`. Remove it: "
            "constructs/ is a source root, and the package in it is llm_constructs.",
            returncode=4,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the costly things that they ask for, so that nobody has to remember it.

    Those that share the local cloud come first: where several processes run them, no process has
    to wait for the longest part at the end.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LOCAL))
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in COSTLY_FIXTURES:
                item.add_marker(COSTLY_FIXTURES[fixture])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one process, and in one process all that share the local cloud.

    Marks of groups would say that too, but pytest-xdist does not see them with pytest 9.2:
    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    scheduling = LoadFileScheduling(config, log)
    file_of = scheduling._split_scope
    scheduling._split_scope = lambda test: LOCAL if test.startswith(LOCAL) else file_of(test)
    return scheduling


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped where everything that tests need is installed."""
    report = yield
    if os.environ.get("FAIL_ON_SKIP") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"It was skipped, and FAIL_ON_SKIP is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """Read each of botocore's service models once, and not for every session."""
    load = cache(botocore.loaders.create_loader)
    with mock.patch("botocore.session.create_loader", load):
        yield


@pytest.fixture(scope="session")
def assembly() -> Assembly:
    """The cloud assembly of every environment. Mark the tests that use it with ``synth``."""
    return every_environment()
