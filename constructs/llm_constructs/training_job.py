"""Tuning a model of the team's own: a training job of SageMaker's."""

from typing import Any, Final

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from llm_constructs.data_lake import DataLake
from llm_constructs.fine_tuning_role import FOLDERS_REASON, OUTPUT, allow_output
from llm_constructs.fine_tuning_steps import EXECUTION, FineTuningSteps, pass_role
from llm_constructs.lake_access import acknowledge_lake_access
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.fine_tuning import LoggedMetric, SageMakerFineTuning

ATTEMPTS: Final = 3
"""How often SageMaker starts a job again that failed for reasons of its own."""

_WEIGHTS = "$.job.ModelArtifacts.S3ModelArtifacts"
_FINAL = "$.job.FinalMetricDataList"
"""The last values of the metrics that are defined, of which there is one. Left out without any.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
"""

_MEASURED = "$.measured.value"

_LOGS = "/aws/sagemaker/TrainingJobs"
_EVENTS_RULE = "StepFunctionsGetEventsForSageMakerTrainingJobsRule"
_INTERFACES = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)


class TrainingJob(Construct):
    """The states that check data, train, ask for approval and publish where the weights are.

    Weights whose ``quality`` was measured and is too bad are not published. ``start`` is the first
    state, ``statements`` what the state machine must be allowed. The
    container has no network. What it writes to ``/opt/ml/checkpoints`` goes to the lake, and an
    interrupted job goes on from there.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        training: SageMakerFineTuning,
        name: str,
        parameter: str,
        lake: DataLake,
        vpc: ec2.IVpc,
        validator: lambda_.IFunction,
        approval: sns.ITopic | None,
        approval_hours: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self._training = training
        self._name = name
        self._lake = lake
        self._vpc = vpc
        self._image = ecr.Repository.from_repository_name(self, "Image", training.repository)
        self._security_group = self._make_security_group()
        self.role = self._make_role()
        steps = FineTuningSteps(self, "Steps")
        published = steps.publish(
            parameter,
            value=sfn.JsonPath.string_at(_WEIGHTS),
            description="The weights that execution {} trained",
        )
        if approval is not None:
            question: dict[str, Any] = {"weights": sfn.JsonPath.string_at(_WEIGHTS)}
            if training.quality is not None:
                question[training.quality.name] = sfn.JsonPath.number_at(_MEASURED)
            published = steps.approve(
                approval,
                subject=f"May a trained model of {name} be published?",
                question=question,
                hours=approval_hours,
                following=published,
                refused=steps.refused,
            )
        if training.quality is not None:
            published = self._judge(steps, training.quality, published)
        self.start = steps.check_data(validator, self._train(steps).next(published))

    @property
    def statements(self) -> tuple[iam.PolicyStatement, ...]:
        """What `createTrainingJob.sync` needs.

        https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html
        """
        stack = Stack.of(self)
        jobs = stack.format_arn(
            service="sagemaker", resource="training-job", resource_name=f"{self._name}-*"
        )
        rule = stack.format_arn(service="events", resource="rule", resource_name=_EVENTS_RULE)
        return (
            iam.PolicyStatement(
                actions=[
                    "sagemaker:CreateTrainingJob",
                    "sagemaker:DescribeTrainingJob",
                    "sagemaker:StopTrainingJob",
                ],
                resources=[jobs],
            ),
            iam.PolicyStatement(
                actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"],
                resources=[rule],
            ),
            pass_role(self.role, "sagemaker.amazonaws.com"),
        )

    def _judge(
        self, steps: FineTuningSteps, quality: LoggedMetric, passed: sfn.IChainable
    ) -> sfn.IChainable:
        """Return a state that goes on to ``passed`` when the job measured well enough."""
        compare = (
            sfn.Condition.number_greater_than_equals
            if quality.at_most is None
            else sfn.Condition.number_less_than_equals
        )
        unmeasured = steps.refuse(
            "NotMeasured",
            error="QualityGate",
            cause=f"The job's log has no {quality.name}: nothing in it matches the pattern.",
            following=steps.refused,
        )
        worse = steps.refuse(
            "NotGoodEnough",
            error="QualityGate",
            cause=sfn.JsonPath.format(
                f"{quality.name} is {{}}, and must be {quality.demand}.",
                sfn.JsonPath.string_at(_MEASURED),
            ),
            following=steps.refused,
        )
        # A path to one item of a list is a value or a list of one, depending on who evaluates it.
        values = sfn.JsonPath.list_at(f"{_FINAL}[*].Value")
        read = sfn.Pass(
            steps,
            "ReadMeasure",
            parameters={"value": sfn.JsonPath.array_get_item(values, 0)},
            result_path="$.measured",
        )
        read.next(
            sfn.Choice(steps, "IsGoodEnough")
            .when(compare(_MEASURED, quality.bound), passed)
            .otherwise(worse)
        )
        return (
            sfn.Choice(steps, "IsMeasured")
            .when(sfn.Condition.is_present(f"{_FINAL}[0].Value"), read)
            .otherwise(unmeasured)
        )

    def _train(self, steps: FineTuningSteps) -> sfn.CustomState:
        # The CDK's own task knows neither checkpoints nor managed spot training.
        state = sfn.CustomState(
            steps,
            "TrainModel",
            state_json={
                "Type": "Task",
                "Resource": Stack.of(self).format_arn(
                    service="states",
                    region="",
                    account="",
                    resource="sagemaker",
                    resource_name="createTrainingJob.sync",
                    arn_format=ArnFormat.COLON_RESOURCE_NAME,
                ),
                "Parameters": sfn.FieldUtils.render_object(self._parameters()),
                "ResultPath": "$.job",
            },
        )
        state.add_retry(
            errors=["SageMaker.AmazonSageMakerException", "ThrottlingException"],
            interval=Duration.minutes(1),
            backoff_rate=2,
            max_attempts=5,
        )
        return state

    def _parameters(self) -> dict[str, Any]:
        training, lake = self._training, self._lake
        models = lake.location(LakeArea.MODELS)
        checkpoints = f"{lake.location(LakeArea.CHECKPOINTS).uri}{OUTPUT}{{}}/"
        key = lake.keys[LakeArea.MODELS.data_class].key_arn
        seconds = training.training_hours * 3600
        waiting = training.waiting_hours * 3600
        image = self._image.repository_uri_for_tag_or_digest(training.version)
        return {
            "TrainingJobName": sfn.JsonPath.format(f"{self._name}-{{}}", EXECUTION),
            "RoleArn": self.role.role_arn,
            "AlgorithmSpecification": {
                "TrainingImage": image,
                "TrainingInputMode": "FastFile",
                **self._metrics(),
            },
            "HyperParameters": dict(training.hyperparameters),
            "InputDataConfig": [
                *(self._dataset(name) for name in ("training", "validation", "evaluation")),
                _channel("model", f"{models.uri}{training.base_weights}"),
            ],
            "OutputDataConfig": {"S3OutputPath": f"{models.uri}{OUTPUT}", "KmsKeyId": key},
            "ResourceConfig": self._resources(),
            "StoppingCondition": {
                "MaxRuntimeInSeconds": seconds,
                **({"MaxWaitTimeInSeconds": seconds + waiting} if training.spot else {}),
            },
            "EnableManagedSpotTraining": training.spot,
            "CheckpointConfig": {"S3Uri": sfn.JsonPath.format(checkpoints, EXECUTION)},
            "EnableNetworkIsolation": True,
            "RetryStrategy": {"MaximumRetryAttempts": ATTEMPTS},
            "VpcConfig": {
                "Subnets": [subnet.subnet_id for subnet in self._vpc.private_subnets],
                "SecurityGroupIds": [self._security_group.security_group_id],
            },
        }

    def _metrics(self) -> dict[str, Any]:
        quality = self._training.quality
        if quality is None:
            return {}
        return {"MetricDefinitions": [{"Name": quality.name, "Regex": quality.pattern}]}

    def _dataset(self, name: str) -> dict[str, Any]:
        datasets = self._lake.location(LakeArea.DATASETS).uri
        return _channel(
            name, sfn.JsonPath.format(f"{datasets}{{}}", sfn.JsonPath.string_at(f"$.{name}"))
        )

    def _resources(self) -> dict[str, Any]:
        training = self._training
        resources: dict[str, Any] = {
            "InstanceType": training.row.sagemaker_name,
            "InstanceCount": training.instances,
        }
        # Disks of the instance itself are encrypted by their hardware, and SageMaker refuses a key
        # for them: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
        if not training.row.local_nvme_gb:
            resources["VolumeKmsKeyId"] = self._lake.keys[LakeArea.MODELS.data_class].key_arn
        resources["VolumeSizeInGB"] = training.volume_gib
        return resources

    def _make_security_group(self) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=self._vpc,
            description="Training jobs: HTTPS to S3, and everything among themselves",
            allow_all_outbound=False,
        )
        group.add_egress_rule(
            ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "HTTPS to S3 through its gateway endpoint"
        )
        if self._training.instances > 1:
            group.add_ingress_rule(group, ec2.Port.all_traffic(), "Instances of one job")
            group.add_egress_rule(group, ec2.Port.all_traffic(), "Instances of one job")
            acknowledge(
                group,
                "HIPAA.Security-EC2RestrictedCommonPorts",
                "NIST.800.53.R5-EC2RestrictedCommonPorts",
                "PCI.DSS.321-EC2RestrictedCommonPorts",
                reason="Instances of a distributed job talk to each other on ports of their own "
                "choice, over EFA where they have it. The rule names the group of the jobs, never "
                "an address range.",
            )
        return group

    def _make_role(self) -> ServiceRole:
        stack, lake = Stack.of(self), self._lake
        jobs = stack.format_arn(
            service="sagemaker", resource="training-job", resource_name=f"{self._name}-*"
        )
        role = ServiceRole(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {"aws:SourceArn": jobs},
                },
            ),
            description="Lets SageMaker train on data of the lake",
        )
        models, checkpoints = (
            lake.location(LakeArea.MODELS),
            lake.location(LakeArea.CHECKPOINTS),
        )
        lake.grant_read(LakeArea.DATASETS, role)
        models.bucket.grant_read(role, f"{models.prefix}{self._training.base_weights}*")
        checkpoints.bucket.grant_read_write(role, f"{checkpoints.prefix}{OUTPUT}*")
        allow_output(role, lake)
        self._image.grant_pull(role)
        acknowledge_lake_access(
            role,
            LakeArea.DATASETS.prefix,
            f"{models.prefix}{self._training.base_weights}",
            f"{checkpoints.prefix}{OUTPUT}",
            f"{models.prefix}{OUTPUT}",
            reason=FOLDERS_REASON,
        )
        self._allow_running(role)
        return role

    def _allow_running(self, role: ServiceRole) -> None:
        """Let the job use the VPC, and write its log.

        https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
        """
        stack = Stack.of(self)
        group = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{_LOGS}:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        role.add_to_policy(iam.PolicyStatement(actions=[*_INTERFACES], resources=["*"]))
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                resources=[group],
            )
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Action::s3:DeleteObject*]",
            "AwsSolutions-IAM5[Resource::*]",
            "AwsSolutions-IAM5[Resource::arn:...:logs:...:log-group:/aws/sagemaker/TrainingJobs:*]",
            reason="SageMaker attaches interfaces that have no id yet, and asks for a token of "
            "ECR, which knows no resources; streams of its log are named for jobs and instances. "
            "Checkpoints that are superseded are deleted in this pipeline's own folder.",
        )


def _channel(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
