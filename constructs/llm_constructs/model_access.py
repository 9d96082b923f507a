"""The right to call models: those of a list, through a guardrail, and no others."""

from collections.abc import Iterator, Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.guardrail import Guardrail
from llm_constructs.nag import acknowledge
from llm_constructs.specs.gateway import Gateway
from llm_constructs.specs.model import ModelKind
from llm_constructs.specs.residency import ModelReference

# Converse and ConverseStream have no actions of their own:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
_INVOKE = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")


def grant_models(
    grantee: iam.IRole, *, scope: Construct, gateway: Gateway, guardrail: Guardrail
) -> None:
    """Let ``grantee`` call the models of ``gateway``, chat models through ``guardrail`` only.

    A profile's models may be called in the regions of its jurisdiction, and only through that
    profile: a route that AWS adds elsewhere stays closed.
    """
    chat = gateway.references(ModelKind.CHAT)
    embedding = gateway.references(ModelKind.EMBEDDING)
    for reference in dict.fromkeys((*chat, *embedding)):
        for statement in statements_for(scope, reference):
            grantee.add_to_principal_policy(statement)
        if "*" in _regions(scope, reference):
            acknowledge(
                grantee,
                f"AwsSolutions-IAM5[Resource::arn:...:bedrock:*::foundation-model/"
                f"{reference.foundation_model}]",
                reason="The environment's residency is global, so a global profile may send the "
                "request to any commercial region, and AWS adds regions without notice. The "
                "condition admits this one profile.",
            )
    grantee.add_to_principal_policy(_only_through(scope, embedding, guardrail))
    guardrail.grant_apply(grantee)


def statements_for(scope: Construct, reference: ModelReference) -> Iterator[iam.PolicyStatement]:
    """Yield what allows calls of one model; ARNs are those of the stack of ``scope``."""
    models = _model_arns(scope, reference)
    if not reference.is_profile:
        yield iam.PolicyStatement(actions=[*_INVOKE], resources=models)
        return
    profile = _profile_arn(scope, reference)
    yield iam.PolicyStatement(actions=[*_INVOKE], resources=[profile])
    yield iam.PolicyStatement(
        actions=[*_INVOKE],
        resources=models,
        conditions={"StringEquals": {"bedrock:InferenceProfileArn": profile}},
    )


def _only_through(
    scope: Construct, embedding: Sequence[ModelReference], guardrail: Guardrail
) -> iam.PolicyStatement:
    """Deny calls without the guardrail to everything but embedding models, which take none.

    https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-permissions-id.html
    """
    exempt = [arn for reference in embedding for arn in _arns(scope, reference)]
    return iam.PolicyStatement(
        sid="OnlyThroughTheGuardrail",
        effect=iam.Effect.DENY,
        actions=[*_INVOKE],
        # A denial of everything allows nothing.
        resources=None if exempt else ["*"],
        not_resources=exempt or None,
        # Any version of this guardrail: while a new one is taken over, both are in use.
        conditions={"StringNotLike": {"bedrock:GuardrailIdentifier": f"{guardrail.arn}:*"}},
    )


def _arns(scope: Construct, reference: ModelReference) -> list[str]:
    profile = [_profile_arn(scope, reference)] if reference.is_profile else []
    return [*profile, *_model_arns(scope, reference)]


def _regions(scope: Construct, reference: ModelReference) -> tuple[str, ...]:
    return reference.destinations(Stack.of(scope).region)


def _model_arns(scope: Construct, reference: ModelReference) -> list[str]:
    if reference.deployment is not None:
        return [reference.deployment.arn]
    return [
        Stack.of(scope).format_arn(
            service="bedrock",
            region=region,
            account="",
            resource="foundation-model",
            resource_name=reference.foundation_model,
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        for region in _regions(scope, reference)
    ]


def _profile_arn(scope: Construct, reference: ModelReference) -> str:
    return Stack.of(scope).format_arn(
        service="bedrock",
        resource="inference-profile",
        resource_name=f"{reference.prefix}.{reference.foundation_model}",
        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
    )
