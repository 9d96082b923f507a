"""Which Lustre file systems are refused, and that what is proposed instead is accepted."""

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from llm_constructs.specs.data_repository import (
    DEFAULT_REPOSITORIES,
    MOST_REPOSITORIES,
    DataRepository,
    FileEvent,
)
from llm_constructs.specs.lustre import (
    EFA_CAPACITY_STEPS,
    METADATA_IOPS,
    PERSISTENT_THROUGHPUTS,
    CapacityGrid,
    DeploymentType,
    LustreVersion,
    LustreVolume,
    MetadataMode,
    automatic_metadata_iops,
)
from llm_constructs.specs.problem import SpecificationError

PAGE = Path(__file__).parents[2] / "docs" / "lustre.md"
SCRATCH: dict[str, Any] = {"deployment_type": DeploymentType.SCRATCH_2}
OLD: dict[str, Any] = {"lustre_version": LustreVersion.V2_12}
UNLINKED: dict[str, Any] = {"repositories": ()}


def repository(path: str, data: str = "datasets", **events: Any) -> DataRepository:
    return DataRepository(path=path, data=data, **events)


def linked(*paths: str) -> dict[str, Any]:
    return {
        "repositories": tuple(repository(path, f"area-{index}") for index, path in enumerate(paths))
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"capacity_gib": 0}, "capacity_gib = 0: .* The nearest: 1200."),
        ({"capacity_gib": -2400}, "capacity_gib = -2400: .* The nearest: 1200."),
        ({"capacity_gib": 1000}, "capacity_gib = 1000: .* The nearest: 1200."),
        ({"capacity_gib": 2000}, "The nearest: 1200 or 2400."),
        ({"capacity_gib": 3600}, "1200 or a multiple of 2400 GiB. The nearest: 2400 or 4800."),
        ({**SCRATCH, "capacity_gib": 3600}, "A SCRATCH_2 file system .* 2400 or 4800."),
        ({"efa": True, "capacity_gib": 4800}, "125 MB/s per TiB .* The nearest: 38400."),
        (
            {"efa": True, "capacity_gib": 28800, "throughput_mbps_per_tib": 250},
            "a multiple of 19200 GiB. The nearest: 19200 or 38400.",
        ),
        (
            {"efa": True, "capacity_gib": 12000, "throughput_mbps_per_tib": 500},
            "a multiple of 9600 GiB. The nearest: 9600 or 19200.",
        ),
        (
            {"efa": True, "capacity_gib": 3600, "throughput_mbps_per_tib": 1000},
            "a multiple of 4800 GiB. The nearest: 4800.",
        ),
        ({"throughput_mbps_per_tib": 200}, "Choose from 125, 250, 500 and 1000."),
        ({"throughput_mbps_per_tib": 0}, "throughput_mbps_per_tib = 0: FSx has no such"),
        ({**SCRATCH, "throughput_mbps_per_tib": 200}, "always has 200 MB/s per TiB. Leave it out"),
        ({**SCRATCH, "efa": True}, "EFA needs PERSISTENT_2"),
        ({**OLD, "efa": True}, "EFA needs a metadata configuration"),
        ({**SCRATCH, "metadata_iops": 1500}, "only be provisioned for PERSISTENT_2 with Lustre"),
        ({**OLD, "metadata_iops": 1500}, "only be provisioned for PERSISTENT_2 with Lustre"),
        ({"metadata_iops": 0}, "metadata_iops = 0: .* The nearest: 1500."),
        ({"metadata_iops": 9000}, "The nearest: 6000 or 12000."),
        ({"metadata_iops": 13000}, "The nearest: 12000 or 24000."),
        ({"metadata_iops": 204000}, "The nearest: 192000."),
        ({"lustre_version": "2.10"}, "Choose from 2.12, 2.15."),
        ({"deployment_type": "SCRATCH_1"}, "Choose from PERSISTENT_2, SCRATCH_2."),
        ({"deployment_type": "PERSISTENT_1"}, "Choose from PERSISTENT_2, SCRATCH_2."),
        ({"compression": "ZSTD"}, "Choose from LZ4, NONE."),
        ({"weekly_maintenance": "0:03:00"}, "Write it as d:HH:MM"),
        ({"weekly_maintenance": "8:03:00"}, "Write it as d:HH:MM"),
        ({"weekly_maintenance": "7:24:00"}, "Write it as d:HH:MM"),
        ({"weekly_maintenance": "7:0300"}, "Write it as d:HH:MM"),
        ({"weekly_maintenance": "Sunday 03:00"}, "Write it as d:HH:MM"),
        ({**UNLINKED, "backup_retention_days": -1}, "Choose 0 .no backups. to 90."),
        ({**UNLINKED, "backup_retention_days": 91}, "at most 90 days"),
        ({**SCRATCH, **UNLINKED, "backup_retention_days": 7}, "backs up no scratch file system"),
        ({"backup_retention_days": 7}, "linked to S3. Set it to 0"),
        (linked("/a", "/a/b"), "cannot lie in one another"),
        (linked("/a", "/a/"), "cannot lie in one another"),
        (linked("/", "/a"), "'/' is linked alone"),
        (linked(*(f"/{index}" for index in range(9))), "at most 8 data repository"),
        (
            {"repositories": (repository("/a"), repository("/b"))},
            "'datasets': The area is linked 2 times",
        ),
    ],
)
def test_what_fsx_refuses_is_refused_with_a_remedy(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        LustreVolume(**fields)
    assert re.search(message, str(refused.value)), str(refused.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "datasets"}, "Write it as '/datasets'."),
        ({"path": ""}, "from the root of the file system"),
        ({"path": "/a/../b"}, "segment"),
        ({"path": "/./a"}, "segment"),
        ({"path": "/a//b"}, "segment"),
        ({"path": "//a"}, "segment"),
        ({"path": "/a\nb"}, "line break"),
        ({"path": "/" + "a" * 4096}, "longer than 4096"),
        ({"data": ""}, "area of the lake"),
        ({"data": "Data Sets"}, "area of the lake"),
        ({"import_events": ("NEW", "NEW")}, "import_events .* named twice"),
        ({"export_events": ("RENAMED",)}, "Choose from NEW, CHANGED, DELETED."),
    ],
)
def test_a_repository_that_fsx_refuses_is_refused_with_a_remedy(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecificationError, match=message):
        DataRepository(**{"path": "/datasets", "data": "datasets", **fields})


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as refused:
        LustreVolume(
            deployment_type=DeploymentType.SCRATCH_2,
            capacity_gib=3600,
            efa=True,
            metadata_iops=5,
            weekly_maintenance="never",
            backup_retention_days=100,
        )
    assert {problem.field for problem in refused.value.problems} == {
        "efa",
        "capacity_gib",
        "metadata_iops",
        "weekly_maintenance",
        "backup_retention_days",
    }


