"""The fine-tuning pipelines: their definitions, executed, and what their roles may do."""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.constructs.fine_tuning_stacks import APPROVED, UNATTENDED, definition, pipelines
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.state_machine_run import (
    Answer,
    Outcome,
    as_service,
    function,
    problems_of,
    refused,
    run,
    service_model,
)
from tests.constructs.synthesis import Template, synthesised

pytestmark = pytest.mark.slow

GIVEN = {name: f"team/{name}.jsonl" for name in ("training", "validation", "evaluation")}
ACCOUNT = "arn:aws:bedrock:us-east-2:111111111111"
JOB = f"{ACCOUNT}:model-customization-job/amazon.nova-micro-v1:0:128k/abcdefghijkl"
MODEL = f"{ACCOUNT}:custom-model/amazon.nova-micro-v1:0:128k/abcdefghijkl"
DEPLOYMENT = f"{ACCOUNT}:custom-model-deployment/abcdefghijkl"
BETTER = {"passed": True, "summary": "F1 is 80.0 %.", "report": "s3://b/r"}
WORSE = {"passed": False, "summary": "F1 is 10.0 %.", "report": "s3://b/r"}
IN_ORDER = {"accepted": True, "summary": "fine", "report": "s3://b/v"}
BAD = {"accepted": False, "summary": "training: line 3: no JSON", "report": "s3://b/v"}


@pytest.fixture(scope="module")
def attended() -> Template:
    return synthesised(lambda stack: pipelines(stack, APPROVED))


@pytest.fixture(scope="module")
def unattended() -> Template:
    return synthesised(lambda stack: pipelines(stack, UNATTENDED))


def bedrock(
    *,
    data: dict[str, Any] | None = None,
    jobs: tuple[str, ...] = ("InProgress", "InProgress", "Completed"),
    deployments: tuple[str, ...] = ("Creating", "Active"),
    verdict: dict[str, Any] | None = None,
) -> dict[str, Answer]:
    """Return a Bedrock that goes through these states, the last of each for ever."""
    job_states, deployment_states = deque(jobs), deque(deployments)

    def next_of(states: deque[str]) -> str:
        return states.popleft() if len(states) > 1 else states[0]

    def describe_job(_: Any) -> dict[str, Any]:
        status = next_of(job_states)
        done = {"outputModelArn": MODEL} if status == "Completed" else {}
        return {"jobArn": JOB, "status": status, **done}

    def call_function(payload: dict[str, Any]) -> dict[str, Any]:
        return (verdict or BETTER) if "deployment" in payload else (data or IN_ORDER)

    return {
        "Invoke": function(call_function),
        "CreateModelCustomizationJob": lambda _: {"jobArn": JOB},
        "GetModelCustomizationJob": describe_job,
        "StopModelCustomizationJob": lambda _: {},
        "CreateCustomModelDeployment": lambda _: {"customModelDeploymentArn": DEPLOYMENT},
        "GetCustomModelDeployment": lambda _: {
            "customModelDeploymentArn": DEPLOYMENT,
            "status": next_of(deployment_states),
        },
        "DeleteCustomModelDeployment": lambda _: {},
        "PutParameter": lambda _: {"Version": 1},
    }


def tuned(template: Template, answers: dict[str, Answer]) -> Outcome:
    return run(definition(template, "bedrock"), dict(GIVEN), answers)


def test_a_model_that_is_better_is_published(unattended: Template) -> None:
    outcome = tuned(unattended, bedrock())
    assert outcome.status == "SUCCEEDED", outcome
    assert outcome.operations == [
        "Invoke",
        "CreateModelCustomizationJob",
        "GetModelCustomizationJob",
        "CreateCustomModelDeployment",
        "GetCustomModelDeployment",
        "Invoke",
        "PutParameter",
    ]
    published = outcome.only("PutParameter")
    assert published["Name"] == "/llm-platform/test/fine-tuning/bedrock-deployment"
    assert published["Value"] == DEPLOYMENT


