"""A model server as AWS sees it, and what is deleted before what."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import RemovalPolicy
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_route53 as route53

from llm_constructs.data_lake import DataLake
from llm_constructs.encryption import CustomerKey
from llm_constructs.private_bucket import AccessLogsBucket
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.replica_scaling import ReplicaScaling
from llm_constructs.vllm_server import ServingSite, VllmServer
from tests.constructs.eks import cluster_in
from tests.constructs.model_servers import TOKEN, hub, server_of
from tests.constructs.references import predecessors
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised

OBJECTS = "Custom::AWSCDK-EKS-KubernetesResource"
SLEEPING = server_of(
    name="sleeping", scaling=ReplicaScaling(minimum=0, maximum=2), idle_timeout_seconds=1200
)
ROUTED = server_of(
    name="routed",
    source=hub(token_secret_arn=TOKEN, token_key_arn="arn:aws:kms:us-east-2:111111111111:key/1"),
    scaling=ReplicaScaling(minimum=2, maximum=4),
    prefix_routing=True,
)
KEY_OF_TOKEN = "arn:aws:kms:us-east-2:111111111111:key/1"


RANGES = ["10.0.0.0/16", "100.64.0.0/16"]


def site_in(stack: cdk.Stack, **settings: Any) -> ServingSite:
    hosted_zone = route53.HostedZone.from_hosted_zone_attributes(
        stack, "Zone", hosted_zone_id="Z1", zone_name="llm.example.com"
    )
    defaults: dict[str, Any] = {
        "cluster": cluster_in(stack),
        "namespace": "serving",
        "vpc_cidrs": RANGES,
        "domain": "llm.example.com",
        "certificate": acm.Certificate.from_certificate_arn(
            stack, "Certificate", "arn:aws:acm:us-east-2:111111111111:certificate/1"
        ),
        "hosted_zone": hosted_zone,
        "access_logs": AccessLogsBucket(stack, "AccessLogs", retention_days=30),
        "encryption_key": CustomerKey(stack, "Key", description="Encrypts API keys"),
        "models": DataLake(stack, "Lake").location(LakeArea.MODELS),
        "query_endpoint": "https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1",
    }
    return ServingSite(**{**defaults, **settings})


def build(stack: cdk.Stack) -> dict[str, VllmServer]:
    site = site_in(stack)
    return {
        server.name: VllmServer(
            stack,
            server.name.capitalize(),
            server=server,
            site=site,
            node_labels={"karpenter.sh/nodepool": "gpus"},
        )
        for server in (SLEEPING, ROUTED)
    }


@pytest.fixture(scope="module")
def built() -> tuple[Template, dict[str, VllmServer]]:
    made: dict[str, VllmServer] = {}
    return synthesised(lambda stack: made.update(build(stack))), made


@pytest.fixture(scope="module")
def template(built: tuple[Template, dict[str, VllmServer]]) -> Template:
    return built[0]


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "".join(part if isinstance(part, str) else "x" for part in value["Fn::Join"][1])


def objects(template: Template, prefix: str) -> dict[str, Any]:
    """Return a server's objects by logical id."""
    return {
        key: json.loads(text(body["Properties"]["Manifest"]))[0]
        for key, body in template.of_type(OBJECTS).items()
        if key.startswith(prefix)
    }


def id_of(template: Template, prefix: str, kind: str) -> str:
    (found,) = [key for key, made in objects(template, prefix).items() if made["kind"] == kind]
    return found


def policy_of(template: Template, prefix: str) -> dict[str, list[Any]]:
    """Return the resources that a server's role has each action on."""
    (policy,) = [
        body["Properties"]["PolicyDocument"]["Statement"]
        for key, body in template.of_type("AWS::IAM::Policy").items()
        if key.startswith(f"{prefix}Role")
    ]
    allowed: dict[str, list[Any]] = {}
    for statement in policy:
        resources = statement["Resource"]
        for action in [statement["Action"]]:
            allowed.setdefault(action, []).extend(
                resources if isinstance(resources, list) else [resources]
            )
    return allowed


def attributes(properties: dict[str, Any], name: str) -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in properties[name]}


def test_a_stream_may_be_silent_for_as_long_as_the_file_says(template: Template) -> None:
    timeouts = {
        attributes(body, "LoadBalancerAttributes")["idle_timeout.timeout_seconds"]
        for body in template.properties("AWS::ElasticLoadBalancingV2::LoadBalancer")
    }
    assert timeouts == {"900", "1200"}