def test_the_defaults_are_the_smallest_legal_file_system() -> None:
    volume = LustreVolume()
    assert (volume.capacity_gib, volume.throughput) == (1200, 125)
    assert volume.metadata_mode == MetadataMode.AUTOMATIC
    assert volume.effective_metadata_iops == 1500


def test_deletions_reach_the_file_system_but_never_s3() -> None:
    datasets, checkpoints = DEFAULT_REPOSITORIES
    assert set(datasets.import_events) == set(FileEvent)
    assert not datasets.export_events
    assert FileEvent.DELETED not in checkpoints.export_events
    assert checkpoints.export_events
    assert not checkpoints.import_events


def test_a_scratch_file_system_needs_only_its_type() -> None:
    volume = LustreVolume(**SCRATCH)
    assert volume.throughput == 200
    assert volume.metadata_mode is None
    assert volume.effective_metadata_iops is None


def test_the_root_can_be_linked_alone() -> None:
    assert LustreVolume(**linked("/")).repositories[0].path_segments == ()


@pytest.mark.parametrize("throughput", PERSISTENT_THROUGHPUTS)
def test_the_smallest_efa_file_systems_all_serve_4800_megabytes_a_second(throughput: int) -> None:
    volume = LustreVolume(
        efa=True,
        throughput_mbps_per_tib=throughput,
        capacity_gib=EFA_CAPACITY_STEPS[throughput],
    )
    assert volume.aggregate_throughput == 4800


@pytest.mark.parametrize(
    ("capacity", "iops"),
    [
        (1200, 1500),
        (2400, 3000),
        (4800, 6000),
        (9600, 6000),
        (12000, 12000),
        (45600, 12000),
        (48000, 24000),
        (69600, 24000),
        (72000, 36000),
        (2_400_000, 192000),
    ],
)
def test_automatic_metadata_iops_follow_the_table_of_aws(capacity: int, iops: int) -> None:
    assert automatic_metadata_iops(capacity) == iops


GRIDS = {
    *(CapacityGrid.of(kind, 200, efa=False) for kind in DeploymentType),
    *(CapacityGrid.of("PERSISTENT_2", speed, efa=True) for speed in PERSISTENT_THROUGHPUTS),
}


@given(grid=st.sampled_from(sorted(GRIDS, key=str)), gib=st.integers(-10_000, 1_000_000))
def test_every_size_proposed_is_legal_and_none_is_nearer(grid: CapacityGrid, gib: int) -> None:
    proposed = grid.nearest(gib)
    assert all(size in grid for size in proposed)
    assert list(proposed) == sorted(set(proposed))
    between = range(max(min(proposed), gib if len(proposed) == 1 else 0) + 1, max(proposed))
    assert not [size for size in between if size in grid]
    if gib in grid:
        assert proposed == (gib,)


@pytest.mark.parametrize("grid", sorted(GRIDS, key=str), ids=str)
def test_the_grid_lists_exactly_what_it_contains(grid: CapacityGrid) -> None:
    sizes = list(islice(grid, 60))
    assert sizes == sorted(set(sizes))
    assert sizes == [size for size in range(sizes[-1] + 1) if size in grid]


