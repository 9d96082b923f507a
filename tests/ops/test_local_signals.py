"""What ends a command of the local cloud, and what does not."""

import signal
from collections.abc import Iterator

import pytest

from ops.local.command import ended_as_by_ctrl_c

NUMBERS = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_ends_the_command_as_ctrl_c_does_and_its_handler_comes_back(
    number: signal.Signals,
) -> None:
    signal.signal(number, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), ended_as_by_ctrl_c():
        signal.raise_signal(number)
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("number", NUMBERS)
def test_what_nohup_ignores_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with ended_as_by_ctrl_c():
        signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
