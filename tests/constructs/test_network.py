"""What the network is made of."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from llm_constructs import endpoints
from llm_constructs.network import Network
from llm_constructs.specs.addresses import AddressPlan
from llm_constructs.specs.network import (
    Capability,
    Domain,
    ExistingVpc,
    FlowLogDestination,
    FlowLogs,
    NatGateways,
    NewVpc,
)
from llm_constructs.specs.problem import SpecificationError
from stacks.checks import add_checks
from stacks.platform import CDK_JSON, flags_of
from tests.constructs.synthesis import ENVIRONMENT, ZONES, Template, app, synthesised

CIDR = "10.60.0.0/16"
PLAN = AddressPlan.of(CIDR)


def network(**overrides: Any) -> Template:
    vpc_fields: dict[str, Any] = {
        "cidr": CIDR,
        "availability_zones": tuple(ZONES),
        "accelerator_zone": ZONES[1],
    }
    for key in ("nat_gateways", "availability_zones", "accelerator_zone"):
        if key in overrides:
            vpc_fields[key] = overrides.pop(key)
    arguments = {"vpc": NewVpc(**vpc_fields), **overrides}
    return synthesised(lambda stack: Network(stack, "Network", **arguments))


def cidrs(template: Template) -> list[str]:
    return sorted(subnet["CidrBlock"] for subnet in template.properties("AWS::EC2::Subnet"))


@pytest.fixture(scope="module")
def default() -> Template:
    return network(
        nat_gateways=NatGateways.ONE_PER_ZONE,
        capabilities=[Capability.TRAINING, Capability.GATEWAY],
        domain=Domain(name="llm.example.com", hosted_zone_id="Z0123456789"),
    )


def test_subnets_follow_the_address_plan(default: Template) -> None:
    expected = [*PLAN.private, *PLAN.isolated, *PLAN.public, PLAN.accelerator]
    assert cidrs(default) == sorted(str(part) for part in expected)


def test_adding_a_zone_moves_no_subnet() -> None:
    two = network(availability_zones=tuple(ZONES[:2]))
    three = network()
    before, after = (
        {key: subnet["Properties"]["CidrBlock"] for key, subnet in subnets.items()}
        for subnets in (two.of_type("AWS::EC2::Subnet"), three.of_type("AWS::EC2::Subnet"))
    )
    assert before.items() < after.items()
    assert len(after) == len(before) + 3


def test_the_accelerator_subnet_lies_in_its_zone_and_uses_that_zones_gateway(
    default: Template,
) -> None:
    ((subnet_id, subnet),) = [
        (key, resource["Properties"])
        for key, resource in default.of_type("AWS::EC2::Subnet").items()
        if resource["Properties"]["CidrBlock"] == str(PLAN.accelerator)
    ]
    assert subnet["AvailabilityZone"] == ZONES[1]
    assert subnet["MapPublicIpOnLaunch"] is False
    (table,) = [
        association["RouteTableId"]["Ref"]
        for association in default.properties("AWS::EC2::SubnetRouteTableAssociation")
        if association["SubnetId"]["Ref"] == subnet_id
    ]
    (route,) = [
        route
        for route in default.properties("AWS::EC2::Route")
        if route["RouteTableId"]["Ref"] == table
    ]
    gateway = default.resources[route["NatGatewayId"]["Ref"]]["Properties"]
    public = default.resources[gateway["SubnetId"]["Ref"]]["Properties"]
    assert public["AvailabilityZone"] == ZONES[1]


@pytest.mark.parametrize(
    ("nat_gateways", "gateways", "internet_gateways", "subnets"),
    [
        (NatGateways.CLOSED, 0, 0, 7),
        (NatGateways.NONE, 0, 1, 10),
        (NatGateways.ONE, 1, 1, 10),
        (NatGateways.ONE_PER_ZONE, 3, 1, 10),
    ],
)
def test_nat_gateways_are_as_chosen(
    nat_gateways: NatGateways, gateways: int, internet_gateways: int, subnets: int
) -> None:
    template = network(nat_gateways=nat_gateways)
    assert len(template.of_type("AWS::EC2::NatGateway")) == gateways
    assert len(template.of_type("AWS::EC2::InternetGateway")) == internet_gateways
    assert len(template.of_type("AWS::EC2::Subnet")) == subnets


def test_no_private_subnet_of_a_closed_network_has_a_default_route() -> None:
    assert network(nat_gateways=NatGateways.CLOSED).properties("AWS::EC2::Route") == []


def test_closing_a_network_moves_no_subnet() -> None:
    closed = network(nat_gateways=NatGateways.CLOSED).of_type("AWS::EC2::Subnet")
    opened = network(nat_gateways=NatGateways.ONE).of_type("AWS::EC2::Subnet")
    for key, resource in closed.items():
        assert opened[key]["Properties"]["CidrBlock"] == resource["Properties"]["CidrBlock"]


def test_no_subnet_gives_out_public_addresses(default: Template) -> None:
    assert not any(s["MapPublicIpOnLaunch"] for s in default.properties("AWS::EC2::Subnet"))


def test_the_default_security_group_is_closed(default: Template) -> None:
    (restriction,) = default.properties("Custom::VpcRestrictDefaultSG")
    assert "DefaultSecurityGroup" in str(restriction["DefaultSecurityGroupId"])


def test_gateway_endpoints_serve_every_subnet(default: Template) -> None:
    tables = set(default.of_type("AWS::EC2::RouteTable"))
    gateways = [
        endpoint
        for endpoint in default.properties("AWS::EC2::VPCEndpoint")
        if endpoint["VpcEndpointType"] == "Gateway"
    ]
    assert sorted(str(g["ServiceName"]) for g in gateways) == [
        "com.amazonaws.us-east-2.dynamodb",
        "com.amazonaws.us-east-2.s3",
    ]
    for gateway in gateways:
        assert {table["Ref"] for table in gateway["RouteTableIds"]} == tables


def test_the_s3_endpoint_lets_data_go_to_no_other_account(default: Template) -> None:
    (policy,) = [
        endpoint["PolicyDocument"]
        for endpoint in default.properties("AWS::EC2::VPCEndpoint")
        if str(endpoint["ServiceName"]).endswith(".s3")
    ]
    own, public, answers = policy["Statement"]
    assert own["Condition"]["StringEquals"] == {
        "aws:PrincipalAccount": {"Ref": "AWS::AccountId"},
        "aws:ResourceAccount": {"Ref": "AWS::AccountId"},
    }
    assert public["Action"] == "s3:GetObject"
    assert "*" not in public["Resource"]
    assert answers["Action"] == "s3:PutObject"


def test_functions_in_the_network_can_answer_cloudformation(default: Template) -> None:
    """Its bucket is no account's of ours, and has the region without hyphens in its name."""
    (policy,) = [
        endpoint["PolicyDocument"]
        for endpoint in default.properties("AWS::EC2::VPCEndpoint")
        if str(endpoint["ServiceName"]).endswith(".s3")
    ]
    (statement,) = [
        each for each in policy["Statement"] if each["Sid"] == "AnswersToCloudFormation"
    ]
    assert (
        json.dumps(statement["Resource"]).count(
            ":s3:::cloudformation-custom-resource-response-useast2/*"
        )
        == 1
    )


