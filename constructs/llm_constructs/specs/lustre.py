"""Which FSx for Lustre file systems AWS accepts, and what they amount to.

CloudFormation's schema holds none of these rules, so an illegal file system fails half an hour
into a deployment. Here it fails when the configuration is read.

Source, unless a constant names its own:
https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llm_constructs.specs.data_repository import (
    DEFAULT_REPOSITORIES,
    DataRepository,
    check_repositories,
)
from llm_constructs.specs.problem import Problems


class DeploymentType(StrEnum):
    """How durable the file system is; ``DeploymentType`` of the FSx API."""

    PERSISTENT_2 = "PERSISTENT_2"
    """Replicated within its zone; for everything that must survive a failed disk."""
    SCRATCH_2 = "SCRATCH_2"
    """Not replicated: a failed server loses its files. For data that S3 also holds."""


class DataCompression(StrEnum):
    """``DataCompressionType`` of the FSx API."""

    LZ4 = "LZ4"
    NONE = "NONE"


class LustreVersion(StrEnum):
    """Lustre releases that data repository associations work with (2.12 and later)."""

    V2_12 = "2.12"
    V2_15 = "2.15"


class MetadataMode(StrEnum):
    """How metadata IOPS are provisioned; ``Mode`` of the FSx API."""

    AUTOMATIC = "AUTOMATIC"
    USER_PROVISIONED = "USER_PROVISIONED"


SMALLEST_CAPACITY: Final = 1_200
"""GiB. https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html"""

CAPACITY_STEP: Final = 2_400
"""GiB, for both deployment types on SSD. Same source."""

EFA_CAPACITY_STEPS: Final = {125: 38_400, 250: 19_200, 500: 9_600, 1_000: 4_800}
"""GiB by MB/s per TiB, with EFA; the step is also the smallest size.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/increase-storage-capacity.html
"""

PERSISTENT_THROUGHPUTS: Final[tuple[int, ...]] = tuple(EFA_CAPACITY_STEPS)
"""MB/s per TiB that a persistent SSD file system can be given."""

SCRATCH_THROUGHPUT: Final = 200
"""MB/s per TiB, the fixed baseline of scratch file systems.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/ssd-storage.html
"""

METADATA_IOPS: Final[tuple[int, ...]] = (1_500, 3_000, 6_000, *range(12_000, 192_001, 12_000))
"""What can be provisioned on SSD.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/managing-metadata-performance.html
"""

AUTOMATIC_METADATA_IOPS: Final = ((1_200, 1_500), (2_400, 3_000), (9_600, 6_000), (45_600, 12_000))
"""Up to so many GiB, so many IOPS; above, 12,000 for each 24,000 GiB.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/performance.html#dne-metadata-performance
"""

LONGEST_BACKUP_RETENTION: Final = 90
"""Days."""

_MAINTENANCE = re.compile(r"[1-7]:([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True)
class CapacityGrid:
    """The sizes that FSx accepts: ``smallest``, and every multiple of ``step`` (GiB)."""

    smallest: int
    step: int

    @classmethod
    def of(cls, deployment_type: str, throughput: int, *, efa: bool) -> "CapacityGrid":
        """Return the grid for MB/s per TiB; without EFA only the file system's size matters."""
        if efa and deployment_type == DeploymentType.PERSISTENT_2:
            step = EFA_CAPACITY_STEPS.get(throughput, min(EFA_CAPACITY_STEPS.values()))
            return cls(step, step)
        return cls(SMALLEST_CAPACITY, CAPACITY_STEP)

    def __contains__(self, gib: int) -> bool:
        return gib == self.smallest or (gib > 0 and gib % self.step == 0)

    def __iter__(self) -> Iterator[int]:
        """All sizes in ascending order, without end: AWS sets no limit but a quota."""
        if self.smallest % self.step:
            yield self.smallest
        size = self.step
        while True:
            yield size
            size += self.step

    def nearest(self, gib: int) -> tuple[int, ...]:
        """The legal sizes next to ``gib``: one below if there is one, and one above.

        A legal ``gib`` is its own nearest size.
        """
        if gib in self:
            return (gib,)
        if gib < self.smallest:
            return (self.smallest,)
        below = gib // self.step * self.step
        return (below or self.smallest, below + self.step)


