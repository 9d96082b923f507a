"""Keys that a service of AWS uses on behalf of whoever calls it."""

from collections.abc import Sequence
from typing import ClassVar

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.encryption import CustomerKey

_USE = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*")


class _ServiceKey(CustomerKey):
    """A key for what ``service`` keeps in this account, whoever asks the service to use it.

    The key's policy asks which account calls and through which service, not which role.
    ``further_actions`` of KMS are allowed beside encryption and decryption.
    """

    service: ClassVar[str]
    further_actions: ClassVar[Sequence[str]] = ()

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope, construct_id, description=description, removal_policy=removal_policy
        )
        stack = Stack.of(self)
        through_service = {
            "kms:CallerAccount": stack.account,
            "kms:ViaService": f"{self.service}.{stack.region}.amazonaws.com",
        }
        actions = [f"kms:{action}" for action in (*_USE, *self.further_actions)]
        self._admit(actions, {"StringEquals": through_service})
        self._admit(
            ["kms:CreateGrant"],
            {"StringEquals": through_service, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        )

    def _admit(self, actions: Sequence[str], conditions: dict[str, dict[str, str]]) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=actions,
                # In a key policy, `*` is the key that holds the policy.
                resources=["*"],
                conditions=conditions,
            )
        )


class ModelKey(_ServiceKey):
    """A key for custom models of this account, whoever tunes or calls them.

    Bedrock decrypts a model on behalf of whoever calls it. Who may do that is said by permissions
    on the model's deployment:
    https://docs.aws.amazon.com/bedrock/latest/userguide/encryption-custom-job.html
    """

    service = "bedrock"


class VolumeKey(_ServiceKey):
    """A key for EBS volumes of this account, whoever launches the instances.

    Auto Scaling launches with a service-linked role and Karpenter with one of its own, so that the
    policy is like that of AWS's own key for EBS:
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption.html
    """

    service = "ec2"
    further_actions = ("ReEncrypt*",)