def test_images_of_kubernetes_own_registry_come_through_the_s3_endpoint(default: Template) -> None:
    policies = json.dumps(
        [
            endpoint["PolicyDocument"]
            for endpoint in default.properties("AWS::EC2::VPCEndpoint")
            if str(endpoint["ServiceName"]).endswith(".s3")
        ]
    )
    assert ":s3:::prod-registry-k8s-io-us-east-2/*" in policies


def test_capabilities_choose_the_interface_endpoints(default: Template) -> None:
    names = {
        str(endpoint["ServiceName"]).removeprefix("com.amazonaws.us-east-2.")
        for endpoint in default.properties("AWS::EC2::VPCEndpoint")
        if endpoint["VpcEndpointType"] == "Interface"
    }
    assert {"bedrock-runtime", "fsx", "ssmmessages", "ecr.dkr", "kms", "logs", "sts"} <= names
    assert not {"states", "eks", "elasticloadbalancing"} & names


def test_interface_endpoints_are_private_and_share_one_security_group(default: Template) -> None:
    interfaces = [
        endpoint
        for endpoint in default.properties("AWS::EC2::VPCEndpoint")
        if endpoint["VpcEndpointType"] == "Interface"
    ]
    groups = {str(endpoint["SecurityGroupIds"]) for endpoint in interfaces}
    assert len(groups) == 1
    assert all(endpoint["PrivateDnsEnabled"] for endpoint in interfaces)
    assert all(len(endpoint["SubnetIds"]) == len(ZONES) for endpoint in interfaces)
    (ingress,) = default.only("AWS::EC2::SecurityGroup")["SecurityGroupIngress"]
    assert (ingress["CidrIp"], ingress["FromPort"], ingress["ToPort"]) == (CIDR, 443, 443)