@dataclass(frozen=True, kw_only=True)
class LustreVolume:
    """One FSx for Lustre file system on SSD.

    Sizes grow in place and never shrink, so the defaults are the smallest. The Intelligent-Tiering
    class is not offered, because it cannot be linked to S3:
    https://docs.aws.amazon.com/fsx/latest/LustreGuide/fsx-data-repositories.html

    Raises :class:`SpecificationError` with everything that FSx would refuse.
    """

    deployment_type: DeploymentType = DeploymentType.PERSISTENT_2
    """`PERSISTENT_2` or `SCRATCH_2`."""
    capacity_gib: int = SMALLEST_CAPACITY
    """1200, 2400 or a multiple of 2400. With EFA, a multiple of 38400, 19200, 9600 or 4800 for
    125, 250, 500 or 1000 MB/s per TiB."""
    throughput_mbps_per_tib: int | None = None
    """125 (when left out), 250, 500 or 1000 for `PERSISTENT_2`. Scratch file systems have a fixed
    200 and refuse a value."""
    metadata_iops: int | None = None
    """1500, 3000, 6000, 12000 or a multiple of 12000 up to 192000, for `PERSISTENT_2` with Lustre
    2.15. Left out, FSx scales them with the capacity (its AUTOMATIC mode). They never shrink."""
    efa: bool = False
    """Serve clients over the Elastic Fabric Adapter. Set for good at creation, as is then the
    throughput; needs `PERSISTENT_2` with Lustre 2.15 and clients in the same zone."""
    compression: DataCompression = DataCompression.LZ4
    """`LZ4` or `NONE`; applies to what is written from then on."""
    lustre_version: LustreVersion = LustreVersion.V2_15
    """`2.15` or `2.12`. Clients must be able to speak it."""
    weekly_maintenance: str = "7:03:00"
    """Start of the weekly window in UTC as day:hour:minute, Monday being 1. The default is Sunday,
    03:00."""
    backup_retention_days: int = 0
    """Days to keep daily backups, 0 for none. FSx backs up no file system that is linked to S3."""
    repositories: tuple[DataRepository, ...] = DEFAULT_REPOSITORIES
    """Directories that mirror areas of the lake, at most 8."""

    def __post_init__(self) -> None:
        problems = Problems("lustre")
        _check_deployment_type(self, problems)
        _check_version(self, problems)
        _check_throughput(self, problems)
        _check_efa(self, problems)
        _check_capacity(self, problems)
        _check_metadata(self, problems)
        _check_compression(self, problems)
        _check_maintenance(self, problems)
        _check_backups(self, problems)
        check_repositories(self.repositories, problems)
        problems.raise_if_any()

    @property
    def is_persistent(self) -> bool:
        """Whether files are replicated, and a key of one's own encrypts them."""
        return self.deployment_type == DeploymentType.PERSISTENT_2

    @property
    def throughput(self) -> int:
        """MB/s per TiB, whether chosen or fixed."""
        if not self.is_persistent:
            return SCRATCH_THROUGHPUT
        return self.throughput_mbps_per_tib or PERSISTENT_THROUGHPUTS[0]

    @property
    def aggregate_throughput(self) -> int:
        """MB/s of all clients together, the baseline for scratch.

        AWS counts 2400 GiB as 2.4 TiB here; with binary TiB it would be 2.3 % less.
        """
        return self.capacity_gib * self.throughput // 1_000

    @property
    def capacity_grid(self) -> CapacityGrid:
        """The sizes this file system can grow through, keeping everything else."""
        return CapacityGrid.of(self.deployment_type, self.throughput, efa=self.efa)

    @property
    def metadata_mode(self) -> MetadataMode | None:
        """``None`` for file systems that have no metadata configuration."""
        if not _has_metadata_configuration(self):
            return None
        provisioned = self.metadata_iops is not None
        return MetadataMode.USER_PROVISIONED if provisioned else MetadataMode.AUTOMATIC

    @property
    def effective_metadata_iops(self) -> int | None:
        """Provisioned, or what AUTOMATIC comes to; ``None`` without a metadata configuration."""
        if self.metadata_mode == MetadataMode.AUTOMATIC:
            return automatic_metadata_iops(self.capacity_gib)
        return self.metadata_iops


