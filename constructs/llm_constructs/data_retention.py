"""Bedrock's data-retention mode."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.bedrock_setting import BedrockSetting
from llm_constructs.encryption import CustomerKey
from llm_constructs.specs.data_retention import RetentionMode

SETTING = "data-retention"

_ACTIONS = ("bedrock:GetAccountDataRetention", "bedrock:PutAccountDataRetention")


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
