"""The pipeline from raw text to datasets: Step Functions over Batch."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_batch as batch
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from llm_constructs.curation_alarms import CurationMetrics, describe_alarms, describe_signals
from llm_constructs.curation_compute import CurationCompute
from llm_constructs.curation_jobs import ARRAYS, PAIRS, CurationJobs, Stage
from llm_constructs.data_lake import DataLake
from llm_constructs.encryption import CustomerKey
from llm_constructs.log_protection import masked_secrets
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.curation import Curation, CurationSchedule
from llm_constructs.specs.data_lake import LakeArea

NAMESPACE: Final = "LLMPlatform/Curation"
"""The namespace of the metrics that are read from the jobs' log."""

_MARGIN: Final = 2
"""Waiting for capacity takes a stage longer than its jobs may run."""


class CurationPipeline(Construct):
    """A state machine that runs the stages of ``jobs/curation`` one after the other.

    An execution is started with ``{"input": "<folder of the raw area>/"}``; its name becomes the
    name of the plan. What a stage has done is not done again, by a retry, a redrive or another
    execution with the same input.

    A stage runs on spot instances first, if there are any, and what they leave undone on demand.
    ``name`` sets the state machine and its metrics apart from others of the account. ``alarms``
    and ``signals`` describe what to watch.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        curation: Curation,
        name: str,
        lake: DataLake,
        vpc: ec2.IVpc,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._curation = curation
        self._lake = lake
        self._removal_policy = removal_policy
        self._key = CustomerKey(
            self,
            "Key",
            description="Encrypts the logs and the state of the curation pipeline",
            removal_policy=removal_policy,
        )
        self._key.allow_log_groups()
        self.log_group = self._make_log_group("Logs")
        compute = CurationCompute(
            self,
            "Compute",
            vpc=vpc,
            volume_gib=curation.volume_gib,
            removal_policy=removal_policy,
        )
        self.jobs = CurationJobs(
            self,
            "Jobs",
            curation=curation,
            lake=lake,
            log_group=self.log_group,
            instance_role=compute.instance_role,
        )
        self._make_queues(compute)
        self.state_machine = self._make_state_machine(name)
        self._rule = self._make_schedule(curation.schedule) if curation.schedule else None
        metrics = self._metrics(name)
        self.alarms = describe_alarms(metrics, rejected_percent=curation.rejected_percent)
        self.signals = describe_signals(metrics)

    def _make_log_group(self, construct_id: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            construct_id,
            encryption_key=self._key,
            retention=retention_of(self._curation.log_retention_days),
            removal_policy=self._removal_policy,
            data_protection_policy=masked_secrets(),
        )

    def _make_queues(self, compute: CurationCompute) -> None:
        curation = self._curation
        on_demand = compute.make_environment(
            "OnDemand", rows=curation.rows, max_vcpus=curation.max_vcpus, spot=False
        )
        self._on_demand_queue = compute.make_queue("OnDemandQueue", [on_demand])
        self._spot_queue: batch.JobQueue | None = None
        if curation.spot:
            spot = compute.make_environment(
                "Spot", rows=curation.rows, max_vcpus=curation.max_vcpus, spot=True
            )
            self._spot_queue = compute.make_queue("SpotQueue", [spot], gives_up=True)
        self._gpu_queue = self._make_gpu_queue(compute)

    def _make_gpu_queue(self, compute: CurationCompute) -> batch.JobQueue | None:
        gpu = self._curation.gpu_deduplication
        if gpu is None:
            return None
        environments = [
            compute.make_environment(
                "GpuSpot" if spot else "GpuOnDemand",
                rows=gpu.rows,
                max_vcpus=max(row.vcpus for row in gpu.rows),
                spot=spot,
                image_type=batch.EcsMachineImageType.ECS_AL2023_NVIDIA,
            )
            for spot in ((True, False) if self._curation.spot else (False,))
        ]
        return compute.make_queue("GpuQueue", environments)

    def _make_state_machine(self, name: str) -> sfn.StateMachine:
        role = ServiceRole(
            self,
            "StateMachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description="Runs the stages of curation as jobs",
        )
        # What the CDK leaves out, without which a stopped execution would leave its jobs running.
        # https://docs.aws.amazon.com/step-functions/latest/dg/connect-batch.html
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["batch:DescribeJobs", "batch:TerminateJob"], resources=["*"]
            )
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "AwsSolutions-IAM5[Resource::arn:...:batch:...:job-definition/*]",
            reason="Jobs have ids that Batch gives them, batch:DescribeJobs and the delivery of "
            "logs and traces know no resources, and a job definition is submitted by its revision, "
            "which each deployment makes anew.",
        )
        return sfn.StateMachine(
            self,
            "StateMachine",
            # The CDK lets the role use the key for this name; without one it would be for none.
            state_machine_name=f"llm-{name}-curation",
            definition_body=sfn.DefinitionBody.from_chainable(self._definition()),
            role=role,
            timeout=Duration.hours(self._curation.stage_hours * len(Stage) * _MARGIN),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=self._make_log_group("StateMachineLogs"),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
            encryption_configuration=sfn.CustomerManagedEncryptionConfiguration(self._key),
            removal_policy=self._removal_policy,
        )

    def _definition(self) -> sfn.IChainable:
        following: sfn.IChainable = sfn.Succeed(self, "Published")
        for stage in reversed(Stage):
            following = self._stage(stage, following)
        missing = sfn.Fail(
            self,
            "NoInput",
            error="NoInput",
            cause='Start the execution with {"input": "<folder of the raw area>/"}.',
        )
        given = sfn.Condition.and_(
            sfn.Condition.is_present("$.input"), sfn.Condition.string_matches("$.input", "*/")
        )
        return sfn.Choice(self, "IsInputGiven").when(given, following).otherwise(missing)

    def _stage(self, stage: Stage, following: sfn.IChainable) -> sfn.IChainable:
        """Return the first state of a stage that leads to ``following``."""
        name = stage.value.capitalize()
        on_demand = self._task(f"{name}OnDemand", stage, self._on_demand_queue)
        on_demand.add_retry(
            errors=[sfn.Errors.TASKS_FAILED],
            interval=Duration.minutes(1),
            max_attempts=1,
        )
        on_demand.next(following)
        first = on_demand
        if self._spot_queue is not None:
            first = self._task(name, stage, self._spot_queue)
            first.add_catch(
                on_demand,
                errors=[sfn.Errors.TASKS_FAILED],
                result_path=sfn.JsonPath.DISCARD,
            )
            first.next(following)
        if stage is Stage.DEDUPLICATE and self.jobs.gpu is not None:
            return self._gpu_task(self.jobs.gpu).next(first)
        return first

    def _task(self, state: str, stage: Stage, queue: batch.JobQueue) -> tasks.BatchSubmitJob:
        return tasks.BatchSubmitJob(
            self,
            state,
            job_name=f"curation-{stage}",
            job_definition_arn=self.jobs.definitions[stage].job_definition_arn,
            job_queue_arn=queue.job_queue_arn,
            array_size=self._curation.workers if stage in ARRAYS else None,
            container_overrides=tasks.BatchContainerOverrides(environment=self._variables(stage)),
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            result_path=sfn.JsonPath.DISCARD,
        )

    def _gpu_task(self, definition: batch.EcsJobDefinition) -> tasks.BatchSubmitJob:
        assert self._gpu_queue is not None, "it is made for the same table"  # noqa: S101
        task = tasks.BatchSubmitJob(
            self,
            "FindSimilarOnGpus",
            job_name="curation-gpu",
            job_definition_arn=definition.job_definition_arn,
            job_queue_arn=self._gpu_queue.job_queue_arn,
            container_overrides=tasks.BatchContainerOverrides(
                environment=self._variables(Stage.DEDUPLICATE)
            ),
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            result_path=sfn.JsonPath.DISCARD,
        )
        task.add_retry(
            errors=[sfn.Errors.TASKS_FAILED], interval=Duration.minutes(1), max_attempts=1
        )
        return task

    def _variables(self, stage: Stage) -> dict[str, str]:
        """Return the variables of the job's options that the execution decides on."""
        name = sfn.JsonPath.string_at("$$.Execution.Name")
        variables = {"CURATION_NAME": name}
        if stage is Stage.PLAN:
            raw = self._lake.location(LakeArea.RAW).uri
            given = sfn.JsonPath.string_at("$.input")
            variables["CURATION_INPUT"] = sfn.JsonPath.format(f"{raw}{{}}", given)
        if stage is Stage.DEDUPLICATE and self._curation.gpu_deduplication is not None:
            pairs = f"{self._lake.location(LakeArea.CURATED).uri}{PAIRS}"
            variables["CURATION_PAIRS"] = sfn.JsonPath.format(f"{pairs}{{}}/", name)
        return variables

    def _make_schedule(self, schedule: CurationSchedule) -> events.Rule:
        role = ServiceRole(
            self,
            "ScheduleRole",
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
            description="Starts the curation pipeline",
        )
        rule = events.Rule(
            self,
            "Schedule",
            description="Starts the curation pipeline",
            schedule=events.Schedule.expression(schedule.expression),
            targets=[
                targets.SfnStateMachine(
                    self.state_machine,
                    input=events.RuleTargetInput.from_object({"input": schedule.input}),
                    role=role,
                )
            ],
        )

        acknowledge(
            rule,
            "Serverless-EventBusDLQ",
            reason="A lost event holds nothing but a time, and the next one does its work. The "
            "alarm CurationNotStarted tells of it, which a queue that nobody reads would not.",
        )
        return rule

    def _not_started(self) -> cloudwatch.Metric | None:
        if self._rule is None:
            return None
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
        return cloudwatch.Metric(
            namespace="AWS/Events",
            metric_name="FailedInvocations",
            dimensions_map={"RuleName": self._rule.rule_name},
            statistic="Sum",
            period=Duration.minutes(5),
        )

    def _metrics(self, name: str) -> CurationMetrics:
        period = Duration.minutes(5)
        failed = cloudwatch.MathExpression(
            expression="FILL(failed, 0) + FILL(timedout, 0) + FILL(aborted, 0)",
            using_metrics={
                "failed": self.state_machine.metric_failed(period=period),
                "timedout": self.state_machine.metric_timed_out(period=period),
                "aborted": self.state_machine.metric_aborted(period=period),
            },
            label="Executions that did not publish",
            period=period,
        )
        return CurationMetrics(
            failed=failed,
            published=self.state_machine.metric_succeeded(period=period, label="published"),
            tokens=self._logged(name, "Tokens", "tokens"),
            not_started=self._not_started(),
            rejected_percent=self._logged(name, "RejectedPercent", "rejected_percent"),
            unreadable_shards=self._logged(name, "UnreadableShards", "unreadable_shards"),
        )

    def _logged(self, name: str, metric: str, field: str) -> cloudwatch.Metric:
        """Return a metric that is a field of what the stage publish logs."""
        measured = logs.MetricFilter(
            self,
            metric,
            log_group=self.log_group,
            filter_pattern=logs.FilterPattern.string_value("$.event", "=", "published"),
            metric_namespace=f"{NAMESPACE}/{name}",
            metric_name=metric,
            metric_value=f"$.{field}",
        )
        return measured.metric(statistic="Maximum", period=Duration.minutes(5))
