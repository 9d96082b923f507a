"""Keys that a service of AWS uses on behalf of whoever calls it."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.encryption import CustomerKey

_USE = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*")


class ServiceKey(CustomerKey):
    """A key for what ``service`` keeps in this account, whoever asks the service to use it.

    The key's policy asks which account calls and through which service, not which role.
    ``further_actions`` of KMS are allowed beside encryption and decryption.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: str,
        description: str,
        further_actions: Sequence[str] = (),
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope, construct_id, description=description, removal_policy=removal_policy
        )
        stack = Stack.of(self)
        through_service = {
            "kms:CallerAccount": stack.account,
            "kms:ViaService": f"{service}.{stack.region}.amazonaws.com",
        }
        actions = [f"kms:{action}" for action in (*_USE, *further_actions)]
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


class ModelKey(ServiceKey):
    """A key for custom models of this account, whoever tunes or calls them.

    Bedrock decrypts a model on behalf of whoever calls it. Who may do that is said by permissions
    on the model's deployment:
    https://docs.aws.amazon.com/bedrock/latest/userguide/encryption-custom-job.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            service="bedrock",
            description=description,
            removal_policy=removal_policy,
        )


class VolumeKey(ServiceKey):
    """A key for EBS volumes of this account, whoever launches the instances.

    Auto Scaling launches with a service-linked role and Karpenter with one of its own, so that the
    policy is like that of AWS's own key for EBS:
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            service="ec2",
            description=description,
            further_actions=("ReEncrypt*",),
            removal_policy=removal_policy,
        )
