"""Nodes for the tests of the life-cycle scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.fake_node import FakeNode, prepare
from tests.memory_folder import memory_folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every node takes from, made once."""
    folder = tmp_path_factory.mktemp("nodes")
    prepare(folder)
    return folder


@pytest.fixture
def node(shared: Path) -> Iterator[FakeNode]:
    """A node on which nothing is wrong. It writes 16 MiB, which take no time in memory."""
    with memory_folder() as folder:
        yield FakeNode(folder, shared)
