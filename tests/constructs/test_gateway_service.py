"""The gateway on Fargate behind a load balancer."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk.aws_cloudwatch import TreatMissingData
from hypothesis import given
from hypothesis import strategies as st

from gateway.server import IDLE_CONNECTION
from gateway.settings import BY_ITSELF, Settings
from llm_constructs.gateway_service import LONGEST_CALL, PORT, GatewayService
from llm_constructs.specs.gateway_service import FARGATE_MEMORY_MIB, ServiceCapacity
from llm_constructs.specs.observability import Audience
from llm_constructs.specs.problem import SpecificationError
from ops.local.access import free_ports
from tests.constructs.existing_vpc import existing_vpc
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import ENVIRONMENT as STACK_ENVIRONMENT
from tests.constructs.synthesis import Template, app, synthesised
from tests.lambdas.gateway.stack import MODELS

DOCKERFILE = Path(__file__).parents[2] / "lambdas" / "gateway" / "Dockerfile"
STARTED_WITHIN_SECONDS = 120
WEB_ACL = "arn:aws:wafv2:us-east-2:111111111111:regional/webacl/gateway/1"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - of a task's own network interface
ENVIRONMENT = {
    "GATEWAY_ENVIRONMENT": "dev",
    "GATEWAY_MODELS": json.dumps(MODELS),
    "GATEWAY_DIRECTORY_TABLE": "directory",
    "GATEWAY_LEDGER_TABLE": "ledger",
    "GATEWAY_PEPPER_SECRET": "pepper",
    "GATEWAY_PSEUDONYM_SECRET": "pseudonyms",
}


def gateway(stack: cdk.Stack, **options: Any) -> GatewayService:
    vpc = existing_vpc(
        stack,
        public_subnet_ids=["subnet-0000000c", "subnet-0000000d"],
        public_subnet_route_table_ids=["rtb-public", "rtb-public"],
    )
    repository = ecr.Repository.from_repository_name(stack, "Repository", "gateway")
    service = GatewayService(
        stack,
        "Gateway",
        vpc=vpc,
        image=ecs.ContainerImage.from_ecr_repository(repository, "1.0.0"),
        environment=options.pop("environment", ENVIRONMENT),
        certificate=acm.Certificate.from_certificate_arn(
            stack, "Certificate", "arn:aws:acm:us-east-2:111111111111:certificate/1"
        ),
        web_acl_arn=WEB_ACL,
        clients=options.pop("clients", [ec2.Peer.ipv4("10.0.0.0/16")]),
        **options,
    )
    table = dynamodb.Table.from_table_name(stack, "Ledger", "ledger")
    table.grant(service.task_role, "dynamodb:GetItem")
    return service


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(gateway)


def attributes(properties: dict[str, Any], member: str) -> dict[str, Any]:
    return {item["Key"]: item["Value"] for item in properties[member]}


def test_the_load_balancer_is_private_and_protected(template: Template) -> None:
    balancer = template.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert balancer["Scheme"] == "internal"
    assert balancer["Subnets"] == ["subnet-0000000a", "subnet-0000000b"]
    told = attributes(balancer, "LoadBalancerAttributes")
    assert told["deletion_protection.enabled"] == "true"
    assert told["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert told["access_logs.s3.enabled"] == "true"


def test_an_internet_facing_load_balancer_stands_in_the_public_subnets() -> None:
    facing = synthesised(lambda stack: gateway(stack, internet_facing=True))
    balancer = facing.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert balancer["Scheme"] == "internet-facing"
    assert balancer["Subnets"] == ["subnet-0000000c", "subnet-0000000d"]
    service = facing.only("AWS::ECS::Service")
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["Subnets"] == ["subnet-0000000a", "subnet-0000000b"]


def test_a_silent_call_outlives_the_gateways_own_deadline(template: Template) -> None:
    deadline = Settings.read({**ENVIRONMENT, "GATEWAY_IDENTITY": BY_ITSELF}).timeouts
    balancer = template.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    idle = int(attributes(balancer, "LoadBalancerAttributes")["idle_timeout.timeout_seconds"])
    target = template.only("AWS::ElasticLoadBalancingV2::TargetGroup")
    drain = attributes(target, "TargetGroupAttributes")["deregistration_delay.timeout_seconds"]
    assert idle == int(drain) == LONGEST_CALL.to_seconds()
    assert idle > deadline.deadline_seconds


def test_only_tls_of_today_is_spoken_with_the_given_certificate(template: Template) -> None:
    listener = template.only("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert listener["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert listener["Certificates"][0]["CertificateArn"].endswith("certificate/1")


def test_the_web_acl_stands_before_the_load_balancer(template: Template) -> None:
    association = template.only("AWS::WAFv2::WebACLAssociation")
    assert association["WebACLArn"] == WEB_ACL
    (name,) = template.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert association["ResourceArn"] == {"Ref": name}


def test_tasks_are_asked_for_their_health(template: Template) -> None:
    target = template.only("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert target["HealthCheckPath"] == "/health"
    assert target["Matcher"] == {"HttpCode": "200"}
    assert (target["Port"], target["TargetType"]) == (PORT, "ip")


def test_only_clients_reach_the_load_balancer_and_only_it_reaches_the_tasks(
    template: Template,
) -> None:
    groups = template.properties("AWS::EC2::SecurityGroup")
    open_to = [rule for group in groups for rule in group.get("SecurityGroupIngress", [])]
    assert [(r["CidrIp"], r["FromPort"], r["ToPort"]) for r in open_to] == [
        ("10.0.0.0/16", 443, 443)
    ]
    within = template.only("AWS::EC2::SecurityGroupIngress")
    assert (within["FromPort"], within["ToPort"]) == (PORT, PORT)
    assert "LoadBalancerSecurityGroup" in str(within["SourceSecurityGroupId"])
    out = [
        (rule["CidrIp"], rule["FromPort"])
        for group in groups
        for rule in group.get("SecurityGroupEgress", [])
        if rule["IpProtocol"] == "tcp"
    ]
    assert out == [("0.0.0.0/0", 443)]


def test_the_container_cannot_change_its_files_but_for_tmp(template: Template) -> None:
    task = template.only("AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True
    assert container["MountPoints"] == [
        {"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "tmp"}
    ]
    assert "Privileged" not in container
    assert task["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    assert task["NetworkMode"] == "awsvpc"


def test_tasks_have_no_public_address_and_no_shell(template: Template) -> None:
    service = template.only("AWS::ECS::Service")
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert service["EnableExecuteCommand"] is False


def test_a_deployment_that_fails_goes_back(template: Template) -> None:
    deployment = template.only("AWS::ECS::Service")["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert deployment["MinimumHealthyPercent"] == 100


def test_a_deployment_does_not_reset_the_number_of_tasks(template: Template) -> None:
    assert "DesiredCount" not in template.only("AWS::ECS::Service")


def test_the_number_of_tasks_follows_cpu_and_requests(template: Template) -> None:
    target = template.only("AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 20)
    policies = template.properties("AWS::ApplicationAutoScaling::ScalingPolicy")
    followed = {
        told["PredefinedMetricSpecification"]["PredefinedMetricType"]: told["TargetValue"]
        for told in (p["TargetTrackingScalingPolicyConfiguration"] for p in policies)
    }
    assert followed == {"ECSServiceAverageCPUUtilization": 60, "ALBRequestCountPerTarget": 400}


def test_the_application_accepts_its_variables(template: Template) -> None:
    (container,) = template.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    settings = Settings.read({v["Name"]: v["Value"] for v in container["Environment"]})
    assert settings.identity == BY_ITSELF
    assert (settings.host, settings.port, settings.threads) == (EVERY_ADDRESS, PORT, 200)


def test_the_task_may_do_what_was_granted_and_nothing_else(template: Template) -> None:
    policies = template.of_type("AWS::IAM::Policy")
    (policy,) = [p["Properties"] for n, p in policies.items() if n.startswith("GatewayTaskRole")]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "dynamodb:GetItem"


def test_only_tasks_of_this_account_take_the_roles(template: Template) -> None:
    roles = template.properties("AWS::IAM::Role")
    trusts = [
        statement
        for role in roles
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    ]
    assert len(trusts) == 2
    for trust in trusts:
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "111111111111"}
        assert trust["Condition"]["ArnLike"]["aws:SourceArn"].endswith(":us-east-2:111111111111:*")


def test_logs_are_encrypted_and_never_hold_up_answers(template: Template) -> None:
    group = template.only("AWS::Logs::LogGroup")
    assert group["KmsKeyId"]
    assert group["RetentionInDays"] == 365
    (container,) = template.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"


def test_logs_mask_what_looks_like_a_secret_and_go_when_they_should() -> None:
    group = synthesised(lambda stack: gateway(stack, log_retention_days=30)).only(
        "AWS::Logs::LogGroup"
    )
    assert "AwsSecretKey" in json.dumps(group["DataProtectionPolicy"])
    assert group["RetentionInDays"] == 30


def test_closed_paths_never_reach_the_tasks(template: Template) -> None:
    assert template.of_type("AWS::ElasticLoadBalancingV2::ListenerRule") == {}
    closed = synthesised(lambda stack: gateway(stack, closed_paths=["/", "/playground/*"]))
    rule = closed.only("AWS::ElasticLoadBalancingV2::ListenerRule")
    (condition,) = rule["Conditions"]
    assert condition["PathPatternConfig"]["Values"] == ["/", "/playground/*"]
    (action,) = rule["Actions"]
    assert action["FixedResponseConfig"]["StatusCode"] == "404"
    error = json.loads(action["FixedResponseConfig"]["MessageBody"])["error"]
    assert set(error) == {"message", "type", "code"}


def test_variables_of_the_services_own_and_missing_clients_are_refused_together() -> None:
    environment = {**ENVIRONMENT, "GATEWAY_PORT": "80", "GATEWAY_IDENTITY": "request-context"}
    with pytest.raises(SpecificationError) as refusal:
        synthesised(lambda stack: gateway(stack, environment=environment, clients=[]))
    assert {problem.field for problem in refusal.value.problems} == {"environment", "clients"}
    assert "GATEWAY_IDENTITY" in str(refusal.value)


@given(cpu=st.sampled_from(sorted(FARGATE_MEMORY_MIB)), memory_mib=st.integers(0, 130_000 // 512))
def test_a_capacity_is_accepted_when_fargate_has_it(cpu: int, memory_mib: int) -> None:
    memory = memory_mib * 512
    if memory in FARGATE_MEMORY_MIB[cpu]:
        assert ServiceCapacity(cpu=cpu, memory_mib=memory).memory_mib == memory
    else:
        with pytest.raises(SpecificationError, match="memory_mib"):
            ServiceCapacity(cpu=cpu, memory_mib=memory)


def test_every_problem_of_a_capacity_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as refusal:
        ServiceCapacity(
            cpu=1000,
            minimum_tasks=0,
            maximum_tasks=-1,
            concurrent_requests=0,
            requests_per_minute=0,
            cpu_percent=101,
        )
    assert {problem.field for problem in refusal.value.problems} == {
        "cpu",
        "minimum_tasks",
        "maximum_tasks",
        "concurrent_requests",
        "requests_per_minute",
        "cpu_percent",
    }


@pytest.mark.slow
def test_no_rule_pack_and_no_linter_finds_anything(tmp_path: Path) -> None:
    assert open_findings(gateway, tmp_path) == set()
    assert lint_findings(tmp_path) == ""


def test_the_image_runs_as_nobody_on_the_port_that_the_service_asks() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    (user,) = [line.split()[1] for line in lines if line.startswith("USER")]
    assert user.split(":")[0].isdecimal()
    assert int(user.split(":")[0]) >= 1000
    (exposed,) = [line.split()[1] for line in lines if line.startswith("EXPOSE")]
    assert exposed == str(PORT)
    assert f"GATEWAY_PORT={PORT}" in DOCKERFILE.read_text()
    assert 'VOLUME ["/tmp"]' in lines


def test_the_image_copies_what_is_there() -> None:
    copies = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert copies
    assert all((DOCKERFILE.parents[1] / source).exists() for source in copies)


def test_the_server_keeps_connections_longer_than_the_load_balancer() -> None:
    assert LONGEST_CALL.to_seconds() < IDLE_CONNECTION


@pytest.mark.slow
def test_what_the_image_holds_starts_answers_and_stops(tmp_path: Path) -> None:
    shutil.copytree(
        DOCKERFILE.parent,
        tmp_path / "gateway",
        ignore=shutil.ignore_patterns("__pycache__", "Dockerfile*", "run.sh"),
    )
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [sys.executable, "-B", "-m", "gateway.server"],
        cwd=tmp_path,
        env={
            **ENVIRONMENT,
            "PYTHONPATH": str(tmp_path),
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "GATEWAY_IDENTITY": BY_ITSELF,
            "AWS_REGION": "us-east-2",
            "AWS_DEFAULT_REGION": "us-east-2",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        },
    )
    try:
        assert status_of(f"http://127.0.0.1:{port}/health", server) == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(STARTED_WITHIN_SECONDS) == 0
    finally:
        server.kill()
        server.wait()


def status_of(url: str, server: subprocess.Popen[bytes]) -> int:
    """Ask until the server answers, for as long as it runs and has time to start."""
    deadline = time.monotonic() + STARTED_WITHIN_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=STARTED_WITHIN_SECONDS) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except urllib.error.URLError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.1)
    pytest.fail(f"No answer from {url}; the server's exit code is {server.poll()}.")


def test_containers_are_watched_from_the_load_balancer_to_the_processor() -> None:
    stack = cdk.Stack(app(), "Test", env=STACK_ENVIRONMENT)
    made = gateway(stack, capacity=ServiceCapacity(maximum_tasks=7))

    alarms = {it.name: it for it in made.alarms}
    assert set(alarms) == {
        *("GatewayServiceServerErrors", "GatewayServiceDown"),
        *("GatewayServiceUnhealthy", "GatewayServiceBusy"),
    }
    assert alarms["GatewayServiceDown"].treat_missing_data == TreatMissingData.BREACHING
    assert {it.audience for it in made.signals} == {Audience.SERVICE}
    (containers,) = [it for it in made.signals if it.title == "Containers"]
    assert containers.threshold == 7
    named = {it.alarm for it in made.signals if it.alarm}
    assert named <= set(alarms)