def test_load_balancers_are_private_speak_tls_and_pass_on_the_api_alone(
    template: Template,
) -> None:
    for body in template.properties("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        assert body["Scheme"] == "internal"
    for listener in template.properties("AWS::ElasticLoadBalancingV2::Listener"):
        assert listener["Protocol"] == "HTTPS"
        assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")
        (default,) = listener["DefaultActions"]
        assert default["FixedResponseConfig"]["StatusCode"] == "404"
    for rule in template.properties("AWS::ElasticLoadBalancingV2::ListenerRule"):
        (condition,) = rule["Conditions"]
        assert condition["PathPatternConfig"] == {"Values": ["/v1/*"]}


def test_targets_drain_for_as_long_as_their_pods(template: Template) -> None:
    for body in template.properties("AWS::ElasticLoadBalancingV2::TargetGroup"):
        given = attributes(body, "TargetGroupAttributes")
        assert given["deregistration_delay.timeout_seconds"] == "625"
        assert given["load_balancing.algorithm.type"] == "least_outstanding_requests"
        assert body["TargetType"] == "ip"
    paths = {
        body["HealthCheckPath"]
        for body in template.properties("AWS::ElasticLoadBalancingV2::TargetGroup")
    }
    assert paths == {"/health", "/liveness"}


def test_only_the_vpc_connects_and_only_the_load_balancer_reaches_the_pods_port(
    template: Template,
) -> None:
    groups = [
        body
        for body in template.properties("AWS::EC2::SecurityGroup")
        if body["GroupDescription"].startswith("HTTPS to ")
    ]
    assert len(groups) == 2
    for group in groups:
        for rule in group["SecurityGroupIngress"]:
            assert (rule["FromPort"], rule["ToPort"]) == (443, 443)
    ports = {
        body["FromPort"]
        for key, body in (
            (key, resource["Properties"])
            for key, resource in template.of_type("AWS::EC2::SecurityGroupIngress").items()
        )
        if "EndpointAdmission" in key
    }
    assert ports == {8000, 8080}


def test_hosts_are_named_after_their_models(template: Template) -> None:
    names = {body["Name"] for body in template.properties("AWS::Route53::RecordSet")}
    assert names == {"sleeping.llm.example.com.", "routed.llm.example.com."}


def test_a_streamed_models_role_reads_one_folder_and_one_key(template: Template) -> None:
    allowed = policy_of(template, "Sleeping")
    assert set(allowed) == {
        *("s3:GetObject", "s3:ListBucket"),
        *("kms:Decrypt", "secretsmanager:GetSecretValue"),
    }
    (readable,) = allowed["s3:GetObject"]
    assert readable["Fn::Join"][1][-1] == "/models/model/1/*"
    assert len(allowed["secretsmanager:GetSecretValue"]) == 1


def test_a_downloaded_models_role_reads_its_token_and_nothing_of_the_lake(
    template: Template,
) -> None:
    allowed = policy_of(template, "Routed")
    assert not [action for action in allowed if action.startswith("s3:")]
    assert TOKEN in allowed["secretsmanager:GetSecretValue"]
    assert KEY_OF_TOKEN in allowed["kms:Decrypt"]


def test_keys_are_used_by_way_of_one_service_each(template: Template) -> None:
    for body in template.properties("AWS::IAM::Policy"):
        for statement in body["PolicyDocument"]["Statement"]:
            if statement["Action"] == "kms:Decrypt":
                assert "kms:ViaService" in statement["Condition"]["StringEquals"]


def test_api_keys_are_made_up_by_aws_and_encrypted_with_our_key(template: Template) -> None:
    for secret in template.properties("AWS::SecretsManager::Secret"):
        assert secret["GenerateSecretString"]["PasswordLength"] == 48
        assert "KmsKeyId" in secret
        assert "SecretString" not in secret


def test_pods_are_registered_by_the_binding_and_ready_when_they_get_requests(
    template: Template,
) -> None:
    made = objects(template, "Sleeping")
    deployment = made[id_of(template, "Sleeping", "Deployment")]
    binding = made[id_of(template, "Sleeping", "TargetGroupBinding")]
    (gate,) = deployment["spec"]["template"]["spec"]["readinessGates"]
    assert gate["conditionType"] == f"target-health.elbv2.k8s.aws/{binding['metadata']['name']}"
    assert binding["spec"]["serviceRef"] == {"name": "sleeping", "port": 8000}


def test_with_a_router_only_the_router_is_registered(template: Template) -> None:
    made = objects(template, "Routed")
    (binding,) = [each for each in made.values() if each["kind"] == "TargetGroupBinding"]
    assert binding["spec"]["serviceRef"] == {"name": "routed-router", "port": 8080}
    # A binding keeps its target group, and the router's has another port than the pods'.
    assert binding["metadata"]["name"] != ROUTED.name
    (router,) = [each for each in made.values() if "readinessGates" in json.dumps(each)]
    (gate,) = router["spec"]["template"]["spec"]["readinessGates"]
    assert gate["conditionType"].rpartition("/")[2] == binding["metadata"]["name"]
    gated = {
        each["metadata"]["name"]: "readinessGates" in each["spec"]["template"]["spec"]
        for each in made.values()
        if each["kind"] == "Deployment"
    }
    assert gated == {"routed": False, "routed-router": True}


@pytest.mark.parametrize("prefix", ["Sleeping", "Routed"])
def test_what_scales_and_what_binds_goes_before_the_pods_and_those_before_the_load_balancer(
    template: Template, prefix: str
) -> None:
    scaling = id_of(template, prefix, "ScaledObject")
    binding = id_of(template, prefix, "TargetGroupBinding")
    (account,) = [
        key
        for key, made in objects(template, prefix).items()
        if made["kind"] == "ServiceAccount" and made["metadata"]["name"] == prefix.lower()
    ]
    workloads = {
        key for key, made in objects(template, prefix).items() if made["kind"] == "Deployment"
    }
    in_aws = {
        key
        for kind in (
            "AWS::EKS::PodIdentityAssociation",
            "AWS::IAM::Policy",
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            "AWS::ElasticLoadBalancingV2::ListenerRule",
        )
        for key in template.of_type(kind)
        if key.startswith(prefix)
    }
    assert len(in_aws) == 5
    assert {binding, *workloads} <= predecessors(template, scaling)
    assert workloads <= predecessors(template, binding)
    for key in workloads:
        assert {account, *in_aws} <= predecessors(template, key)


def test_nothing_names_the_value_of_a_key(template: Template) -> None:
    for made in (*objects(template, "Sleeping").values(), *objects(template, "Routed").values()):
        assert made["kind"] != "Secret"
        assert "{{resolve:" not in json.dumps(made)


def test_the_endpoint_says_how_a_gateway_calls_the_model(
    built: tuple[Template, dict[str, VllmServer]],
) -> None:
    endpoint = built[1]["sleeping"].endpoint
    assert endpoint.base_url == "https://sleeping.llm.example.com/v1"
    assert endpoint.model == "sleeping"
    assert endpoint.api_key is built[1]["sleeping"].api_key


def test_every_alarm_has_a_runbook_and_a_sleeping_model_is_not_missed(
    built: tuple[Template, dict[str, VllmServer]],
) -> None:
    servers = built[1]
    runbooks = Path(__file__).parents[2] / "docs" / "runbooks"
    for alarm in (*servers["sleeping"].alarms, *servers["routed"].alarms):
        assert (runbooks / f"{alarm.runbook}.md").exists()
    assert {alarm.name for alarm in servers["sleeping"].alarms} == {
        *("ModelServerErrorsSleeping", "ModelSlowSleeping")
    }
    assert "ModelUnavailableRouted" in {alarm.name for alarm in servers["routed"].alarms}


@pytest.mark.parametrize(
    ("server", "missing", "told"),
    [
        (server_of(), "models", "no lake"),
        (SLEEPING, "query_endpoint", "no copy would ever be added"),
    ],
)
def test_a_site_without_what_a_model_needs_is_refused(
    server: ModelServer, missing: str, told: str
) -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    with pytest.raises(SpecificationError, match=told):
        VllmServer(
            stack,
            "Model",
            server=server,
            site=site_in(stack, **{missing: None}),
            node_labels={},
        )


@pytest.mark.slow
def test_the_rule_packs_and_cfn_lint_find_nothing(tmp_path: Path) -> None:
    findings = open_findings(build, tmp_path)
    # The VPC and the cluster around the models are those of their own tests.
    assert {it for it in findings if "/Sleeping/" in it or "/Routed/" in it} == set()
    assert lint_findings(tmp_path) == ""


def test_load_balancers_of_environments_with_data_cannot_be_deleted_by_mistake(
    template: Template,
) -> None:
    def throwaway(stack: cdk.Stack) -> None:
        VllmServer(
            stack,
            "Model",
            server=SLEEPING,
            site=site_in(stack),
            node_labels={},
            removal_policy=RemovalPolicy.DESTROY,
        )

    kept, gone = (
        {
            attributes(body, "LoadBalancerAttributes")["deletion_protection.enabled"]
            for body in each.properties("AWS::ElasticLoadBalancingV2::LoadBalancer")
        }
        for each in (template, synthesised(throwaway))
    )
    assert (kept, gone) == ({"true"}, {"false"})


def test_every_range_of_the_vpc_and_no_other_is_admitted(template: Template) -> None:
    admitted = [
        [rule["CidrIp"] for rule in group.get("SecurityGroupIngress", ())]
        for group in template.properties("AWS::EC2::SecurityGroup")
        if "HTTPS to" in group["GroupDescription"]
    ]
    assert admitted == [RANGES, RANGES]
    policies = [made for made in objects(template, "").values() if made["kind"] == "NetworkPolicy"]
    assert len(policies) == 3
    for policy in policies:
        (rule,) = policy["spec"]["ingress"]
        assert [peer["ipBlock"]["cidr"] for peer in rule["from"]] == RANGES