def test_endpoint_policies_admit_only_the_accounts_principals(default: Template) -> None:
    with_policy: dict[str, Any] = {}
    for endpoint in default.properties("AWS::EC2::VPCEndpoint"):
        if endpoint["VpcEndpointType"] == "Interface":
            service = str(endpoint["ServiceName"]).rsplit("us-east-2.", 1)[-1]
            with_policy[service] = endpoint.get("PolicyDocument")
    assert with_policy["ssmmessages"] is None
    (statement,) = with_policy["bedrock-runtime"]["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}
    }


def test_every_capability_gets_all_of_its_endpoints() -> None:
    template = network(capabilities=list(Capability))
    names = [
        str(endpoint["ServiceName"]).removeprefix("com.amazonaws.us-east-2.")
        for endpoint in template.properties("AWS::EC2::VPCEndpoint")
        if endpoint["VpcEndpointType"] == "Interface"
    ]
    assert len(names) == len(set(names)) == len(endpoints.services_for(Capability))
    assert {"sagemaker.api", "eks-auth", "states", "aps-workspaces", "bedrock-agent-runtime"} <= {
        *names
    }


def test_flow_logs_go_to_an_encrypted_log_group(default: Template) -> None:
    (group,) = [
        it["Properties"]
        for key, it in default.of_type("AWS::Logs::LogGroup").items()
        if key.startswith("NetworkFlowLogs")
    ]
    assert group["RetentionInDays"] == 365
    key_id = group["KmsKeyId"]["Fn::GetAtt"][0]
    statements = default.resources[key_id]["Properties"]["KeyPolicy"]["Statement"]
    (logs_statement,) = [s for s in statements if "Service" in s["Principal"]]
    assert logs_statement["Principal"]["Service"] == "logs.us-east-2.amazonaws.com"
    assert "kms:EncryptionContext:aws:logs:arn" in logs_statement["Condition"]["ArnLike"]
    flow_log = default.only("AWS::EC2::FlowLog")
    assert flow_log["TrafficType"] == "ALL"
    assert flow_log["MaxAggregationInterval"] == 60


