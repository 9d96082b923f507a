"""Guardrails of Bedrock, pinned to a version."""

import hashlib

from aws_cdk import Names
from aws_cdk import aws_bedrock as bedrock
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.specs.guardrail import FilterStrength, GuardrailSettings

_CONTENT = ("HATE", "INSULTS", "MISCONDUCT", "SEXUAL", "VIOLENCE")
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateGuardrail.html
_LONGEST_NAME = 50


class Guardrail(Construct):
    """A guardrail with a version that is made anew whenever its settings change.

    ``arn`` and ``id`` name the guardrail and ``version`` the pinned version: calls never see a
    draft. It is encrypted with ``encryption_key``, which :meth:`grant_apply` lets a caller use.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: GuardrailSettings,
        description: str,
        encryption_key: CustomerKey,
    ) -> None:
        super().__init__(scope, construct_id)
        self._key = encryption_key
        content = _content_policy(settings)
        sensitive = _sensitive_information_policy(settings)
        grounding = _grounding_policy(settings)
        guardrail = bedrock.CfnGuardrail(
            self,
            "Resource",
            name=Names.unique_resource_name(self, max_length=_LONGEST_NAME, separator="-"),
            description=description,
            blocked_input_messaging=settings.blocked_message,
            blocked_outputs_messaging=settings.blocked_message,
            kms_key_arn=encryption_key.key_arn,
            content_policy_config=content,
            sensitive_information_policy_config=sensitive,
            contextual_grounding_policy_config=grounding,
        )
        # A version is a copy of the guardrail at one moment. Another id makes another copy, and
        # the old one is deleted after the new one is in use.
        content_hash = _digest(settings.blocked_message, content, sensitive, grounding)
        version = bedrock.CfnGuardrailVersion(
            self, f"Version{content_hash}", guardrail_identifier=guardrail.attr_guardrail_id
        )
        self.arn: str = guardrail.attr_guardrail_arn
        self.id: str = guardrail.attr_guardrail_id
        self.version: str = version.attr_version

    def grant_apply(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` have text checked by the guardrail."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["bedrock:ApplyGuardrail"], resource_arns=[self.arn]
        ).combine(self._key.grant_decrypt(grantee))

    def metric_interventions(self) -> cloudwatch.Metric:
        """Return how often the guardrail blocked or masked something.

        https://docs.aws.amazon.com/bedrock/latest/userguide/monitoring-guardrails-cw-metrics.html
        """
        return cloudwatch.Metric(
            namespace="AWS/Bedrock/Guardrails",
            metric_name="InvocationsIntervened",
            dimensions_map={"GuardrailArn": self.arn, "GuardrailVersion": self.version},
            statistic="Sum",
        )


def _digest(*parts: object) -> str:
    # jsii's structs show all that they hold.
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def _content_policy(
    settings: GuardrailSettings,
) -> bedrock.CfnGuardrail.ContentPolicyConfigProperty | None:
    filters = []
    if settings.content_filters is not FilterStrength.NONE:
        strength = settings.content_filters.upper()
        filters += [
            bedrock.CfnGuardrail.ContentFilterConfigProperty(
                type=kind, input_strength=strength, output_strength=strength
            )
            for kind in _CONTENT
        ]
    if settings.prompt_attacks is not FilterStrength.NONE:
        filters.append(
            bedrock.CfnGuardrail.ContentFilterConfigProperty(
                type="PROMPT_ATTACK",
                input_strength=settings.prompt_attacks.upper(),
                # An answer is no prompt; Bedrock takes nothing else here.
                output_strength="NONE",
            )
        )
    if not filters:
        return None
    return bedrock.CfnGuardrail.ContentPolicyConfigProperty(filters_config=filters)


def _sensitive_information_policy(
    settings: GuardrailSettings,
) -> bedrock.CfnGuardrail.SensitiveInformationPolicyConfigProperty | None:
    entities = [
        bedrock.CfnGuardrail.PiiEntityConfigProperty(type=kind, action=action)
        for action, kinds in (("BLOCK", settings.blocked_pii), ("ANONYMIZE", settings.masked_pii))
        for kind in kinds
    ]
    if not entities:
        return None
    return bedrock.CfnGuardrail.SensitiveInformationPolicyConfigProperty(
        pii_entities_config=entities
    )


def _grounding_policy(
    settings: GuardrailSettings,
) -> bedrock.CfnGuardrail.ContextualGroundingPolicyConfigProperty | None:
    thresholds = {
        "GROUNDING": settings.grounding_percent,
        "RELEVANCE": settings.relevance_percent,
    }
    filters = [
        bedrock.CfnGuardrail.ContextualGroundingFilterConfigProperty(
            type=kind, threshold=percent / 100
        )
        for kind, percent in thresholds.items()
        if percent is not None
    ]
    if not filters:
        return None
    return bedrock.CfnGuardrail.ContextualGroundingPolicyConfigProperty(filters_config=filters)