volumes = st.fixed_dictionaries(
    {},
    optional={
        "deployment_type": st.sampled_from(DeploymentType),
        "capacity_gib": st.sampled_from([1200, 2400, 3600, 4800, 9600, 19200, 38400, 40000]),
        "throughput_mbps_per_tib": st.sampled_from([125, 200, 250, 500, 1000]),
        "metadata_iops": st.sampled_from([1500, 4000, 12000, 192000]),
        "efa": st.booleans(),
        "lustre_version": st.sampled_from(LustreVersion),
        "backup_retention_days": st.sampled_from([0, 7, 91]),
        "repositories": st.sampled_from([(), DEFAULT_REPOSITORIES]),
    },
)


@given(fields=volumes)
def test_what_is_accepted_obeys_the_rules_of_fsx(fields: dict[str, Any]) -> None:
    try:
        volume = LustreVolume(**fields)
    except SpecificationError:
        return
    assert volume.capacity_gib == 1200 or volume.capacity_gib % 2400 == 0
    assert volume.aggregate_throughput * 1000 == volume.capacity_gib * volume.throughput
    assert not (volume.backup_retention_days and volume.repositories)
    assert not (volume.efa and volume.metadata_mode is None)
    assert volume.effective_metadata_iops in (None, *METADATA_IOPS)
    if volume.efa:
        assert volume.aggregate_throughput % 4800 == 0


@given(
    gib=st.integers(-5_000, 100_000).filter(lambda gib: gib % 2400 and gib != 1200),
    throughput=st.sampled_from(PERSISTENT_THROUGHPUTS),
    efa=st.booleans(),
)
def test_following_the_remedy_for_a_size_is_enough(gib: int, throughput: int, efa: bool) -> None:
    fields: dict[str, Any] = {"throughput_mbps_per_tib": throughput, "efa": efa}
    with pytest.raises(SpecificationError) as refused:
        LustreVolume(capacity_gib=gib, **fields)
    (problem,) = refused.value.problems
    for size in re.findall(r"\d+", problem.remedy):
        assert LustreVolume(capacity_gib=int(size), **fields).capacity_gib == int(size)


@given(iops=st.integers(-1, 300_000).filter(lambda iops: iops not in METADATA_IOPS))
def test_following_the_remedy_for_metadata_iops_is_enough(iops: int) -> None:
    with pytest.raises(SpecificationError) as refused:
        LustreVolume(metadata_iops=iops)
    (problem,) = refused.value.problems
    for legal in re.findall(r"\d+", problem.remedy):
        assert LustreVolume(metadata_iops=int(legal)).effective_metadata_iops == int(legal)


paths = st.lists(st.sampled_from("abc"), max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(first=paths, second=paths)
def test_paths_overlap_exactly_when_one_contains_the_other(first: str, second: str) -> None:
    inside = f"{first.rstrip('/')}/".startswith(f"{second.rstrip('/')}/")
    outside = f"{second.rstrip('/')}/".startswith(f"{first.rstrip('/')}/")
    assert repository(first).overlaps(repository(second)) == (inside or outside)


@given(count=st.integers(1, MOST_REPOSITORIES))
def test_up_to_eight_disjoint_directories_can_be_linked(count: int) -> None:
    volume = LustreVolume(**linked(*(f"/{index}" for index in range(count))))
    assert len(volume.repositories) == count


def test_a_configuration_file_is_read_into_the_same_value() -> None:
    read = TypeAdapter(LustreVolume).validate_python(
        {
            "capacity_gib": 4800,
            "lustre_version": "2.15",
            "repositories": [
                {"path": "/datasets", "data": "datasets", "import_events": ["NEW", "CHANGED"]}
            ],
        }
    )
    events = (FileEvent.NEW, FileEvent.CHANGED)
    assert read == replace(
        LustreVolume(capacity_gib=4800),
        repositories=(repository("/datasets", import_events=events),),
    )


def test_a_configuration_file_is_refused_in_the_same_words() -> None:
    with pytest.raises(ValidationError, match="The nearest: 2400 or 4800"):
        TypeAdapter(LustreVolume).validate_python({"capacity_gib": 3600})


def table_rows(heading: str) -> list[list[str]]:
    section = PAGE.read_text().split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def numbers(cell: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", cell)]


def test_the_sizes_in_the_documentation_are_those_of_the_grids() -> None:
    rows = table_rows("## Sizes")
    assert len(rows) == 1 + 2 * len(PERSISTENT_THROUGHPUTS)
    for kind, efa, throughput, sizes, smallest, metadata in rows:
        (speed,) = numbers(throughput)
        grid = CapacityGrid.of(kind.strip("`"), speed, efa=efa == "yes")
        listed = numbers(sizes)
        assert listed == list(islice(grid, len(listed)))
        chosen = None if kind == "`SCRATCH_2`" else speed
        volume = LustreVolume(
            deployment_type=DeploymentType(kind.strip("`")),
            capacity_gib=listed[0],
            throughput_mbps_per_tib=chosen,
            efa=efa == "yes",
        )
        assert numbers(smallest) == [volume.aggregate_throughput]
        iops = volume.effective_metadata_iops
        assert numbers(metadata) == ([] if iops is None else [iops])
