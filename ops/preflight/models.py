"""The gateway's models: whether Bedrock has them in the region, for this account."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config import Environment
from llm_constructs.specs.residency import ModelReference
from ops.aws_account import Account, Call, RefusedError
from ops.preflight.check import Finding

GROUP: Final = "Bedrock"

GET_AVAILABILITY: Final = Call("bedrock", "GetFoundationModelAvailability")
GET_PROFILE: Final = Call("bedrock", "GetInferenceProfile")
GET_DEPLOYMENT: Final = Call("bedrock", "GetCustomModelDeployment")

_ABSENT: Final = frozenset({"ResourceNotFoundException", "ValidationException"})


@dataclass(frozen=True)
class InferenceProfilesCheck:
    """Every cross-region profile of the file exists in the region."""

    title: str = "inference profiles"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_PROFILE,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where a model is called through a profile."""
        return any(reference.prefix for reference in _references(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask for each profile."""
        for reference in _references(environment):
            if reference.prefix is None:
                continue
            name = f"{reference.prefix}.{reference.foundation_model}"
            try:
                account.call(GET_PROFILE, inferenceProfileIdentifier=name)
            except RefusedError as refused:
                if refused.code not in _ABSENT:
                    raise
                yield Finding(
                    name,
                    f"Bedrock has no such inference profile in {account.region}.",
                    "Choose one of `aws bedrock list-inference-profiles`.",
                )


@dataclass(frozen=True)
class ModelAccessCheck:
    """The account may call every foundation model of the file."""

    title: str = "access to foundation models"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_AVAILABILITY,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where there are models of Bedrock's own."""
        return any(reference.deployment is None for reference in _references(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask for each model, and tell whichever of its four conditions is not met."""
        models = dict.fromkeys(
            (reference.foundation_model, reference.prefix is not None)
            for reference in _references(environment)
            if reference.deployment is None
        )
        for model, through_profile in models:
            try:
                answer = account.call(GET_AVAILABILITY, modelId=model)
            except RefusedError as refused:
                if refused.code not in _ABSENT:
                    raise
                if not through_profile:
                    yield Finding(
                        model,
                        f"Bedrock has no such model in {account.region}.",
                        "Choose one of `aws bedrock list-foundation-models`.",
                    )
                continue
            agreement = answer["agreementAvailability"]["status"]
            conditions = {
                "the provider's agreement is not accepted": agreement == "AVAILABLE",
                "the account is not authorised": answer["authorizationStatus"] == "AUTHORIZED",
                "the account is not entitled": answer["entitlementAvailability"] == "AVAILABLE",
                # Through a profile, the other regions of the profile answer.
                f"it is not available in {account.region}": through_profile
                or answer["regionAvailability"] == "AVAILABLE",
            }
            missing = [reason for reason, met in conditions.items() if not met]
            if missing:
                yield Finding(
                    model,
                    f"It cannot be called: {', '.join(missing)}.",
                    "Ask for access to it in the Bedrock console's model catalogue.",
                )


@dataclass(frozen=True)
class CustomModelsCheck:
    """Every fine-tuned model of the file is deployed."""

    title: str = "fine-tuned models"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_DEPLOYMENT,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where the gateway offers one."""
        return any(reference.deployment for reference in _references(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask for each deployment."""
        for reference in _references(environment):
            if reference.deployment is None:
                continue
            arn = reference.deployment.arn
            try:
                answer = account.call(GET_DEPLOYMENT, customModelDeploymentIdentifier=arn)
            except RefusedError as refused:
                if refused.code not in _ABSENT:
                    raise
                answer = {"status": "Absent"}
            if answer["status"] != "Active":
                yield Finding(
                    arn,
                    f"Its state is {answer['status']}, and it answers only when Active.",
                    "Give the ARN that the fine-tuning pipeline published last.",
                )


def _references(environment: Environment) -> tuple[ModelReference, ...]:
    return environment.gateway.references() if environment.gateway else ()
