"""The key of volumes that AWS attaches to nodes."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.encryption import CustomerKey


class VolumeKey(CustomerKey):
    """A key for EBS volumes of this account, whoever launches the instances.

    Auto Scaling launches with a service-linked role and Karpenter with one of its own. As with
    AWS's own key for EBS, the key's policy therefore asks which account calls and through which
    service, not which role: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption.html
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
            scope, construct_id, description=description, removal_policy=removal_policy
        )
        stack = Stack.of(self)
        through_ec2 = {
            "kms:CallerAccount": stack.account,
            "kms:ViaService": f"ec2.{stack.region}.amazonaws.com",
        }
        use = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")
        self._admit([f"kms:{action}" for action in use], {"StringEquals": through_ec2})
        self._admit(
            ["kms:CreateGrant"],
            {"StringEquals": through_ec2, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        )

    def _admit(self, actions: list[str], conditions: dict[str, dict[str, str]]) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=actions,
                # In a key policy, `*` is the key that holds the policy.
                resources=["*"],
                conditions=conditions,
            )
        )