def test_the_cdks_own_function_writes_to_an_encrypted_log_that_ends(default: Template) -> None:
    function = default.only("AWS::Lambda::Function")
    group = default.resources[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    assert group["RetentionInDays"] == 365
    assert "KmsKeyId" in group


def test_what_is_watched_follows_from_what_there_is() -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    zones = tuple(ZONES)
    logged = Network(stack, "Logged", vpc=NewVpc(cidr=CIDR, availability_zones=zones))
    closed = Network(
        stack,
        "Closed",
        vpc=NewVpc(cidr=CIDR, availability_zones=zones, nat_gateways=NatGateways.CLOSED),
        flow_logs=FlowLogs(destination=FlowLogDestination.S3),
    )
    assert [it.name for it in logged.alarms] == ["NatPortsExhausted", "FlowLogsStopped"]
    assert len(logged.signals) == 3
    assert len(logged.queries) == 2
    assert (closed.alarms, closed.signals, closed.queries) == ((), (), ())


def test_flow_logs_can_go_to_an_encrypted_bucket() -> None:
    template = network(flow_logs=FlowLogs(destination=FlowLogDestination.S3, retention_days=100))
    flow_log = template.only("AWS::EC2::FlowLog")
    assert flow_log["LogDestinationType"] == "s3"
    bucket_id = next(key for key in template.of_type("AWS::S3::Bucket") if "FlowLogsBucket" in key)
    bucket = template.resources[bucket_id]["Properties"]
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["ExpireFlowLogs"]["ExpirationInDays"] == 100
    (key,) = template.properties("AWS::KMS::Key")
    services = [s["Principal"].get("Service") for s in key["KeyPolicy"]["Statement"]]
    assert "delivery.logs.amazonaws.com" in services


def test_the_certificate_covers_the_domain_and_names_below_it(default: Template) -> None:
    certificate = default.only("AWS::CertificateManager::Certificate")
    assert certificate["DomainName"] == "llm.example.com"
    assert certificate["SubjectAlternativeNames"] == ["*.llm.example.com"]
    assert certificate["ValidationMethod"] == "DNS"
    assert certificate["DomainValidationOptions"][0]["HostedZoneId"] == "Z0123456789"


def existing(**overrides: Any) -> ExistingVpc:
    fields: dict[str, Any] = {
        "vpc_id": "vpc-0123456789abcdef0",
        "cidr": "10.0.0.0/16",
        "availability_zones": ("us-east-2a", "us-east-2b"),
        "private_subnet_ids": ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"),
        "route_table_ids": ("rtb-0123456789abcdef0",),
        "accelerator_subnet_id": "subnet-0123456789abcdef2",
        "accelerator_zone": "us-east-2b",
    }
    return ExistingVpc(**{**fields, **overrides})


def test_an_existing_vpc_gets_endpoints_and_nothing_else() -> None:
    template = network(vpc=existing())
    types = {resource["Type"] for resource in template.resources.values()}
    assert types == {"AWS::EC2::VPCEndpoint", "AWS::EC2::SecurityGroup"}
    gateways = [
        endpoint
        for endpoint in template.properties("AWS::EC2::VPCEndpoint")
        if endpoint["VpcEndpointType"] == "Gateway"
    ]
    assert all(g["RouteTableIds"] == ["rtb-0123456789abcdef0"] for g in gateways)


def test_endpoints_admit_every_range_of_an_existing_vpc() -> None:
    template = network(vpc=existing(secondary_cidrs=("100.64.0.0/16",)))
    rules = template.only("AWS::EC2::SecurityGroup")["SecurityGroupIngress"]
    assert [rule["CidrIp"] for rule in rules] == ["10.0.0.0/16", "100.64.0.0/16"]


def test_ranges_of_an_existing_vpc_do_not_overlap() -> None:
    with pytest.raises(SpecificationError, match=r"secondary_cidrs = '10.0.128.0/17': It overlaps"):
        existing(secondary_cidrs=("10.0.128.0/17",))
    with pytest.raises(SpecificationError, match=r"secondary_cidrs = '100.64': It is not an IPv4"):
        existing(secondary_cidrs=("100.64",))


def test_an_existing_vpc_with_endpoints_of_its_own_is_left_alone() -> None:
    assert network(vpc=existing(endpoints=False, route_table_ids=())).resources == {}


def test_no_check_warns_of_an_existing_vpc(tmp_path: Path) -> None:
    root = cdk.App(outdir=str(tmp_path), context=flags_of(CDK_JSON))
    add_checks(root)
    Network(cdk.Stack(root, "Test", env=ENVIRONMENT), "Network", vpc=existing())
    root.synth()
    plugins = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    assert [violation for plugin in plugins for violation in plugin["violations"]] == []


def test_the_accelerator_subnet_of_an_existing_vpc_is_known() -> None:
    found: list[str] = []

    def build(stack: cdk.Stack) -> None:
        subnet = Network(stack, "Network", vpc=existing()).accelerator_subnet
        assert subnet is not None
        found.extend([subnet.subnet_id, subnet.availability_zone])

    synthesised(build)
    assert found == ["subnet-0123456789abcdef2", "us-east-2b"]
