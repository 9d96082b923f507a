"""Bedrock's data-retention mode."""

from enum import StrEnum

from aws_cdk import RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.bedrock_setting import BedrockSetting
from llm_constructs.encryption import CustomerKey

SETTING = "data-retention"

_ACTIONS = ("bedrock:GetAccountDataRetention", "bedrock:PutAccountDataRetention")


class RetentionMode(StrEnum):
    """What may be kept of prompts and answers outside the account.

    https://docs.aws.amazon.com/bedrock/latest/userguide/data-retention.html
    """

    INHERIT = "inherit"
    """No opinion: each model's own rule holds. This is how AWS makes new accounts."""
    DEFAULT = "default"
    """Each model's own rule holds. AWS may keep data for safety; providers receive none."""
    NONE = "none"
    """Nothing is kept. Models that cannot be had without retention refuse every call."""
    AWS_REVIEW = "aws_review"
    """AWS may review requests and answers."""
    PROVIDER_DATA_SHARE = "provider_data_share"
    """Data may be kept and shared with a model's provider. Some models demand it."""


class DataRetention(Construct):
    """Sets the mode for every caller of Bedrock in this account and region.

    Calls through an inference profile count where they are made, not where they are routed to.
    On deletion the earlier mode is put back. ``code`` is what
    :func:`~llm_constructs.bedrock_setting.setting_code` returns.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        mode: RetentionMode,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        key = CustomerKey(
            self,
            "Key",
            description="Encrypts the logs of the function that sets Bedrock's data retention",
            removal_policy=removal_policy,
        )
        key.allow_log_groups()
        BedrockSetting(
            self,
            "Setting",
            code=code,
            setting=SETTING,
            configuration={"mode": mode.value},
            actions=_ACTIONS,
            encryption_key=key,
        )
