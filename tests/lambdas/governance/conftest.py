"""What the tests of governance share."""

from collections.abc import Iterator

import pytest

from tests.lambdas.governance.emulator import Emulator, running_emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def ledger_table(emulator: Emulator) -> str:
    return emulator.make_ledger_table()


@pytest.fixture
def directory_table(emulator: Emulator) -> str:
    return emulator.make_directory_table()
