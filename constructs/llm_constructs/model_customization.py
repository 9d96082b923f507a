"""Tuning a model of Bedrock's: the job, its deployment, and the verdict on it."""

from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from llm_constructs.data_lake import DataLake
from llm_constructs.encryption import CustomerKey
from llm_constructs.fine_tuning_role import OUTPUT, CustomizationRole
from llm_constructs.fine_tuning_steps import (
    EXECUTION,
    REFUSAL,
    FineTuningSteps,
    pass_role,
    retried,
)
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.fine_tuning import BedrockFineTuning

JOB_POLL_MINUTES: Final = 5

DEPLOYMENT_POLLS: Final = 60
"""Minutes, one poll each. A deployment becomes active within a few."""

_JOB, _DEPLOYMENT, _POLLS = "$.job", "$.deployment", "$.polls"


class ModelCustomization(Construct):
    """The states that tune, deploy, evaluate and publish a model of Bedrock's.

    ``start`` is the first of them. ``statements`` are what the state machine must be allowed beside
    what the CDK derives from the states. A deployment that is not published is deleted; its custom
    model stays, for whoever wants to know why.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bedrock: BedrockFineTuning,
        name: str,
        parameter: str,
        lake: DataLake,
        vpc: ec2.IVpc,
        model_key: CustomerKey,
        validator: lambda_.IFunction,
        evaluator: lambda_.IFunction,
        approval: sns.ITopic | None,
        approval_hours: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self._bedrock = bedrock
        self._name = name
        self._lake = lake
        self._vpc = vpc
        self._key = model_key
        # Endpoints and S3's gateway endpoint: https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
        self._security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            description="Jobs that tune models: HTTPS to S3, nothing inwards",
            allow_all_outbound=False,
        )
        self._security_group.add_egress_rule(
            ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "HTTPS to S3 through its gateway endpoint"
        )
        self.role = CustomizationRole(
            self,
            "Role",
            lake=lake,
            subnets=vpc.private_subnets,
            security_group=self._security_group,
        )
        self._steps = FineTuningSteps(self, "Steps")
        self.start = self._steps.check_data(
            validator, self._customise(parameter, evaluator, approval, approval_hours)
        )

    @property
    def statements(self) -> tuple[iam.PolicyStatement, ...]:
        """The right to hand the job its role."""
        return (pass_role(self.role, "bedrock.amazonaws.com"),)

    def _customise(
        self,
        parameter: str,
        evaluator: lambda_.IFunction,
        approval: sns.ITopic | None,
        approval_hours: int,
    ) -> sfn.IChainable:
        remove = self._remove()
        published = self._steps.publish(
            parameter,
            value=sfn.JsonPath.string_at(f"{_DEPLOYMENT}.CustomModelDeploymentArn"),
            description=f"The deployment of {self._bedrock.base_model} that execution {{}} tuned",
        )
        if approval is not None:
            published = self._steps.approve(
                approval,
                subject=f"May a tuned model of {self._name} be published?",
                question={
                    "verdict": sfn.JsonPath.string_at("$.verdict.summary"),
                    "report": sfn.JsonPath.string_at("$.verdict.report"),
                },
                hours=approval_hours,
                following=published,
                refused=remove,
            )
        evaluate = self._evaluate(evaluator, published, remove)
        return self._train(self._deploy(evaluate, remove))

    def _train(self, following: sfn.IChainable) -> sfn.IChainable:
        hours = self._bedrock.training_hours
        failed = self._steps.refuse(
            "CustomisationFailed",
            error="CustomisationFailed",
            cause=sfn.JsonPath.json_to_string(sfn.JsonPath.object_at(_JOB)),
            following=self._steps.refused,
        )
        stop = self._call(
            "StopJob",
            "stopModelCustomizationJob",
            {"JobIdentifier": sfn.JsonPath.string_at(f"{_JOB}.JobArn")},
            [self._arn("model-customization-job", "*")],
            result_path=sfn.JsonPath.DISCARD,
        )
        stop.next(
            self._steps.refuse(
                "CustomisationTimedOut",
                error="CustomisationTimedOut",
                cause=f"The job was stopped after training_hours, which is {hours}.",
                following=self._steps.refused,
            )
        )
        describe = self._call(
            "DescribeJob",
            "getModelCustomizationJob",
            {"JobIdentifier": sfn.JsonPath.string_at(f"{_JOB}.JobArn")},
            [self._arn("model-customization-job", "*")],
            result_path=_JOB,
        )
        wait = self._poll(
            "Job",
            describe,
            every=Duration.minutes(JOB_POLL_MINUTES),
            most=hours * 60 // JOB_POLL_MINUTES,
            status=f"{_JOB}.Status",
            outcomes={
                "Completed": following,
                "Failed": failed,
                "Stopping": failed,
                "Stopped": failed,
            },
            exhausted=stop,
        )
        create = retried(self._create_job())
        create.next(wait)
        return create

    def _create_job(self) -> tasks.CallAwsService:
        datasets = self._lake.location(LakeArea.DATASETS).uri
        output = f"{self._lake.location(LakeArea.MODELS).uri}{OUTPUT}{{}}/"
        # Parameters of SDK integrations begin with a capital letter:
        # https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
        parameters: dict[str, Any] = {
            "JobName": self._named(),
            "CustomModelName": self._named(),
            "RoleArn": self.role.role_arn,
            "ClientRequestToken": EXECUTION,
            "BaseModelIdentifier": self._base_model_arn,
            "CustomizationType": "FINE_TUNING",
            "CustomModelKmsKeyId": self._key.key_arn,
            "TrainingDataConfig": {"S3Uri": _below(datasets, "$.training")},
            "ValidationDataConfig": {"Validators": [{"S3Uri": _below(datasets, "$.validation")}]},
            "OutputDataConfig": {"S3Uri": sfn.JsonPath.format(output, EXECUTION)},
            "VpcConfig": {
                "SubnetIds": [subnet.subnet_id for subnet in self._vpc.private_subnets],
                "SecurityGroupIds": [self._security_group.security_group_id],
            },
        }
        if self._bedrock.hyperparameters:
            parameters["HyperParameters"] = dict(self._bedrock.hyperparameters)
        return tasks.CallAwsService(
            self._steps,
            "CustomiseModel",
            service="bedrock",
            action="createModelCustomizationJob",
            parameters=parameters,
            iam_resources=[
                self._base_model_arn,
                self._arn("custom-model", "*"),
            ],
            result_path=_JOB,
        )

    def _deploy(self, following: sfn.IChainable, remove: sfn.IChainable) -> sfn.IChainable:
        failed = self._steps.refuse(
            "DeploymentFailed",
            error="DeploymentFailed",
            cause=sfn.JsonPath.json_to_string(sfn.JsonPath.object_at(_DEPLOYMENT)),
            following=remove,
        )
        describe = self._call(
            "DescribeDeployment",
            "getCustomModelDeployment",
            {
                "CustomModelDeploymentIdentifier": sfn.JsonPath.string_at(
                    f"{_DEPLOYMENT}.CustomModelDeploymentArn"
                )
            },
            [self._arn("custom-model-deployment", "*")],
            result_path=_DEPLOYMENT,
        )
        wait = self._poll(
            "Deployment",
            describe,
            every=Duration.minutes(1),
            most=DEPLOYMENT_POLLS,
            status=f"{_DEPLOYMENT}.Status",
            outcomes={"Active": following, "Failed": failed},
            exhausted=failed,
        )
        create = self._call(
            "DeployModel",
            "createCustomModelDeployment",
            {
                "ModelDeploymentName": self._named(),
                "ModelArn": sfn.JsonPath.string_at(f"{_JOB}.OutputModelArn"),
                "ClientRequestToken": EXECUTION,
            },
            [self._arn("custom-model", "*")],
            result_path=_DEPLOYMENT,
        )
        create.next(wait)
        return create

    def _evaluate(
        self, evaluator: lambda_.IFunction, passed: sfn.IChainable, remove: sfn.IChainable
    ) -> sfn.IChainable:
        evaluate = self._steps.call_function(
            "EvaluateModel",
            evaluator,
            payload={
                "evaluation": sfn.JsonPath.string_at("$.evaluation"),
                "deployment": sfn.JsonPath.string_at(f"{_DEPLOYMENT}.CustomModelDeploymentArn"),
            },
            answer=("passed", "summary", "report"),
            result_path="$.verdict",
        )
        evaluate.add_catch(remove, errors=[sfn.Errors.ALL], result_path=REFUSAL)
        worse = self._steps.refuse(
            "NotGoodEnough",
            error="QualityGate",
            cause=sfn.JsonPath.format(
                "{} The report is {}.",
                sfn.JsonPath.string_at("$.verdict.summary"),
                sfn.JsonPath.string_at("$.verdict.report"),
            ),
            following=remove,
        )
        return evaluate.next(
            sfn.Choice(self._steps, "IsGoodEnough")
            .when(sfn.Condition.boolean_equals("$.verdict.passed", value=True), passed)
            .otherwise(worse)
        )

    def _remove(self) -> sfn.IChainable:
        remove = self._call(
            "RemoveDeployment",
            "deleteCustomModelDeployment",
            {
                "CustomModelDeploymentIdentifier": sfn.JsonPath.string_at(
                    f"{_DEPLOYMENT}.CustomModelDeploymentArn"
                )
            },
            [self._arn("custom-model-deployment", "*")],
            result_path=sfn.JsonPath.DISCARD,
        )
        # What went wrong first is what whoever looks must read first.
        remove.add_catch(self._steps.refused, errors=[sfn.Errors.ALL], result_path="$.removal")
        remove.next(self._steps.refused)
        return remove

    def _poll(
        self,
        subject: str,
        describe: sfn.TaskStateBase,
        *,
        every: Duration,
        most: int,
        status: str,
        outcomes: Mapping[str, sfn.IChainable],
        exhausted: sfn.IChainable,
    ) -> sfn.IChainable:
        """Return states that ask for ``status`` until it is an outcome, ``most`` times at most."""
        begin = sfn.Pass(
            self._steps,
            f"BeginWaitingFor{subject}",
            result=sfn.Result.from_object({"count": 0}),
            result_path=_POLLS,
        )
        wait = sfn.Wait(self._steps, f"WaitFor{subject}", time=sfn.WaitTime.duration(every))
        count = sfn.Pass(
            self._steps,
            f"CountWaitingFor{subject}",
            parameters={
                "count": sfn.JsonPath.math_add(sfn.JsonPath.number_at(f"{_POLLS}.count"), 1)
            },
            result_path=_POLLS,
        )
        again = (
            sfn.Choice(self._steps, f"MayWaitFor{subject}")
            .when(sfn.Condition.number_less_than(f"{_POLLS}.count", most), wait)
            .otherwise(exhausted)
        )
        known = sfn.Choice(self._steps, f"Is{subject}Done")
        for value, following in outcomes.items():
            known.when(sfn.Condition.string_equals(status, value), following)
        known.otherwise(count.next(again))
        wait.next(describe).next(known)
        return begin.next(wait)

    def _call(
        self,
        construct_id: str,
        action: str,
        parameters: Mapping[str, Any],
        resources: list[str],
        *,
        result_path: str,
    ) -> sfn.TaskStateBase:
        return retried(
            tasks.CallAwsService(
                self._steps,
                construct_id,
                service="bedrock",
                action=action,
                parameters=dict(parameters),
                iam_resources=resources,
                result_path=result_path,
            )
        )

    def _named(self) -> str:
        return sfn.JsonPath.format(f"{self._name}-{{}}", EXECUTION)

    @property
    def _base_model_arn(self) -> str:
        return Stack.of(self).format_arn(
            service="bedrock",
            account="",
            resource="foundation-model",
            resource_name=self._bedrock.base_model,
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )

    def _arn(self, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(service="bedrock", resource=resource, resource_name=name)


def _below(folder: str, path: str) -> str:
    return sfn.JsonPath.format(f"{folder}{{}}", sfn.JsonPath.string_at(path))
