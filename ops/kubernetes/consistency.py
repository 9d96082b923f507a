"""Everything that is checked of what goes into a cluster, but its schemas."""

from collections.abc import Iterable

from llm_constructs.specs.problem import Problem, Problems, SpecificationError
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.devices import check_devices
from ops.kubernetes.images import check_images
from ops.kubernetes.object_references import check_references
from ops.kubernetes.ownership import check_ownership
from ops.kubernetes.placement import check_placement
from ops.kubernetes.scraping import check_scraping
from ops.kubernetes.service_accounts import check_service_accounts
from ops.kubernetes.volumes import check_volumes
from ops.kubernetes.webhooks import check_webhooks

CHECKS = (
    check_placement,
    check_ownership,
    check_devices,
    check_references,
    check_service_accounts,
    check_scraping,
    check_volumes,
    check_webhooks,
    check_images,
)


def problems_of(contents: ClusterContents) -> tuple[Problem, ...]:
    """Return everything in a cluster that does not fit together, in sentences."""
    problems = Problems(contents.name)
    for check in CHECKS:
        check(contents, problems)
    return problems.error().problems


def check_clusters(found: Iterable[ClusterContents]) -> None:
    """Raise :class:`SpecificationError` with the problems of all clusters, if there are any."""
    problems = [
        problem.within(contents.name) for contents in found for problem in problems_of(contents)
    ]
    if problems:
        raise SpecificationError("kubernetes", problems)
