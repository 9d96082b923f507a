"""The functions that check data, and compare a tuned model with its base."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.data_lake import DataLake
from llm_constructs.encryption import CustomerKey
from llm_constructs.fine_tuning_role import FOLDERS_REASON, OUTPUT, allow_output
from llm_constructs.lake_access import acknowledge_lake_access
from llm_constructs.model_access import statements_for
from llm_constructs.nag import acknowledge
from llm_constructs.private_function import FunctionShape, PrivateFunction
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.fine_tuning import (
    BedrockFineTuning,
    DatasetRules,
    SageMakerFineTuning,
)
from llm_constructs.specs.residency import ModelReference

LONGEST: Final = Duration.minutes(15)

_MEMORY_MIB = 2048
"""A million records leave about 200 MiB of digests."""

_CONCURRENCY = 2
"""Executions that use a function at one moment; others wait in their retries."""


class FineTuningFunctions(Construct):
    """Makes functions over one lake, with one key and one length of logs."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        lake: DataLake,
        vpc: ec2.IVpc,
        encryption_key: CustomerKey,
        log_retention_days: int,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        self._code = code
        self._lake = lake
        self._vpc = vpc
        self._key = encryption_key
        self._log_retention_days = log_retention_days
        self._removal_policy = removal_policy

    def validator(self, construct_id: str, rules: Mapping[str, Any]) -> PrivateFunction:
        """Return a function that checks datasets by ``rules``."""
        return self._make(
            construct_id,
            "validator",
            "Checks data for fine-tuning",
            {"RULES": json.dumps(rules, sort_keys=True)},
        )

    def evaluator(self, construct_id: str, bedrock: BedrockFineTuning) -> PrivateFunction:
        """Return a function that compares deployments with the base model of ``bedrock``."""
        made = self._make(
            construct_id,
            "evaluator",
            "Compares tuned models with their base",
            {
                "GATE": json.dumps(asdict(bedrock.quality), sort_keys=True),
                "FORMAT": bedrock.dataset.format.value,
                "BASE_MODEL": bedrock.model.evaluated_as,
            },
        )
        for statement in statements_for(self, ModelReference.parse(bedrock.model.evaluated_as)):
            made.role.add_to_policy(statement)
        deployments = Stack.of(self).format_arn(
            service="bedrock", resource="custom-model-deployment", resource_name="*"
        )
        made.role.add_to_policy(
            iam.PolicyStatement(actions=["bedrock:InvokeModel"], resources=[deployments])
        )
        acknowledge(
            made.role,
            "AwsSolutions-IAM5[Resource::arn:...:bedrock:...:custom-model-deployment/*]",
            reason="Bedrock names each deployment, and the one to evaluate is made a moment before "
            "the function is called. It can be called, and neither changed nor deleted.",
        )
        return made

    def _make(
        self, construct_id: str, module: str, description: str, environment: Mapping[str, str]
    ) -> PrivateFunction:
        models = self._lake.location(LakeArea.MODELS)
        made = PrivateFunction(
            self,
            construct_id,
            shape=FunctionShape(
                description=description,
                handler=f"tuning_quality.{module}.handler",
                code=self._code,
                memory_mib=_MEMORY_MIB,
                timeout=LONGEST,
                reserved_concurrency=_CONCURRENCY,
                environment={
                    "DATASETS": self._lake.location(LakeArea.DATASETS).uri,
                    "REPORTS": f"{models.uri}{OUTPUT}",
                    **environment,
                },
            ),
            vpc=self._vpc,
            encryption_key=self._key,
            log_retention_days=self._log_retention_days,
            removal_policy=self._removal_policy,
        )
        self._lake.grant_read(LakeArea.DATASETS, made.role)
        allow_output(made.role, self._lake)
        acknowledge_lake_access(
            made.role, LakeArea.DATASETS.prefix, f"{models.prefix}{OUTPUT}", reason=FOLDERS_REASON
        )
        return made


def bedrock_rules(bedrock: BedrockFineTuning) -> dict[str, Any]:
    """Return the validator's rules for data that Bedrock learns from."""
    model = bedrock.model
    return {
        **_rules(bedrock.dataset, model.record_tokens, model.most_records),
        "reserved_words": list(model.reserved_words),
    }


def sagemaker_rules(training: SageMakerFineTuning) -> dict[str, Any]:
    """Return the validator's rules for data that a training job learns from."""
    return _rules(training.dataset, training.record_tokens, training.most_records)


def _rules(dataset: DatasetRules, record_tokens: int, most_records: int) -> dict[str, Any]:
    return {
        **asdict(dataset),
        "format": dataset.format.value,
        "record_tokens": record_tokens,
        "most_records": most_records,
    }