def automatic_metadata_iops(capacity_gib: int) -> int:
    """Return the IOPS that AUTOMATIC provisions for a legal capacity, at most 192,000."""
    for up_to, iops in AUTOMATIC_METADATA_IOPS:
        if capacity_gib <= up_to:
            return iops
    return min(capacity_gib // 24_000 * 12_000, METADATA_IOPS[-1])


def _has_metadata_configuration(volume: LustreVolume) -> bool:
    return volume.is_persistent and volume.lustre_version == LustreVersion.V2_15


def _check_deployment_type(volume: LustreVolume, problems: Problems) -> None:
    problems.require(
        volume.deployment_type in tuple(DeploymentType),
        "deployment_type",
        str(volume.deployment_type),
        "Only current SSD deployment types are offered.",
        f"Choose from {', '.join(DeploymentType)}.",
    )


def _check_version(volume: LustreVolume, problems: Problems) -> None:
    problems.require(
        volume.lustre_version in tuple(LustreVersion),
        "lustre_version",
        str(volume.lustre_version),
        "FSx has no such version, or does not link it to S3.",
        f"Choose from {', '.join(LustreVersion)}.",
    )


def _check_compression(volume: LustreVolume, problems: Problems) -> None:
    problems.require(
        volume.compression in tuple(DataCompression),
        "compression",
        str(volume.compression),
        "FSx has no such compression.",
        f"Choose from {', '.join(DataCompression)}.",
    )


def _check_throughput(volume: LustreVolume, problems: Problems) -> None:
    given = volume.throughput_mbps_per_tib
    if given is None:
        return
    if volume.is_persistent:
        problems.require(
            given in PERSISTENT_THROUGHPUTS,
            "throughput_mbps_per_tib",
            given,
            "FSx has no such throughput for PERSISTENT_2 on SSD.",
            f"Choose from {_listed(PERSISTENT_THROUGHPUTS)}.",
        )
    else:
        problems.add(
            "throughput_mbps_per_tib",
            given,
            f"A scratch file system always has {SCRATCH_THROUGHPUT} MB/s per TiB.",
            "Leave it out, or choose PERSISTENT_2.",
        )


def _check_efa(volume: LustreVolume, problems: Problems) -> None:
    if not volume.efa:
        return
    problems.require(
        volume.is_persistent,
        "efa",
        True,
        f"EFA needs PERSISTENT_2, and the deployment type is {volume.deployment_type}.",
        "Choose PERSISTENT_2, or set efa = false.",
    )
    problems.require(
        volume.lustre_version == LustreVersion.V2_15,
        "efa",
        True,
        f"EFA needs a metadata configuration, which Lustre {volume.lustre_version} does not have.",
        'Set lustre_version = "2.15", or efa = false.',
    )


def _check_capacity(volume: LustreVolume, problems: Problems) -> None:
    grid = volume.capacity_grid
    kind = f"{volume.deployment_type} file system"
    if volume.efa:
        kind += f" with EFA and {volume.throughput} MB/s per TiB"
    problems.require(
        volume.capacity_gib in grid,
        "capacity_gib",
        volume.capacity_gib,
        f"A {kind} has {_capacities(grid)} GiB.",
        f"The nearest: {_listed(grid.nearest(volume.capacity_gib), 'or')}.",
    )


def _check_metadata(volume: LustreVolume, problems: Problems) -> None:
    iops = volume.metadata_iops
    if iops is None:
        return
    problems.require(
        _has_metadata_configuration(volume),
        "metadata_iops",
        iops,
        "Metadata IOPS can only be provisioned for PERSISTENT_2 with Lustre 2.15.",
        "Leave it out, or choose both.",
    )
    problems.require(
        iops in METADATA_IOPS,
        "metadata_iops",
        iops,
        "FSx provisions 1500, 3000, 6000, 12000 or a multiple of 12000 up to 192000.",
        f"The nearest: {_listed(_nearest_metadata_iops(iops), 'or')}.",
    )


def _check_maintenance(volume: LustreVolume, problems: Problems) -> None:
    problems.require(
        _MAINTENANCE.fullmatch(volume.weekly_maintenance) is not None,
        "weekly_maintenance",
        volume.weekly_maintenance,
        "It is not a day (1 for Monday to 7), hour and minute in UTC.",
        "Write it as d:HH:MM, for example '7:03:00' for Sunday at three.",
    )


def _check_backups(volume: LustreVolume, problems: Problems) -> None:
    days = volume.backup_retention_days
    problems.require(
        0 <= days <= LONGEST_BACKUP_RETENTION,
        "backup_retention_days",
        days,
        f"FSx keeps backups for at most {LONGEST_BACKUP_RETENTION} days.",
        f"Choose 0 (no backups) to {LONGEST_BACKUP_RETENTION}.",
    )
    problems.require(
        days <= 0 or volume.is_persistent,
        "backup_retention_days",
        days,
        "FSx backs up no scratch file system.",
        "Set it to 0, or choose PERSISTENT_2.",
    )
    problems.require(
        days <= 0 or not volume.repositories,
        "backup_retention_days",
        days,
        "FSx backs up no file system that is linked to S3.",
        "Set it to 0 and rely on the versioned lake, or set repositories = [].",
    )


def _nearest_metadata_iops(iops: int) -> tuple[int, ...]:
    below = [legal for legal in METADATA_IOPS if legal <= iops][-1:]
    above = [legal for legal in METADATA_IOPS if legal >= iops][:1]
    return tuple(dict.fromkeys(below + above))


def _capacities(grid: CapacityGrid) -> str:
    multiples = f"a multiple of {grid.step}"
    return multiples if grid.smallest == grid.step else f"{grid.smallest} or {multiples}"


def _listed(numbers: tuple[int, ...], conjunction: str = "and") -> str:
    *init, last = map(str, numbers)
    return f"{', '.join(init)} {conjunction} {last}" if init else last
