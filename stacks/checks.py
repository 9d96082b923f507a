"""The checks that run in every synthesis."""

import aws_cdk as cdk
from cdk_nag import (
    AwsSolutionsChecks,
    HIPAASecurityChecks,
    NIST80053R5Checks,
    PCIDSS321Checks,
    ServerlessChecks,
)

from llm_constructs.nag import AcknowledgementAudit, NagPlugin

PACKS = (
    AwsSolutionsChecks,
    HIPAASecurityChecks,
    NIST80053R5Checks,
    PCIDSS321Checks,
    ServerlessChecks,
)


def add_checks(app: cdk.App) -> None:
    """Add the cdk-nag packs and the audit of acknowledgements to ``app``.

    CloudFormation's own rules run besides, unless ``CDK_VALIDATION`` is ``false``.
    """
    cdk.Validations.of(app).add_plugins(
        *(NagPlugin(pack()) for pack in PACKS), AcknowledgementAudit()
    )
