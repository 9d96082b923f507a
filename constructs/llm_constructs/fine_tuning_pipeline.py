"""The pipelines from data of the lake to tuned models: Step Functions over Bedrock or SageMaker."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from llm_constructs.data_lake import DataLake
from llm_constructs.encryption import CustomerKey
from llm_constructs.fine_tuning_alarms import describe_alarms, describe_signals
from llm_constructs.fine_tuning_functions import (
    FineTuningFunctions,
    bedrock_rules,
    sagemaker_rules,
)
from llm_constructs.log_protection import masked_secrets
from llm_constructs.log_retention import retention_of
from llm_constructs.model_customization import ModelCustomization
from llm_constructs.nag import acknowledge
from llm_constructs.service_key import ModelKey
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.fine_tuning import (
    BedrockFineTuning,
    FineTuning,
    SageMakerFineTuning,
)
from llm_constructs.training_job import TrainingJob

NAMESPACE: Final = "LLMPlatform/FineTuning"
"""The namespace of the metrics that are read from the evaluating function's log."""

_BESIDE_HOURS: Final = 6
"""Hours for checks, deployment and evaluation, beside training and approval."""


class FineTuningPipelines(Construct):
    """State machines by what they tune with: ``Bedrock``, ``SageMaker`` or both.

    An execution is started with the keys of ``training``, ``validation`` and ``evaluation`` data
    below the lake's datasets area; its name becomes that of the job, the model and the deployment.
    What it made is written to the parameter of :attr:`parameters`, and only when the data, the
    quality and the approvers, where there are some, allow it.

    ``name`` sets jobs and metrics apart from others of the account. ``code`` holds the functions.
    ``alarms`` and ``signals`` describe what to watch.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        fine_tuning: FineTuning,
        name: str,
        code: lambda_.Code,
        lake: DataLake,
        vpc: ec2.IVpc,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._fine_tuning = fine_tuning
        self._name = name
        self._lake = lake
        self._vpc = vpc
        self._removal_policy = removal_policy
        self._key = CustomerKey(
            self,
            "Key",
            description="Encrypts the logs, the state and the questions of fine-tuning",
            removal_policy=removal_policy,
        )
        self._key.allow_log_groups()
        self._functions = FineTuningFunctions(
            self,
            "Functions",
            code=code,
            lake=lake,
            vpc=vpc,
            encryption_key=self._key,
            log_retention_days=fine_tuning.log_retention_days,
            removal_policy=removal_policy,
        )
        self.approval = self._make_topic() if fine_tuning.approvers else None
        self.state_machines: dict[str, sfn.StateMachine] = {}
        self.parameters: dict[str, str] = {}
        self._f1: cloudwatch.IMetric | None = None
        self._gain: cloudwatch.IMetric | None = None
        if fine_tuning.bedrock is not None:
            self._add_bedrock(fine_tuning.bedrock)
        if fine_tuning.sagemaker is not None:
            self._add_sagemaker(fine_tuning.sagemaker)
        self.alarms = describe_alarms(self.state_machines)
        self.signals = describe_signals(self.state_machines, f1=self._f1, gain=self._gain)

    def _add_bedrock(self, bedrock: BedrockFineTuning) -> None:
        key = ModelKey(
            self,
            "ModelKey",
            description="Encrypts models that Bedrock tuned",
            removal_policy=self._removal_policy,
        )
        validator = self._functions.validator("BedrockValidator", bedrock_rules(bedrock))
        evaluator = self._functions.evaluator("Evaluator", bedrock)
        self._f1 = self._logged(evaluator.log_group, "F1Percent", "f1_percent")
        self._gain = self._logged(evaluator.log_group, "GainPoints", "gain_points")
        customization = ModelCustomization(
            self,
            "Bedrock",
            bedrock=bedrock,
            name=self._name,
            parameter=self._parameter("Bedrock", "bedrock-deployment"),
            lake=self._lake,
            vpc=self._vpc,
            model_key=key,
            validator=validator.function,
            evaluator=evaluator.function,
            approval=self.approval,
            approval_hours=self._fine_tuning.approval_hours,
        )
        role = self._make_role("Bedrock", customization.statements)
        acknowledge(
            role,
            *(
                f"AwsSolutions-IAM5[Resource::arn:...:bedrock:...:{kind}/*]"
                for kind in ("custom-model", "custom-model-deployment", "model-customization-job")
            ),
            reason="Bedrock gives jobs, models and deployments ids of its own, so that no pattern "
            "tells those of this pipeline from others of the account.",
        )
        self._add_machine("Bedrock", customization.start, role, bedrock.training_hours)

    def _add_sagemaker(self, training: SageMakerFineTuning) -> None:
        validator = self._functions.validator("SageMakerValidator", sagemaker_rules(training))
        job = TrainingJob(
            self,
            "SageMaker",
            training=training,
            name=self._name,
            parameter=self._parameter("SageMaker", "sagemaker-weights"),
            lake=self._lake,
            vpc=self._vpc,
            validator=validator.function,
            approval=self.approval,
            approval_hours=self._fine_tuning.approval_hours,
        )
        role = self._make_role("SageMaker", job.statements)
        acknowledge(
            role,
            f"AwsSolutions-IAM5[Resource::arn:...:sagemaker:...:training-job/{self._name}-*]",
            reason="A job is named for its execution, which is named when it is started; the "
            "prefix is this environment's.",
        )
        hours = training.training_hours + (training.waiting_hours if training.spot else 0)
        self._add_machine("SageMaker", job.start, role, hours)

    def _parameter(self, branch: str, name: str) -> str:
        self.parameters[branch] = f"/llm-platform/{self._name}/fine-tuning/{name}"
        return self.parameters[branch]

    def _make_role(self, branch: str, statements: tuple[iam.PolicyStatement, ...]) -> ServiceRole:
        role = ServiceRole(
            self,
            f"{branch}StateMachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description=f"Runs the steps of fine-tuning in {branch}",
        )
        for statement in statements:
            role.add_to_policy(statement)
        if self.approval is not None:
            # The CDK lets the role use the key for the machine's own state, and for that alone.
            # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
            region = Stack.of(self).region
            role.add_to_policy(
                iam.PolicyStatement(
                    actions=["kms:Decrypt", "kms:GenerateDataKey"],
                    resources=[self._key.key_arn],
                    conditions={"StringEquals": {"kms:ViaService": f"sns.{region}.amazonaws.com"}},
                )
            )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "AwsSolutions-IAM5[Resource::<...>:*]",
            reason="The delivery of logs and traces knows no resources, and the CDK grants the "
            "versions and aliases of the functions that the steps call.",
        )
        return role

    def _add_machine(self, branch: str, start: sfn.IChainable, role: iam.IRole, hours: int) -> None:
        approval = self._fine_tuning.approval_hours if self.approval else 0
        self.state_machines[branch] = sfn.StateMachine(
            self,
            f"{branch}StateMachine",
            # The CDK lets the role use the key for this name; without one it would be for none.
            state_machine_name=f"llm-{self._name}-fine-tuning-{branch.lower()}",
            definition_body=sfn.DefinitionBody.from_chainable(start),
            role=role,
            timeout=Duration.hours(hours + approval + _BESIDE_HOURS),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=self._make_log_group(f"{branch}StateMachineLogs"),
                level=sfn.LogLevel.ALL,
                # The data of a step that asks people holds the token that answers for them.
                include_execution_data=self.approval is None,
            ),
            encryption_configuration=sfn.CustomerManagedEncryptionConfiguration(self._key),
            removal_policy=self._removal_policy,
        )

    def _make_log_group(self, construct_id: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            construct_id,
            encryption_key=self._key,
            retention=retention_of(self._fine_tuning.log_retention_days),
            removal_policy=self._removal_policy,
            data_protection_policy=masked_secrets(),
        )

    def _make_topic(self) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Approval",
            display_name=f"{self._name} fine-tuning",
            master_key=self._key,
            enforce_ssl=True,
        )
        for address in self._fine_tuning.approvers:
            topic.add_subscription(subscriptions.EmailSubscription(address))
        acknowledge(
            topic,
            "Serverless-SNSRedrivePolicy",
            reason="SNS hands e-mail to a mail server, and what happens then is not told to it. An "
            "approval that nobody gives counts as refused, and an alarm tells of it.",
        )
        return topic

    def _logged(self, group: logs.ILogGroup, metric: str, field: str) -> cloudwatch.Metric:
        """Return a metric that is a field of what the evaluating function logs."""
        measured = logs.MetricFilter(
            self,
            metric,
            log_group=group,
            filter_pattern=logs.FilterPattern.string_value("$.event", "=", "evaluated"),
            metric_namespace=f"{NAMESPACE}/{self._name}",
            metric_name=metric,
            metric_value=f"$.{field}",
        )
        return measured.metric(statistic="Maximum", period=Duration.minutes(5))
