"""The steps that every fine-tuning pipeline has: its input, its data, its approval, its result."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

INPUTS: Final = ("training", "validation", "evaluation")
"""What an execution is started with: keys of JSON lines below the lake's datasets area."""

EXECUTION: Final = sfn.JsonPath.string_at("$$.Execution.Name")
"""The name of the execution, which is that of the job, the model, the deployment and the token."""

REFUSAL: Final = "$.refusal"
"""Where the reason stands for which nothing is published, as ``Error`` and ``Cause``."""


class FineTuningSteps(Construct):
    """The states before and after a model is tuned; their names are the ids of this construct.

    Build a definition from its end: :attr:`refused` and :meth:`publish` first, then
    :meth:`approve`, and :meth:`check_data` last.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.refused = sfn.Fail(
            self, "NotPublished", error_path=f"{REFUSAL}.Error", cause_path=f"{REFUSAL}.Cause"
        )

    def check_data(self, validator: lambda_.IFunction, following: sfn.IChainable) -> sfn.IChainable:
        """Return the first state: what is given, and whether it is fit to learn from."""
        example = json.dumps({name: f"team/{name}.jsonl" for name in INPUTS})
        missing = sfn.Fail(
            self,
            "NoInput",
            error="NoInput",
            cause=f"Start the execution with {example}: keys below the lake's datasets area.",
        )
        bad = sfn.Fail(
            self,
            "DataRefused",
            error="DataRefused",
            cause_path=sfn.JsonPath.format(
                "{} The report is {}.",
                sfn.JsonPath.string_at("$.data.summary"),
                sfn.JsonPath.string_at("$.data.report"),
            ),
        )
        validate = self.call_function(
            "ValidateData",
            validator,
            payload={name: sfn.JsonPath.string_at(f"$.{name}") for name in INPUTS},
            answer=("accepted", "summary", "report"),
            result_path="$.data",
        )
        validate.next(
            sfn.Choice(self, "IsDataInOrder")
            .when(sfn.Condition.boolean_equals("$.data.accepted", value=True), following)
            .otherwise(bad)
        )
        given = [
            condition
            for name in INPUTS
            for condition in (
                sfn.Condition.is_present(f"$.{name}"),
                sfn.Condition.string_matches(f"$.{name}", "*.jsonl"),
            )
        ]
        return (
            sfn.Choice(self, "IsInputGiven")
            .when(sfn.Condition.and_(*given), validate)
            .otherwise(missing)
        )

    def approve(
        self,
        topic: sns.ITopic,
        *,
        subject: str,
        question: Mapping[str, Any],
        hours: int,
        following: sfn.IChainable,
        refused: sfn.IChainable,
    ) -> sfn.IChainable:
        """Return a state that asks people, and goes on when one of them sends success.

        Silence for ``hours``, and a failure that is sent, lead to ``refused``.
        """
        ask = tasks.SnsPublish(
            self,
            "AskForApproval",
            topic=topic,
            subject=subject,
            message=sfn.TaskInput.from_object(
                {
                    **question,
                    "execution": EXECUTION,
                    "approve": "aws stepfunctions send-task-success --task-output '{}' "
                    "--task-token <taskToken>",
                    "refuse": "aws stepfunctions send-task-failure --error Refused "
                    "--cause <why> --task-token <taskToken>",
                    "taskToken": sfn.JsonPath.task_token,
                }
            ),
            integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            task_timeout=sfn.Timeout.duration(Duration.hours(hours)),
            result_path=sfn.JsonPath.DISCARD,
        )
        ask.add_catch(refused, errors=[sfn.Errors.ALL], result_path=REFUSAL)
        return ask.next(following)

    def publish(self, parameter: str, *, value: str, description: str) -> sfn.IChainable:
        """Return a state that writes ``value`` into the parameter, and ends."""
        put = tasks.CallAwsService(
            self,
            "Publish",
            service="ssm",
            action="putParameter",
            parameters={
                "Name": parameter,
                "Type": "String",
                "Overwrite": True,
                "Value": value,
                "Description": sfn.JsonPath.format(description, EXECUTION),
            },
            iam_resources=[parameter_arn(self, parameter)],
            result_path=sfn.JsonPath.DISCARD,
        )
        return retried(put).next(sfn.Succeed(self, "Published"))

    def refuse(
        self, construct_id: str, *, error: str, cause: str, following: sfn.IChainable
    ) -> sfn.Pass:
        """Return a state that notes why nothing is published, and goes to ``following``."""
        state = sfn.Pass(
            self,
            construct_id,
            parameters={"Error": error, "Cause": cause},
            result_path=REFUSAL,
        )
        state.next(following)
        return state

    def call_function(
        self,
        construct_id: str,
        function: lambda_.IFunction,
        *,
        payload: Mapping[str, str],
        answer: Sequence[str],
        result_path: str,
    ) -> tasks.LambdaInvoke:
        """Return a state that calls ``function`` with the execution's name and ``payload``."""
        return tasks.LambdaInvoke(
            self,
            construct_id,
            lambda_function=function,
            payload=sfn.TaskInput.from_object({"name": EXECUTION, **payload}),
            result_selector={name: sfn.JsonPath.string_at(f"$.Payload.{name}") for name in answer},
            result_path=result_path,
        )


def retried(task: sfn.TaskStateBase) -> sfn.TaskStateBase:
    """Return ``task`` with five further attempts over about five minutes.

    Calls that make something carry the execution's name as their token, so that a second attempt
    makes nothing twice.
    """
    task.add_retry(
        errors=[sfn.Errors.TASKS_FAILED],
        interval=Duration.seconds(10),
        backoff_rate=2,
        max_attempts=5,
        jitter_strategy=sfn.JitterType.FULL,
    )
    return task


def parameter_arn(scope: Construct, name: str) -> str:
    """Return the ARN of a parameter whose name begins with a slash."""
    return Stack.of(scope).format_arn(
        service="ssm", resource="parameter", resource_name=name.removeprefix("/")
    )


def pass_role(role: iam.IRole, service: str) -> iam.PolicyStatement:
    """Return the permission to hand ``role`` to ``service`` and to no other."""
    return iam.PolicyStatement(
        actions=["iam:PassRole"],
        resources=[role.role_arn],
        conditions={"StringEquals": {"iam:PassedToService": service}},
    )
