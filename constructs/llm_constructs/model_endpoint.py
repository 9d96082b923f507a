"""How a program calls a model that the environment serves."""

from dataclasses import dataclass

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager


@dataclass(frozen=True, kw_only=True)
class ModelEndpoint:
    """The OpenAI API below ``base_url``, inside the VPC.

    ``model`` is the name that requests carry, and ``api_key`` the secret whose whole value is the
    bearer token.
    """

    model: str
    base_url: str
    api_key: secretsmanager.ISecret

    def grant_call(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the key.

        Only its own policy says so: were the key's policy to name it too, the stack of the model
        would depend on that of its caller.
        """
        reading = iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["secretsmanager:GetSecretValue"],
            resource_arns=[self.api_key.secret_arn],
        )
        key = self.api_key.encryption_key
        if key is None:
            return reading
        through = f"secretsmanager.{Aws.REGION}.{Aws.URL_SUFFIX}"
        return reading.combine(
            iam.Grant.add_to_principal(
                grantee=grantee,
                actions=["kms:Decrypt"],
                resource_arns=[key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": through}},
            )
        )
