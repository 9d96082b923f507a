"""Nodes for the tests of the life-cycle scripts."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.fake_node import FakeNode, prepare

MEMORY = Path("/dev/shm")
"""Nodes write 16 MiB and insist that they reach the disk; in memory that takes no time."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every node takes from, made once."""
    folder = tmp_path_factory.mktemp("nodes")
    prepare(folder)
    return folder


@pytest.fixture
def node(shared: Path) -> Iterator[FakeNode]:
    """A node on which nothing is wrong."""
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="node-", dir=place) as folder:
        yield FakeNode(Path(folder), shared)
