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
from llm_constructs.template_rules import TemplateRules

PACKS = (
    AwsSolutionsChecks,
    HIPAASecurityChecks,
    NIST80053R5Checks,
    PCIDSS321Checks,
    ServerlessChecks,
)


def add_checks(app: cdk.App) -> None:
    """Add the cdk-nag packs, the audit of acknowledgements and our own rules to ``app``.

    CloudFormation's own rules run besides, unless ``CDK_VALIDATION`` is ``false``.
    """
    cdk.Validations.of(app).add_plugins(
        *(NagPlugin(pack()) for pack in PACKS), AcknowledgementAudit(), TemplateRules()
    )