def test_one_execution_is_one_job_however_often_it_is_tried(unattended: Template) -> None:
    answers = bedrock()
    failures = deque([refused("ThrottlingException"), refused("InternalServerException")])

    def sometimes(_: Any) -> dict[str, Any]:
        if failures:
            raise failures.popleft()
        return {"jobArn": JOB}

    outcome = tuned(unattended, {**answers, "CreateModelCustomizationJob": sometimes})
    assert outcome.status == "SUCCEEDED"
    created = [it for it in outcome.calls if it.operation == "CreateModelCustomizationJob"]
    assert len(created) == 3
    assert {it.parameters["clientRequestToken"] for it in created} == {"run-1"}
    assert outcome.only("CreateCustomModelDeployment")["clientRequestToken"] == "run-1"


def test_the_job_is_confined_and_encrypted(unattended: Template) -> None:
    job = tuned(unattended, bedrock()).only("CreateModelCustomizationJob")
    assert job["trainingDataConfig"]["s3Uri"].endswith("/datasets/team/training.jsonl")
    assert job["validationDataConfig"]["validators"][0]["s3Uri"].endswith("validation.jsonl")
    assert job["customModelKmsKeyId"].startswith("arn:aws:kms:")
    assert job["vpcConfig"]["subnetIds"] == ["subnet-0000000a", "subnet-0000000b"]
    assert job["hyperParameters"] == {"epochCount": "2", "learningRate": "0.00001"}


def test_bad_data_costs_nothing(unattended: Template) -> None:
    outcome = tuned(unattended, bedrock(data=BAD))
    assert (outcome.status, outcome.error) == ("FAILED", "DataRefused")
    assert "line 3" in str(outcome.cause)
    assert outcome.operations == ["Invoke"]


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_an_execution_without_its_input_calls_nothing(missing: str, unattended: Template) -> None:
    given = {key: value for key, value in GIVEN.items() if key != missing}
    outcome = run(definition(unattended, "bedrock"), given, {})
    assert (outcome.status, outcome.error, outcome.calls) == ("FAILED", "NoInput", ())


@pytest.mark.parametrize("state", ["Failed", "Stopped"])
def test_a_job_that_fails_deploys_nothing(state: str, unattended: Template) -> None:
    outcome = tuned(unattended, bedrock(jobs=("InProgress", state)))
    assert (outcome.status, outcome.error) == ("FAILED", "CustomisationFailed")
    assert JOB in str(outcome.cause)
    assert "CreateCustomModelDeployment" not in outcome.operations


def test_a_job_that_never_ends_is_stopped(unattended: Template) -> None:
    outcome = tuned(unattended, bedrock(jobs=("InProgress",)))
    assert (outcome.status, outcome.error) == ("FAILED", "CustomisationTimedOut")
    assert outcome.only("StopModelCustomizationJob") == {"jobIdentifier": JOB}
    # An hour at five minutes each.
    polls = [it for it in outcome.calls if it.operation == "GetModelCustomizationJob"]
    assert len(polls) == 12


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (bedrock(verdict=WORSE), "QualityGate"),
        (bedrock(deployments=("Creating", "Failed")), "DeploymentFailed"),
        (bedrock(deployments=("Creating",)), "DeploymentFailed"),
    ],
    ids=["worse", "failed deployment", "deployment that never ends"],
)
def test_what_is_not_published_is_removed(
    answers: dict[str, Answer], error: str, unattended: Template
) -> None:
    outcome = tuned(unattended, answers)
    assert (outcome.status, outcome.error) == ("FAILED", error)
    assert outcome.only("DeleteCustomModelDeployment") == {
        "customModelDeploymentIdentifier": DEPLOYMENT
    }
    assert "PutParameter" not in outcome.operations


def test_an_evaluation_that_breaks_removes_the_deployment(unattended: Template) -> None:
    def broken(payload: dict[str, Any]) -> dict[str, Any]:
        if "deployment" in payload:
            raise refused("ServiceException")
        return IN_ORDER

    outcome = tuned(unattended, {**bedrock(), "Invoke": function(broken)})
    assert outcome.status == "FAILED"
    assert "DeleteCustomModelDeployment" in outcome.operations
    assert "PutParameter" not in outcome.operations


def approver(*, approves: bool) -> Answer:
    """Return a topic that somebody reads, who answers with the token of the question."""

    def publish(parameters: dict[str, Any]) -> dict[str, Any]:
        question = json.loads(parameters["Message"])
        assert question["verdict"] == BETTER["summary"]
        client = boto3.client("stepfunctions", region_name="us-east-1")
        if approves:
            client.send_task_success(taskToken=question["taskToken"], output="{}")
        else:
            client.send_task_failure(
                taskToken=question["taskToken"], error="Refused", cause="too terse"
            )
        return {"MessageId": "1"}

    return publish


