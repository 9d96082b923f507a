"""Which directories of a Lustre file system mirror which areas of the data lake, and which way.

Source, unless a constant names its own:
https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateDataRepositoryAssociation.html
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from llm_constructs.specs.problem import Problems


class FileEvent(StrEnum):
    """What happened to a file or object, as data repository associations name it."""

    NEW = "NEW"
    CHANGED = "CHANGED"
    DELETED = "DELETED"


MOST_REPOSITORIES: Final = 8
"""Data repository associations of one file system."""

LONGEST_PATH: Final = 4_096
"""Characters of ``FileSystemPath``."""

_AREA = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UNPRINTABLE = re.compile("[\0\r\n\x85\u2028\u2029]")


@dataclass(frozen=True, kw_only=True)
class DataRepository:
    """A directory of the file system that mirrors an area of the data lake.

    When it is first linked, the directory lists what the area already holds; contents are fetched
    when a file is first read. With no events at all, data moves only by data repository tasks.
    """

    path: str
    """Absolute path of the directory on the file system, such as ``/datasets``."""
    data: str
    """Name of the lake area, such as ``datasets``."""
    import_events: tuple[FileEvent, ...] = ()
    """Changes in S3 that reach the file system by themselves."""
    export_events: tuple[FileEvent, ...] = ()
    """Changes on the file system that reach S3 by themselves. A rename deletes the old object even
    without ``DELETED``:
    https://docs.aws.amazon.com/fsx/latest/LustreGuide/autoexport-data-repo-dra.html"""

    def __post_init__(self) -> None:
        problems = Problems(f"data repository {self.path}")
        _check_path(self.path, problems)
        _check_events("import_events", self.import_events, problems)
        _check_events("export_events", self.export_events, problems)
        problems.require(
            _AREA.fullmatch(self.data) is not None,
            "data",
            self.data,
            "It must name an area of the lake in lower-case letters, digits and hyphens.",
            "Name an area, for example 'datasets'.",
        )
        problems.raise_if_any()

    @property
    def path_segments(self) -> tuple[str, ...]:
        """The directories of the path; ``/`` has none."""
        return tuple(segment for segment in self.path.split("/") if segment)

    def overlaps(self, other: "DataRepository") -> bool:
        """Whether one directory lies in the other, or is the same."""
        shorter = min(len(self.path_segments), len(other.path_segments))
        return self.path_segments[:shorter] == other.path_segments[:shorter]


def check_repositories(repositories: Sequence[DataRepository], problems: Problems) -> None:
    """Note what FSx refuses in the repositories of one file system taken together."""
    problems.require(
        len(repositories) <= MOST_REPOSITORIES,
        "repositories",
        len(repositories),
        f"A file system has at most {MOST_REPOSITORIES} data repository associations.",
        "Link a common parent, or make a second file system.",
    )
    for first, second in combinations(repositories, 2):
        problems.require(
            not first.overlaps(second),
            "repositories",
            (first.path, second.path),
            "Linked directories cannot lie in one another; '/' is linked alone or not at all.",
            "Give each area a directory of its own.",
        )
    for area, times in Counter(repository.data for repository in repositories).items():
        problems.require(
            times == 1,
            "repositories",
            area,
            f"The area is linked {times} times, and FSx links a prefix once.",
            "Keep one of them.",
        )


def _check_path(path: str, problems: Problems) -> None:
    problems.require(
        path.startswith("/"),
        "path",
        path,
        "FSx takes paths from the root of the file system.",
        f"Write it as '/{path}'.",
    )
    segments = path.strip("/").split("/") if path.strip("/") else []
    problems.require(
        not {".", "..", ""}.intersection(segments) and not path.startswith("//"),
        "path",
        path,
        "It holds an empty, '.' or '..' segment.",
        "Name each directory once, as in '/datasets/text'.",
    )
    problems.require(
        len(path) <= LONGEST_PATH and not _UNPRINTABLE.search(path),
        "path",
        path[:80],
        f"It holds a line break or a null, or is longer than {LONGEST_PATH} characters.",
        "Choose a shorter, printable path.",
    )


def _check_events(field: str, events: tuple[FileEvent, ...], problems: Problems) -> None:
    unknown = [str(event) for event in events if event not in tuple(FileEvent)]
    problems.require(
        not unknown,
        field,
        unknown,
        "FSx has no such events.",
        f"Choose from {', '.join(FileEvent)}.",
    )
    problems.require(
        len(set(events)) == len(events),
        field,
        [str(event) for event in events],
        "An event is named twice.",
        "Name each once.",
    )


DEFAULT_REPOSITORIES: Final = (
    DataRepository(path="/datasets", data="datasets", import_events=tuple(FileEvent)),
    # Never DELETED: what removes a checkpoint is the lake's life cycle, not a full disk or a typo.
    DataRepository(
        path="/checkpoints",
        data="checkpoints",
        export_events=(FileEvent.NEW, FileEvent.CHANGED),
    ),
)
"""S3 is the truth for datasets and the file system for checkpoints, so neither can conflict."""
