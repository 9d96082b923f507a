"""Every planted mistake is found, by the checks that docs/planted-faults.md says."""

import os

import pytest

from tests.assembly import Assembly
from tests.faults.catalogue import FAULTS, judged
from tests.faults.fault import Fault, ObjectFault
from tests.faults.layers import LAYERS, Caught
from tests.faults.page import PAGE_FILE, page, table

pytestmark = [pytest.mark.synth, pytest.mark.slow]

HAS_CRDS = "KUBERNETES_CRDS" in os.environ


def needs_crds(fault: Fault) -> bool:
    return isinstance(fault, ObjectFault) and fault.needs_crds


@pytest.fixture(scope="module")
def found(assembly: Assembly) -> dict[Fault, Caught]:
    return judged(assembly)


def test_there_are_many_and_each_is_one_of_its_kind() -> None:
    assert len(FAULTS) >= 45
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_none_passes_all_checks(found: dict[Fault, Caught]) -> None:
    assert set(found) == set(FAULTS)
    unseen = {fault.name for fault, caught in found.items() if not caught}
    excused = set() if HAS_CRDS else {fault.name for fault in FAULTS if needs_crds(fault)}
    assert unseen == excused


def test_every_check_finds_something_that_no_earlier_one_does(
    found: dict[Fault, Caught],
) -> None:
    first = {
        next(layer for layer in LAYERS if layer in caught) for caught in found.values() if caught
    }
    assert first == set(LAYERS)


def test_the_page_says_what_is_found(found: dict[Fault, Caught]) -> None:
    written = PAGE_FILE.read_text(encoding="utf-8")
    for fault, caught in found.items():
        if HAS_CRDS or not needs_crds(fault):
            row = table([(fault, caught)]).splitlines()[-1]
            assert row in written, (
                f"{row}\nis not in {PAGE_FILE.name}: run `python -m tests.faults`"
            )
    assert [fault.name for fault in FAULTS if f"| {fault.name} |" not in written] == []
    if HAS_CRDS:
        assert page(found.items()) == written, "run `python -m tests.faults`"