def test_a_person_has_the_last_word(attended: Template) -> None:
    outcome = tuned(attended, {**bedrock(), "Publish": approver(approves=True)})
    assert outcome.status == "SUCCEEDED", outcome
    assert outcome.operations[-2:] == ["Publish", "PutParameter"]


def test_what_a_person_refuses_is_removed(attended: Template) -> None:
    outcome = tuned(attended, {**bedrock(), "Publish": approver(approves=False)})
    assert (outcome.status, outcome.error) == ("FAILED", "Refused")
    assert outcome.operations[-1] == "DeleteCustomModelDeployment"
    assert "PutParameter" not in outcome.operations


WEIGHTS = "s3://bucket/models/fine-tuning/test-run-1/output/model.tar.gz"


def trained(template: Template, *losses: float, asked: Answer | None = None) -> Outcome:
    """Run the branch of SageMaker, whose job measured ``losses`` last."""
    body = definition(template, "sagemaker")
    train = body["States"]["TrainModel"]
    # moto runs no job and waits for none: the call is made, and answered with what `.sync` gives.
    train["Resource"] = train["Resource"].removesuffix(".sync")
    described = {
        "ModelArtifacts": {"S3ModelArtifacts": WEIGHTS},
        "FinalMetricDataList": [{"MetricName": "loss", "Value": loss} for loss in losses],
    }
    answers: dict[str, Answer] = {
        "Invoke": function(lambda _: IN_ORDER),
        "CreateTrainingJob": lambda _: described,
        "PutParameter": lambda _: {"Version": 1},
    }
    return run(body, dict(GIVEN), {**answers, **({"Publish": asked} if asked else {})})


@pytest.mark.parametrize(
    ("losses", "told"),
    [((1.3,), "loss is 1.3, and must be at most 1.2."), ((), "The job's log has no loss")],
    ids=["worse", "not measured"],
)
def test_weights_that_are_not_good_enough_are_not_published(
    losses: tuple[float, ...], told: str, unattended: Template
) -> None:
    outcome = trained(unattended, *losses)
    assert (outcome.status, outcome.error) == ("FAILED", "QualityGate")
    assert told in str(outcome.cause)
    assert "PutParameter" not in outcome.operations


def test_who_approves_weights_sees_what_the_job_measured(attended: Template) -> None:
    def approve(parameters: dict[str, Any]) -> dict[str, Any]:
        question = json.loads(parameters["Message"])
        assert (question["weights"], question["loss"]) == (WEIGHTS, 0.9)
        client = boto3.client("stepfunctions", region_name="us-east-1")
        client.send_task_success(taskToken=question["taskToken"], output="{}")
        return {"MessageId": "1"}

    outcome = trained(attended, 0.9, asked=approve)
    assert outcome.status == "SUCCEEDED", outcome
    assert outcome.operations[-2:] == ["Publish", "PutParameter"]


def test_a_training_job_publishes_its_weights(unattended: Template) -> None:
    outcome = trained(unattended, 1.2)
    assert outcome.status == "SUCCEEDED", outcome
    assert outcome.only("PutParameter")["Value"] == WEIGHTS
    job = outcome.only("CreateTrainingJob")
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == [
        {"Name": "loss", "Regex": "eval_loss=([0-9.]+)"}
    ]
    assert job["EnableNetworkIsolation"] is True
    assert job["EnableManagedSpotTraining"] is True
    assert job["TrainingJobName"] == "test-run-1"
    assert job["CheckpointConfig"]["S3Uri"].endswith("/checkpoints/fine-tuning/run-1/")
    waiting = job["StoppingCondition"]["MaxWaitTimeInSeconds"]
    assert waiting > job["StoppingCondition"]["MaxRuntimeInSeconds"]
    channels = {it["ChannelName"] for it in job["InputDataConfig"]}
    assert channels == {*GIVEN, "model"}
    # Disks of Trainium instances are their own, for which SageMaker takes no key.
    assert "VolumeKmsKeyId" not in job["ResourceConfig"]


