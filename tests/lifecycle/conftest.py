"""Nodes for the tests of the life-cycle scripts."""

from pathlib import Path

import pytest

from tests.lifecycle.fake_node import FakeNode, prepare


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every node takes from, made once."""
    folder = tmp_path_factory.mktemp("nodes")
    prepare(folder)
    return folder


@pytest.fixture
def node(tmp_path: Path, shared: Path) -> FakeNode:
    """A node on which nothing is wrong."""
    return FakeNode(tmp_path, shared)
