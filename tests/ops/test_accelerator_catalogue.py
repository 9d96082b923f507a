"""The page of the catalogue shows what the code knows."""

from pathlib import Path

from llm_constructs.specs.accelerators import INSTANCE_TYPES, REFUSED_FAMILIES
from ops.accelerator_catalogue import PAGE_FILE, page

ROOT = Path(__file__).parents[2]


def rows_of(heading: str) -> list[list[str]]:
    section = page().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_is_current() -> None:
    written = (ROOT / PAGE_FILE).read_text(encoding="utf-8")
    assert written == page(), f"{PAGE_FILE} is stale: run `make docs`"


def test_every_type_has_exactly_one_row() -> None:
    listed = [row[0] for heading in ("NVIDIA", "AWS Neuron", "CPU") for row in rows_of(heading)]
    assert sorted(listed) == sorted(INSTANCE_TYPES)


def test_a_row_tells_devices_memory_and_efa() -> None:
    (row,) = [row for row in rows_of("NVIDIA") if row[0] == "p5.48xlarge"]
    assert row[3:9] == ["8 H100", "80", "", "8", "30,400", "32"]


def test_types_of_a_family_that_are_sold_differently_are_told_apart() -> None:
    subjects = [row[0] for row in rows_of("Capacity, SageMaker and regions")]
    assert {"g6e.*", "p5.4xlarge", "p5.48xlarge"} <= set(subjects)


def test_every_refused_family_has_a_remedy_on_the_page() -> None:
    rows = rows_of("Refused families")
    assert [row[0] for row in rows] == sorted(REFUSED_FAMILIES)
    assert all(row[2] for row in rows)
