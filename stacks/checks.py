"""The checks that run in every synthesis."""

from collections.abc import Sequence

import aws_cdk as cdk
from cdk_nag import (
    AwsSolutionsChecks,
    HIPAASecurityChecks,
    NIST80053R5Checks,
    PCIDSS321Checks,
    ServerlessChecks,
)

from config import Environment
from llm_constructs.environment_rules import EnvironmentPromise, EnvironmentRules
from llm_constructs.nag import Acknowledgements
from llm_constructs.residency_rules import ResidencyPromise
from llm_constructs.specs.residency import Residency
from llm_constructs.template_rules import TemplateRules
from stacks.layer import REQUIRED_TAGS

PACKS = (
    AwsSolutionsChecks,
    HIPAASecurityChecks,
    NIST80053R5Checks,
    PCIDSS321Checks,
    ServerlessChecks,
)


def add_checks(app: cdk.App, environments: Sequence[Environment] = ()) -> None:
    """Add the cdk-nag packs, the audit of acknowledgements and our own rules to ``app``.

    With ``environments``, every stack must belong to one of them and keep what it promises.

    CloudFormation's own rules run besides, unless ``CDK_VALIDATION`` is ``false``.
    """
    packs = [pack() for pack in PACKS]
    cdk.Validations.of(app).add_plugins(*packs, Acknowledgements(packs), TemplateRules())
    if environments:
        cdk.Validations.of(app).add_plugins(EnvironmentRules(promises_of(environments)))


def promises_of(environments: Sequence[Environment]) -> list[EnvironmentPromise]:
    """Return what the stacks of ``environments`` keep to."""
    return [
        EnvironmentPromise(
            prefix=f"llm-{environment.name}-",
            residency=ResidencyPromise(
                jurisdiction=environment.jurisdiction,
                models=environment.gateway.residency if environment.gateway else Residency.GEO,
            ),
            required_tags=REQUIRED_TAGS | frozenset(environment.tags),
        )
        for environment in environments
    ]