def calls_of(body: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield service, operation and parameters of each call of an SDK in a definition."""
    for state in body["States"].values():
        resource = state.get("Resource", "")
        if ":aws-sdk:" in resource:
            service, action = resource.split(":")[-2:]
            yield service, f"{action[0].upper()}{action[1:]}", state["Parameters"]
        elif resource.endswith(":createTrainingJob.sync"):
            yield "sagemaker", "CreateTrainingJob", state["Parameters"]


def plausible(value: Any) -> Any:
    """Return parameters with a text in place of each path."""
    if isinstance(value, dict):
        return {
            key.removesuffix(".$"): "text-of-twenty-letters"
            if key.endswith(".$")
            else plausible(it)
            for key, it in value.items()
        }
    return [plausible(it) for it in value] if isinstance(value, list) else value


@pytest.mark.parametrize("branch", ["bedrock", "sagemaker"])
def test_every_call_is_one_that_the_service_takes(branch: str, attended: Template) -> None:
    seen = set()
    for service, operation, parameters in calls_of(definition(attended, branch)):
        shape = service_model(service).operation_model(operation).input_shape
        assert problems_of(service, operation, as_service(plausible(parameters), shape)) == ""
        seen.add(operation)
    assert seen >= {"PutParameter"}
    assert len(seen) == {"bedrock": 7, "sagemaker": 2}[branch]


def test_a_wrong_parameter_would_be_found() -> None:
    shape = service_model("bedrock").operation_model("StopModelCustomizationJob").input_shape
    given = as_service(plausible({"JobIdentifer.$": "$.job"}), shape)
    told = problems_of("bedrock", "StopModelCustomizationJob", given)
    assert "JobIdentifer" in told
    assert "Missing required parameter" in told


def statements(template: Template, role: str) -> list[dict[str, Any]]:
    """Return the statements of the policy of the role whose logical id begins so."""
    return [
        statement
        for policy in template.properties("AWS::IAM::Policy")
        if any(it["Ref"].startswith(role) for it in policy["Roles"])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def actions(found: list[dict[str, Any]]) -> set[str]:
    return {
        action
        for statement in found
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }


def test_the_state_machine_passes_one_role_to_one_service(attended: Template) -> None:
    for branch, service in (("Bedrock", "bedrock"), ("SageMaker", "sagemaker")):
        found = statements(attended, f"FineTuning{branch}StateMachineRole")
        (passing,) = [it for it in found if it["Action"] == "iam:PassRole"]
        assert passing["Condition"] == {
            "StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}
        }
        assert str(passing["Resource"]).count("Arn") == 1


def test_only_bedrocks_jobs_of_this_account_assume_the_role(attended: Template) -> None:
    (role,) = [
        it["Properties"]
        for key, it in attended.of_type("AWS::IAM::Role").items()
        if key.startswith("FineTuningBedrockRole")
    ]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "111111111111"}
    assert "model-customization-job/*" in str(trust["Condition"]["ArnLike"])


def test_the_roles_that_learn_neither_delete_data_nor_read_other_models(
    attended: Template,
) -> None:
    for role in ("FineTuningBedrockRole", "FineTuningSageMakerRole"):
        found = statements(attended, role)
        for statement in found:
            if "s3:DeleteObject*" in statement["Action"]:
                assert "checkpoints/fine-tuning/*" in str(statement["Resource"])
            if "s3:GetObject*" in statement["Action"]:
                assert '"/*"' not in json.dumps(statement["Resource"])
        assert "s3:PutObject" in actions(found)


def test_the_evaluator_calls_models_and_changes_none(attended: Template) -> None:
    found = actions(statements(attended, "FineTuningFunctionsEvaluatorRole"))
    assert {it for it in found if it.startswith("bedrock:")} <= {
        "bedrock:InvokeModel",
        "bedrock:InvokeModelWithResponseStream",
    }


def test_tokens_of_approvers_reach_no_log(attended: Template, unattended: Template) -> None:
    for template, told in ((attended, False), (unattended, True)):
        for machine in template.properties("AWS::StepFunctions::StateMachine"):
            assert machine["LoggingConfiguration"]["IncludeExecutionData"] is told


def test_no_rule_pack_has_anything_against_it(tmp_path: Path) -> None:
    assert open_findings(lambda stack: pipelines(stack, APPROVED), tmp_path) == set()
    assert lint_findings(tmp_path) == ""
