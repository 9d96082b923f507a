"""All checks of an environment, one after the other, none of which ends the others."""

from collections.abc import Iterable
from dataclasses import dataclass

from config import Environment
from ops.aws_account import Account, RefusedError
from ops.preflight.check import Check, Finding, Severity
from ops.preflight.cluster import AddonVersionsCheck, AmiReleasesCheck, ClusterVersionCheck
from ops.preflight.identity import BootstrapCheck, CallerCheck, PublicAccessCheck, RegionCheck
from ops.preflight.model_tokens import ModelTokensCheck
from ops.preflight.models import CustomModelsCheck, InferenceProfilesCheck, ModelAccessCheck
from ops.preflight.network import ExistingSubnetsCheck, HostedZoneCheck
from ops.preflight.quotas import QuotasCheck
from ops.preflight.reservations import (
    CapacityBlocksCheck,
    PoolReservationsCheck,
    ReservationGroupsCheck,
)
from ops.preflight.service_roles import ServiceLinkedRolesCheck
from ops.preflight.training_plans import TrainingPlansCheck
from ops.preflight.zones import InstanceOfferingsCheck, ZonesCheck

CHECKS: tuple[Check, ...] = (
    CallerCheck(),
    RegionCheck(),
    BootstrapCheck(),
    PublicAccessCheck(),
    ZonesCheck(),
    InstanceOfferingsCheck(),
    ExistingSubnetsCheck(),
    HostedZoneCheck(),
    QuotasCheck(),
    ServiceLinkedRolesCheck(),
    ClusterVersionCheck(),
    AddonVersionsCheck(),
    AmiReleasesCheck(),
    CapacityBlocksCheck(),
    ReservationGroupsCheck(),
    PoolReservationsCheck(),
    TrainingPlansCheck(),
    ModelTokensCheck(),
    InferenceProfilesCheck(),
    ModelAccessCheck(),
    CustomModelsCheck(),
)
"""Every check, in the order of the report."""


@dataclass(frozen=True)
class Outcome:
    """What one check came to."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity | None:
        """The worst of the findings, ``None`` without any."""
        order = list(Severity)
        return min((finding.severity for finding in self.findings), key=order.index, default=None)


def outcomes(
    environment: Environment, account: Account, checks: Iterable[Check] = CHECKS
) -> tuple[Outcome, ...]:
    """Return the outcomes of the checks that concern the environment.

    A check that AWS refuses becomes a problem of that check, beside what it found until then.
    """
    return tuple(
        Outcome(check, tuple(_findings(check, environment, account)))
        for check in checks
        if check.concerns(environment)
    )


def _findings(check: Check, environment: Environment, account: Account) -> list[Finding]:
    found: list[Finding] = []
    try:
        for finding in check.findings(environment, account):
            found.append(finding)  # noqa: PERF402 - what came before a refusal is kept
    except RefusedError as refused:
        found.append(
            Finding(
                "not checked",
                str(refused),
                "docs/preflight.md has a policy with every permission." if refused.denied else "",
            )
        )
    return found
