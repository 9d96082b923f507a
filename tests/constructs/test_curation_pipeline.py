"""The pipeline from raw text to datasets on Step Functions and Batch."""

import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
import typer.main

from curation.cli import app
from curation.publication import MANIFEST
from llm_constructs.alarm import Severity
from llm_constructs.curation_jobs import Stage
from llm_constructs.curation_pipeline import CurationPipeline
from llm_constructs.data_lake import DataLake
from llm_constructs.specs.curation import Curation, CurationSchedule, GpuDeduplication
from tests.constructs.existing_vpc import existing_vpc
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import Template, synthesised
from tests.constructs.test_curation_spec import GPU, SMALLEST
from tests.jobs.curation.laptop import Laptop

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "jobs" / "curation" / "Dockerfile"

EVERYTHING = Curation(
    **SMALLEST,
    gpu_deduplication=GpuDeduplication(**GPU),
    schedule=CurationSchedule(expression="rate(1 day)", input="web/"),
)


def pipeline(stack: cdk.Stack, curation: Curation | None = None) -> CurationPipeline:
    return CurationPipeline(
        stack,
        "Curation",
        curation=curation or Curation(**SMALLEST),
        name="test",
        lake=DataLake(stack, "Lake"),
        vpc=existing_vpc(stack),
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(pipeline)


@pytest.fixture(scope="module")
def everything() -> Template:
    return synthesised(lambda stack: pipeline(stack, EVERYTHING))


@pytest.fixture(scope="module")
def on_demand() -> Template:
    return synthesised(lambda stack: pipeline(stack, Curation(**SMALLEST, spot=False)))


def text_of(value: Any) -> str:
    """Return a CloudFormation value as text, with the names of what it refers to."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            joined: str = separator.join(map(text_of, parts))
            return joined
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, _]}:
            return f"<{name}>"
        case _:
            return str(value)


def definition(template: Template) -> dict[str, Any]:
    machine = template.only("AWS::StepFunctions::StateMachine")
    loaded: dict[str, Any] = json.loads(text_of(machine["DefinitionString"]))
    return loaded


def job_of(template: Template, state: dict[str, Any]) -> dict[str, Any]:
    """Return the container that a state's job runs."""
    (name,) = re.findall(r"<(\w+)>", state["Parameters"]["JobDefinition"])
    properties: dict[str, Any] = template.resources[name]["Properties"]
    return properties


def variables(template: Template, state: dict[str, Any]) -> dict[str, str]:
    """Return what a state's job finds in its environment: its own, and the execution's."""
    own = job_of(template, state)["ContainerProperties"]["Environment"]
    given = state["Parameters"]["ContainerOverrides"]["Environment"]
    return {
        **{it["Name"]: text_of(it["Value"]) for it in own},
        **{it["Name"]: it["Value.$"] for it in given},
    }


def stage_states(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in definition(template)["States"].items():
        if state["Type"] == "Task" and name != "FindSimilarOnGpus":
            yield name, state


@pytest.mark.parametrize("which", ["template", "everything", "on_demand"])
def test_each_step_calls_a_command_of_the_job_with_everything_that_it_needs(
    which: str, request: pytest.FixtureRequest
) -> None:
    template: Template = request.getfixturevalue(which)
    commands = typer.main.get_group(app).commands
    seen = set()
    for name, state in stage_states(template):
        stage, *options = job_of(template, state)["ContainerProperties"]["Command"]
        environment = variables(template, state)
        read = {str(it.envvar): it for it in commands[stage].params}
        assert environment.keys() <= read.keys(), f"{name} sets what the command does not read"
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            # The parser of the command line itself, which refuses what it does not know or lacks.
            given = commands[stage].make_context(stage, options).params
        assert {given[str(read[it].name)] for it in environment} == set(environment.values())
        assert ("AWS_BATCH_JOB_ARRAY_INDEX" in read) == ("ArrayProperties" in state["Parameters"])
        seen.add(stage)
    assert seen == set(Stage)


def test_the_stages_follow_one_another(template: Template) -> None:
    states = definition(template)["States"]
    order, name = [], "Plan"
    while name != "Published":
        order.append(name)
        name = states[name]["Next"]
    assert order == [stage.value.capitalize() for stage in Stage]
    assert states["Published"]["Type"] == "Succeed"


def test_what_spot_leaves_undone_is_done_on_demand(template: Template) -> None:
    states = definition(template)["States"]
    for stage in Stage:
        name = stage.value.capitalize()
        (catch,) = states[name]["Catch"]
        assert (catch["ErrorEquals"], catch["Next"]) == (["States.TaskFailed"], f"{name}OnDemand")
        assert states[f"{name}OnDemand"]["Next"] == states[name]["Next"]
        queues = {states[it]["Parameters"]["JobQueue"] for it in (name, f"{name}OnDemand")}
        assert len(queues) == 2
        assert states[f"{name}OnDemand"]["Retry"][0]["MaxAttempts"] == 1
        assert all(states[it]["ResultPath"] is None for it in (name, f"{name}OnDemand"))


def test_without_spot_there_is_one_queue(on_demand: Template) -> None:
    assert [
        it["ComputeResources"]["Type"]
        for it in on_demand.properties("AWS::Batch::ComputeEnvironment")
    ] == ["EC2"]
    assert len(on_demand.of_type("AWS::Batch::JobQueue")) == 1
    assert not any("Catch" in state for _, state in stage_states(on_demand))


def test_an_execution_without_an_input_ends_with_a_sentence(template: Template) -> None:
    machine = definition(template)
    first = machine["States"][machine["StartAt"]]
    tests = [{**it} for it in first["Choices"][0]["And"]]
    assert tests[0] == {"Variable": "$.input", "IsPresent": True}
    assert "Start the execution with" in machine["States"][first["Default"]]["Cause"]


def test_the_plan_is_named_by_the_execution_and_reads_its_input(template: Template) -> None:
    states = dict(stage_states(template))
    plan = variables(template, states["Plan"])
    assert plan["CURATION_NAME"] == "$$.Execution.Name"
    assert re.fullmatch(
        r"States\.Format\('s3://<\w+>/raw/\{\}', \$\.input\)", plan["CURATION_INPUT"]
    )
    assert plan["CURATION_TOKENIZER"].endswith("/models/base/tokenizer.json")
    assert variables(template, states["Publish"])["CURATION_OUTPUT"].endswith(
        "/datasets/pretraining/"
    )


def test_arrays_have_as_many_jobs_as_their_command_says(template: Template) -> None:
    for name, state in stage_states(template):
        command = job_of(template, state)["ContainerProperties"]["Command"]
        size = state["Parameters"].get("ArrayProperties", {}).get("Size")
        assert command[1:] == (["--workers", str(size)] if size else []), name


def test_jobs_start_again_only_when_spot_takes_the_instance(template: Template) -> None:
    for job in template.properties("AWS::Batch::JobDefinition"):
        assert job["RetryStrategy"] == {
            "Attempts": 5,
            "EvaluateOnExit": [
                {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
                {"Action": "EXIT", "OnReason": "*"},
            ],
        }
        assert job["Timeout"] == {"AttemptDurationSeconds": 24 * 3600}


def test_containers_write_to_nothing_but_a_volume_of_their_own(template: Template) -> None:
    for job in template.properties("AWS::Batch::JobDefinition"):
        container = job["ContainerProperties"]
        assert container["ReadonlyRootFilesystem"] is True
        assert container["User"] == "65532:65532"
        assert container["MountPoints"] == [{"ContainerPath": "/tmp", "SourceVolume": "tmp"}]
        assert container["LogConfiguration"]["LogDriver"] == "awslogs"
        assert "Privileged" not in container


def test_processes_that_are_not_roots_cannot_reach_the_role_of_their_instance(
    template: Template, tmp_path: Path
) -> None:
    launch = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    parts = launch["UserData"]["Fn::Base64"]["Fn::Join"][1]
    data = message_from_string(
        "".join(
            b64encode(it["Fn::Base64"].encode()).decode() if isinstance(it, dict) else it
            for it in parts
        )
    )
    _, part = data.walk()
    assert (data.get_content_type(), part.get_content_type()) == (
        "multipart/mixed",
        "text/x-shellscript",
    )
    stub = tmp_path / "iptables"
    stub.write_text('#!/bin/sh\nprintf "%s " "$@"\n')
    stub.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash"],
        input=bytes(part.get_payload(decode=True)).decode(),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        *("--wait", "--insert", "OUTPUT", "--destination", "169.254.169.254"),
        *("--match", "owner", "!", "--uid-owner", "0", "--jump", "REJECT"),
    ]


def test_instances_are_private_encrypted_and_hide_their_credentials(template: Template) -> None:
    launch = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert launch["MetadataOptions"]["HttpTokens"] == "required"
    assert launch["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (volume,) = launch["BlockDeviceMappings"]
    assert volume["Ebs"]["Encrypted"] is True
    assert "KmsKeyId" in volume["Ebs"]
    environments = template.properties("AWS::Batch::ComputeEnvironment")
    assert sorted(it["ComputeResources"]["Type"] for it in environments) == ["EC2", "SPOT"]
    for environment in environments:
        resources = environment["ComputeResources"]
        assert resources["Subnets"] == ["subnet-0000000a", "subnet-0000000b"]
        assert resources["MinvCpus"] == 0
        (attribute,) = resources["LaunchTemplate"]["Version"].values()
        assert attribute[1] == "LatestVersionNumber"
        assert {it.partition(".")[0] for it in resources["InstanceTypes"]} == {"m7i"}
    group = template.only("AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert [rule["FromPort"] for rule in group["SecurityGroupEgress"]] == [443]


def statements(template: Template, role: str) -> list[dict[str, Any]]:
    return [
        statement
        for policy in template.properties("AWS::IAM::Policy")
        if any(re.search(rf"{role}[0-9A-F]{{8}}$", it["Ref"]) for it in policy["Roles"])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize(
    ("role", "reads", "adds"),
    [
        ("PlanRole", {"raw/*", "curated/*", "models/base/tokenizer.json"}, {"curated/*"}),
        ("FilterRole", {"raw/*", "curated/*"}, {"curated/*", "rejected/*"}),
        ("DeduplicateRole", {"curated/*"}, {"curated/*"}),
        ("TokeniseRole", {"curated/*"}, {"curated/*"}),
        ("PublishRole", {"curated/*", "datasets/*"}, {"datasets/*"}),
    ],
)
def test_a_stage_may_touch_its_areas_and_delete_nothing(
    template: Template, role: str, reads: set[str], adds: set[str]
) -> None:
    found: dict[str, set[str]] = {"s3:GetObject*": set(), "s3:PutObject": set()}
    for statement in statements(template, role):
        actions, resources = (
            [it] if isinstance(it, str | dict) else it
            for it in (statement["Action"], statement["Resource"])
        )
        assert not any("Delete" in action or action in {"s3:*", "*"} for action in actions)
        for action, places in found.items():
            if action in actions:
                places |= {text_of(it).partition("/")[2] for it in resources} - {""}
    assert (found["s3:GetObject*"], found["s3:PutObject"]) == (reads, adds)


def test_a_stopped_execution_may_stop_its_jobs(template: Template) -> None:
    actions = [
        it for statement in statements(template, "StateMachineRole") for it in statement["Action"]
    ]
    assert {"batch:TerminateJob", "batch:DescribeJobs"} <= set(actions)


def test_the_state_machine_may_use_its_key_for_its_own_name(template: Template) -> None:
    machine = template.only("AWS::StepFunctions::StateMachine")
    contexts = [
        context
        for statement in statements(template, "StateMachineRole")
        for key, context in statement.get("Condition", {}).get("StringEquals", {}).items()
        if key.endswith("stateMachineArn")
    ]
    assert machine["StateMachineName"] == "llm-test-curation"
    assert [it.rpartition(":")[2] for it in map(text_of, contexts)] == ["llm-test-curation"]
    assert machine["EncryptionConfiguration"]["Type"] == "CUSTOMER_MANAGED_KMS_KEY"
    assert machine["TracingConfiguration"] == {"Enabled": True}


def test_gpus_find_what_is_alike_before_deduplication(everything: Template) -> None:
    states = definition(everything)["States"]
    assert states["Filter"]["Next"] == "FindSimilarOnGpus"
    assert states["FindSimilarOnGpus"]["Next"] == "Deduplicate"
    job = job_of(everything, states["FindSimilarOnGpus"])["ContainerProperties"]
    assert {"Type": "GPU", "Value": "1"} in job["ResourceRequirements"]
    assert job["Command"] == ["run"]
    pairs = [
        variables(everything, states[it])["CURATION_PAIRS"]
        for it in ("FindSimilarOnGpus", "Deduplicate")
    ]
    assert pairs[0] == pairs[1]
    assert re.fullmatch(
        r"States\.Format\('s3://<\w+>/curated/pairs/\{\}/', .*Execution.Name\)", pairs[0]
    )
    images = {
        it["ComputeResources"]["Ec2Configuration"][0]["ImageType"]
        for it in everything.properties("AWS::Batch::ComputeEnvironment")
        if it["ComputeResources"]["InstanceTypes"] == ["g6e.2xlarge"]
    }
    assert images == {"ECS_AL2023_NVIDIA"}


def test_a_schedule_starts_it_with_its_input(everything: Template, template: Template) -> None:
    rule = everything.only("AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "rate(1 day)"
    assert rule["Targets"][0]["Input"] == '{"input":"web/"}'
    assert not template.of_type("AWS::Events::Rule")


def test_metrics_are_read_from_what_the_job_really_logs(
    template: Template, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Laptop.with_corpus(tmp_path).run()
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (published,) = [it for it in logged if it["event"] == "published"]
    filters = template.properties("AWS::Logs::MetricFilter")
    assert len(filters) == 3
    for it in filters:
        assert it["FilterPattern"] == '{ $.event = "published" }'
        (transformation,) = it["MetricTransformations"]
        assert transformation["MetricNamespace"] == "LLMPlatform/Curation/test"
        assert published[transformation["MetricValue"].removeprefix("$.")] > 0


def test_alarms_lead_to_runbooks() -> None:
    described: list[CurationPipeline] = []
    synthesised(lambda stack: described.append(pipeline(stack, EVERYTHING)))
    alarms = {alarm.name: alarm for alarm in described[0].alarms}
    assert set(alarms) == {
        "CurationFailed",
        "CurationNotStarted",
        "CurationQuarantineGrowth",
        "CurationUnreadableShards",
    }
    assert alarms["CurationQuarantineGrowth"].threshold == 60
    for alarm in alarms.values():
        assert alarm.severity is Severity.TICKET
        assert (ROOT / "docs" / "runbooks" / f"{alarm.runbook}.md").exists()


@pytest.mark.slow
def test_the_rule_packs_and_cfn_lint_find_nothing(tmp_path: Path) -> None:
    assert open_findings(lambda stack: pipeline(stack, EVERYTHING), tmp_path) == set()
    assert lint_findings(tmp_path) == ""


def test_the_image_runs_the_commands_as_nobody() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    (user,) = [line.split()[1] for line in lines if line.startswith("USER")]
    assert user == "65532:65532"
    assert 'VOLUME ["/tmp"]' in lines
    assert 'ENTRYPOINT ["python", "-m", "curation"]' in lines
    copies = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert all((DOCKERFILE.parents[1] / source).exists() for source in copies)
    assert any("--require-hashes" in line for line in lines)


@pytest.mark.slow
def test_what_the_image_holds_publishes_a_dataset(tmp_path: Path) -> None:
    laptop = Laptop.with_corpus(tmp_path)
    work, name, source, tokenizer, rejected, output, rules = laptop.arguments()
    options = {
        "--work": work,
        "--name": name,
        "--input": source,
        "--tokenizer": tokenizer,
        "--rejected": rejected,
        "--output": output,
        "--rules": rules,
    }
    entrypoint = re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    assert entrypoint is not None
    _, *arguments = json.loads(entrypoint[1])
    subprocess.run(
        [sys.executable, "-B", *arguments, "run", *(it for pair in options.items() for it in pair)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(DOCKERFILE.parents[1])},
        check=True,
        capture_output=True,
    )
    assert len(list(Path(output).glob(f"*/{MANIFEST}"))) == 1
