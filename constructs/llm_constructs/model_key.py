"""The key of models that Bedrock tunes."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.encryption import CustomerKey


class ModelKey(CustomerKey):
    """A key for custom models of this account, whoever tunes or calls them.

    Bedrock decrypts a model on behalf of whoever calls it. Who may do that is said by permissions
    on the model's deployment, so the key's policy asks which account calls and through which
    service, not which role:
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
            scope, construct_id, description=description, removal_policy=removal_policy
        )
        stack = Stack.of(self)
        through_bedrock = {
            "kms:CallerAccount": stack.account,
            "kms:ViaService": f"bedrock.{stack.region}.amazonaws.com",
        }
        use = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*")
        self._admit([f"kms:{action}" for action in use], {"StringEquals": through_bedrock})
        self._admit(
            ["kms:CreateGrant"],
            {"StringEquals": through_bedrock, "Bool": {"kms:GrantIsForAWSResource": "true"}},
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
