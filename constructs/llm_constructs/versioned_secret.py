"""Keys for HMACs that can be replaced without breaking what was made with the old one."""

import json

from aws_cdk import RemovalPolicy
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge

KEY_LENGTH = 64
"""Characters; with letters and digits about 380 bits, more than HMAC-SHA256 makes use of."""


class VersionedKeySecret(secretsmanager.Secret):
    """A secret ``{"current": "v1", "v1": "…"}``, whose first key Secrets Manager makes up.

    Whoever replaces the key adds ``v2`` and names it ``current``; the runbook
    ``gateway-secret-rotation`` says how.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        encryption_key: CustomerKey,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            description=description,
            encryption_key=encryption_key,
            removal_policy=removal_policy,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({"current": "v1"}),
                generate_string_key="v1",
                password_length=KEY_LENGTH,
                exclude_punctuation=True,
            ),
        )
        acknowledge(
            self,
            "AwsSolutions-SMG4",
            "HIPAA.Security-SecretsManagerRotationEnabled",
            "NIST.800.53.R5-SecretsManagerRotationEnabled",
            reason="Rotation replaces a value, and every digest that was made with the old one "
            "would be void at once: all API keys, or the link between all pseudonyms. The secret "
            "holds versions side by side instead, and people add one as the runbook "
            "gateway-secret-rotation describes.",
        )
