"""What capacity is looked for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from llm_constructs.specs.accelerators import INSTANCE_TYPES, known_types
from llm_constructs.specs.instance_type import DeviceKind, InstanceType
from llm_constructs.specs.node_location import check_zone, zone_region
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import REGIONS


@dataclass(frozen=True, kw_only=True)
class CapacityRequest:
    """Instances of one type for a number of hours, within a window.

    Raises :class:`~llm_constructs.specs.problem.SpecificationError` with everything that no seller
    could answer.
    """

    region: str
    instance_type: str
    """A type of the catalogue, without SageMaker's ``ml.``."""
    count: int
    hours: int
    earliest: datetime
    """When it may begin; it has a UTC offset."""
    latest: datetime | None = None
    """When it must be over."""
    zones: tuple[str, ...] = ()
    """Zones to look in; none for all of the region."""

    def __post_init__(self) -> None:
        problems = Problems("capacity request")
        problems.require(
            self.region in REGIONS,
            "region",
            self.region,
            "It is not a region that the platform knows.",
            f"Choose one of {', '.join(sorted(REGIONS))}.",
        )
        self._check_type(problems)
        for name in ("count", "hours"):
            value: int = getattr(self, name)
            problems.require(value >= 1, name, value, "Nothing would be bought.", "Give 1 or more.")
        self._check_window(problems)
        for zone in self.zones:
            check_zone(problems, "zones", zone)
            problems.require(
                zone_region(zone) in (None, self.region),
                "zones",
                zone,
                f"It does not lie in {self.region}.",
                "Name zones of the region, or none.",
            )
        problems.raise_if_any()

    def _check_type(self, problems: Problems) -> None:
        for row in known_types([self.instance_type], problems, "instance_type"):
            problems.require(
                row.device_kind is not DeviceKind.NONE,
                "instance_type",
                row.name,
                "It has no accelerator, and CPU capacity is there when it is needed.",
                "Choose an accelerator type; docs/accelerators.md lists them.",
            )

    def _check_window(self, problems: Problems) -> None:
        for name in ("earliest", "latest"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.utcoffset() is None:
                problems.add(
                    name,
                    moment.isoformat(),
                    "The time has no UTC offset, so it could be hours off.",
                    "Add one, as in 2027-01-11T00:00:00Z.",
                )
                return
        fits = self.latest is None or self.latest - self.earliest >= timedelta(hours=self.hours)
        problems.require(
            fits,
            "latest",
            self.latest and self.latest.isoformat(),
            f"{self.hours} hours do not fit between {self.earliest.isoformat()} and it.",
            "Widen the window, or ask for fewer hours.",
        )

    @property
    def row(self) -> InstanceType:
        """The type's row of the catalogue."""
        return INSTANCE_TYPES[self.instance_type]

    def takes(self, zone: str | None) -> bool:
        """Say whether an offering in ``zone`` is looked for."""
        return not self.zones or zone is None or zone in self.zones


def now() -> datetime:
    """Return this minute in UTC."""
    return datetime.now(UTC).replace(second=0, microsecond=0)
