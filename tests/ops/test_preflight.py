"""`ops preflight` against an AWS that speaks the wire protocols."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import boto3.session
import pytest
from policy_sentry.querying.actions import get_action_data
from typer.testing import CliRunner, Result

from config import Environment, load
from config.loading import DIRECTORY
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.hyperpod_kubernetes import HyperPodKubernetes
from llm_constructs.specs.instance_group import InstanceGroup
from ops.__main__ import app
from ops.aws_account import Account
from ops.preflight import clock
from ops.preflight.check import Check, Finding, Severity
from ops.preflight.policy import policy
from ops.preflight.quotas import needs
from ops.preflight.run import CHECKS, outcomes
from tests.ops.aws_on_loopback import REGION, AwsOnLoopback, FaultError, Parameters
from tests.ops.ready_account import (
    addon_pages,
    availability,
    block_reservations,
    delegation,
    hosted_zone,
    parameter,
    plan_of,
    prepare,
    zone,
)

BY_TITLE = {check.title: check for check in CHECKS}


@pytest.fixture(autouse=True)
def before_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The windows of prod's file lie in a year that will be over."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture(scope="module")
def account(loopback: AwsOnLoopback) -> Account:
    """Clients take longest, so all tests share them."""
    return Account(REGION)


@pytest.fixture(scope="module")
def prod() -> Environment:
    return load("prod")


@pytest.fixture
def aws(loopback: AwsOnLoopback, prod: Environment) -> Iterator[AwsOnLoopback]:
    loopback.reset()
    prepare(loopback, prod)
    yield loopback
    assert loopback.surprises == []


def changed(**tables: Any) -> Environment:
    """Return prod with top-level tables replaced; ``None`` removes one."""
    content = tomllib.loads((DIRECTORY / "prod.toml").read_text(encoding="utf-8"))
    content.update(tables)
    given = {key: value for key, value in content.items() if value is not None}
    return Environment.model_validate_json(
        json.dumps(given, default=str), strict=True, context={"name": "prod"}
    )


def found(title: str, account: Account, environment: Environment) -> list[Finding]:
    """Return the problems and warnings of one check."""
    (outcome,) = outcomes(environment, account, [BY_TITLE[title]])
    return [finding for finding in outcome.findings if finding.severity is not Severity.NOTE]


def one(title: str, account: Account, environment: Environment) -> Finding:
    (finding,) = found(title, account, environment)
    return finding


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["preflight", "--env", "prod", *arguments])


def test_a_ready_account_passes_every_check(aws: AwsOnLoopback) -> None:
    result = run("--json", "--strict")
    checks = json.loads(result.stdout)["checks"]
    assert [check for check in checks if check["outcome"] not in ("fine", "note")] == []
    assert result.exit_code == 0
    assert len(checks) > 12


def test_all_problems_come_at_once_with_remedies(aws: AwsOnLoopback) -> None:
    aws.fail("ssm", "GetParameter", "ParameterNotFound")
    aws.fail("route53", "GetHostedZone", "NoSuchHostedZone")
    result = run()
    assert result.exit_code == 1
    assert "cdk bootstrap aws://333333333333/us-east-2" in result.stdout
    assert "would wait for ever" in result.stdout
    assert "There is no image" in result.stdout


def test_a_check_calls_nothing_that_it_does_not_declare(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    for check in CHECKS:
        if not check.concerns(prod):
            continue
        aws.calls.clear()
        list(check.findings(prod, account))
        declared = {(call.service, call.operation) for call in check.calls}
        made = {(service, operation) for service, operation, _ in aws.calls}
        assert made, check.title
        assert made <= declared, check.title


def test_every_action_of_the_policy_exists_and_only_reads() -> None:
    actions = [
        action for statement in policy(CHECKS)["Statement"] for action in statement["Action"]
    ]
    assert len(actions) > 15
    for action in actions:
        service, _, name = action.partition(":")
        data = get_action_data(service, name)
        assert data, f"IAM knows no {action}."
        assert {row["access_level"] for row in data[service]} <= {"Read", "List"}, action


def test_a_missing_permission_is_named_and_the_other_checks_still_run(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    aws.fail("service-quotas", "GetServiceQuota", "AccessDeniedException")
    aws.fail("eks", "DescribeClusterVersions", "InvalidParameterException")
    results = {outcome.check.title: outcome for outcome in outcomes(prod, account)}
    (quota,) = results["service quotas"].findings
    assert "servicequotas:GetServiceQuota" in quota.reason
    assert "docs/preflight.md" in quota.remedy
    assert "InvalidParameterException" in results["Kubernetes version"].findings[0].reason
    assert results["service-linked roles"].findings == ()
    assert results["access to foundation models"].findings == ()


def test_what_was_found_before_a_refusal_is_kept(aws: AwsOnLoopback, account: Account) -> None:
    environment = changed()

    def refused(parameters: Parameters) -> dict[str, Any]:
        if parameters["Name"].startswith("/cdk-bootstrap") and len(aws.called("GetParameter")) > 1:
            raise FaultError("AccessDeniedException")
        return parameter(parameters["Name"], "3")

    aws.answer("ssm", "GetParameter", refused)
    first, second = found("CDK bootstrap", account, environment)
    assert "at bootstrap version 3" in first.reason
    assert "ssm:GetParameter" in second.reason


def test_throttled_calls_are_repeated_before_they_are_given_up(
    aws: AwsOnLoopback, prod: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    account = Account(REGION)
    aws.fail("sts", "GetCallerIdentity", "Throttling", times=2)
    assert found("credentials for the account of the file", account, prod) == []
    assert len(aws.called("GetCallerIdentity")) == 3
    aws.fail("sts", "GetCallerIdentity", "Throttling", times=3)
    finding = one("credentials for the account of the file", account, prod)
    assert "throttled GetCallerIdentity" in finding.reason


def test_credentials_of_another_account_are_told(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    other = {"Account": "444444444444", "Arn": "arn:aws:iam::444444444444:role/x", "UserId": "A"}
    aws.answer("sts", "GetCallerIdentity", other)
    finding = one("credentials for the account of the file", account, prod)
    assert "444444444444" in finding.reason
    assert "333333333333" in finding.reason


def test_both_regions_of_a_replicated_lake_must_be_on(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    def status(parameters: Parameters) -> dict[str, str]:
        off = parameters["RegionName"] == "us-west-2"
        return {"RegionOptStatus": "DISABLED" if off else "ENABLED"}

    aws.answer("account", "GetRegionOptStatus", status)
    assert one("region turned on for the account", account, prod).subject == "us-west-2"


@pytest.mark.parametrize("case", ["absent", "half"])
def test_an_account_that_allows_public_buckets_is_warned_of(
    aws: AwsOnLoopback, account: Account, prod: Environment, case: str
) -> None:
    if case == "absent":
        aws.fail("s3control", "GetPublicAccessBlock", "NoSuchPublicAccessBlockConfiguration")
    else:
        half = {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}}
        aws.answer("s3control", "GetPublicAccessBlock", half)
    finding = one("S3 Block Public Access of the account", account, prod)
    assert finding.severity is Severity.WARNING


def test_zones_are_told_with_their_ids_and_bad_ones_with_a_choice(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    zones = [zone("us-east-2a"), zone("us-east-2b", State="impaired")]
    aws.answer("ec2", "DescribeAvailabilityZones", {"AvailabilityZones": zones})
    (outcome,) = outcomes(prod, account, [BY_TITLE["availability zones"]])
    note, impaired, missing = outcome.findings
    assert "use2-az2" in note.reason
    assert "impaired" in impaired.reason
    assert missing.remedy == "Choose from us-east-2a."


def test_a_pool_needs_one_type_somewhere_and_a_group_its_type_in_its_zone(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    offered = [
        {"InstanceType": name, "LocationType": "availability-zone", "Location": "us-east-2a"}
        for name in ("m7g.xlarge", "g6e.2xlarge", "trn2.48xlarge")
    ]
    aws.answer("ec2", "DescribeInstanceTypeOfferings", {"InstanceTypeOfferings": offered})
    by_part = {
        finding.subject: finding
        for finding in found("instance types in their zones", account, prod)
    }
    assert by_part["eks.pools.serving-l40s"].severity is Severity.WARNING
    assert by_part["eks.pools.training-p5en"].severity is Severity.PROBLEM
    assert "trn2.48xlarge in us-east-2b" in by_part["eks.groups.trn2-block"].reason
    assert "m7g.xlarge in us-east-2b" in by_part["eks.system_nodes"].reason


def test_a_quota_below_the_files_limits_is_told_with_the_request(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    aws.answer("service-quotas", "GetServiceQuota", {"Quota": {"Value": 100.0}})
    findings = {finding.subject: finding for finding in found("service quotas", account, prod)}
    # 32 devices of training-p5en are 4 nodes of 192 vCPUs.
    assert "need 768" in findings["Running On-Demand P instances (vCPUs)"].reason
    assert "--quota-code L-417A185B" in findings["Running On-Demand P instances (vCPUs)"].remedy
    # Standard: 512 and 64 of pools, 6 system nodes of 4. The block's Trn2 nodes count nowhere.
    assert "need 600" in findings["Running On-Demand Standard instances (vCPUs)"].reason
    assert "Running On-Demand Trn instances (vCPUs)" not in findings
    assert "need 300" in findings["Concurrent executions"].reason


def test_a_quota_without_a_code_is_found_by_name_on_a_later_page(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    small = [{"QuotaName": "Lustre Persistent 2 storage capacity", "Value": 1200.0}]
    aws.page("service-quotas", "ListServiceQuotas", "Quotas", [[], [], small], "NextToken")

    def lustre() -> Finding:
        findings = {finding.subject: finding for finding in found("service quotas", account, prod)}
        return findings["Lustre Persistent 2 storage"]

    assert "1,200" in lustre().reason
    aws.page("service-quotas", "ListServiceQuotas", "Quotas", [[]], "NextToken")
    assert lustre().severity is Severity.WARNING


def test_the_quotas_of_a_service_are_listed_once(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    found("service quotas", account, prod)
    first_pages = [call for call in aws.called("ListServiceQuotas") if "NextToken" not in call]
    services = [call["ServiceCode"] for call in first_pages]
    assert sorted(services) == ["fsx", "sagemaker"]


def test_a_missing_role_is_a_problem_only_where_nobody_may_make_it(
    aws: AwsOnLoopback, account: Account
) -> None:
    content = tomllib.loads((DIRECTORY / "prod.toml").read_text(encoding="utf-8"))
    content["eks"]["pools"][0]["capacity_types"] = ["spot", "on-demand"]
    aws.fail("iam", "GetRole", "NoSuchEntity")
    findings = found("service-linked roles", account, changed(eks=content["eks"]))
    problems = [f.subject for f in findings if f.severity is Severity.PROBLEM]
    assert problems == ["AWSServiceRoleForEC2Spot"]
    assert len(findings) > 3


@pytest.mark.parametrize(
    ("status", "severity"),
    [(None, Severity.PROBLEM), ("UNSUPPORTED", Severity.PROBLEM), ("EXTENDED_SUPPORT", "warning")],
)
def test_a_version_without_support_is_told(
    aws: AwsOnLoopback, account: Account, prod: Environment, status: str | None, severity: str
) -> None:
    versions = [{"clusterVersion": "1.36", "versionStatus": status}] if status else []
    aws.answer("eks", "DescribeClusterVersions", {"clusterVersions": versions})
    assert one("Kubernetes version", account, prod).severity == severity


def test_an_addon_that_is_gone_is_told_with_the_newest(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    pages = addon_pages(prod)
    pages[0][0]["addonVersions"] = [{"addonVersion": "v2.0.0-eksbuild.1"}]
    aws.page("eks", "DescribeAddonVersions", "addons", pages, "nextToken")
    finding = one("versions of add-ons", account, prod)
    assert finding.subject == "vpc-cni"
    assert "It lists v2.0.0-eksbuild.1 first." in finding.reason


@pytest.mark.usefixtures("aws")
def test_addons_of_hyperpod_are_looked_for_as_well(account: Account, prod: Environment) -> None:
    training = HyperPod(
        orchestrator=Orchestrator.EKS,
        groups=(InstanceGroup(name="cpu", instance_type="m7i.2xlarge", count=1),),
        kubernetes=HyperPodKubernetes(task_governance=True),
    )
    on_eks = prod.model_copy(update={"training": training})
    finding = one("versions of add-ons", account, on_eks)
    assert finding.subject == "amazon-sagemaker-hyperpod-taskgovernance"


def test_images_are_looked_up_once_for_all_parts_that_pin_them(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    found("releases of node images", account, prod)
    names = [call["Name"] for call in aws.called("GetParameter")]
    assert len(names) == len(set(names))
    assert (
        "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/neuron/"
        "amazon-eks-node-al2023-x86_64-neuron-1.36-v20260903/image_id"
    ) in names


TITLE_OF_BLOCKS = "Capacity Blocks against zone, window and size"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"AvailabilityZone": "us-east-2c"}, "puts its nodes"),
        ({"TotalInstanceCount": 3}, "has 3 instances, and the file says 4"),
        ({"TotalInstanceCount": 5}, "has 5 instances"),
        ({"InstanceType": "trn1.32xlarge"}, "is for trn1.32xlarge"),
        ({"State": "expired"}, "is expired"),
    ],
)
def test_a_block_that_is_not_what_the_file_says_is_told(
    aws: AwsOnLoopback,
    account: Account,
    prod: Environment,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    reservations = [{**block_reservations(prod)[0], **changes}]
    aws.answer("ec2", "DescribeCapacityReservations", {"CapacityReservations": reservations})
    assert sentence in one(TITLE_OF_BLOCKS, account, prod).reason


@pytest.mark.parametrize(
    ("starts_in", "begun", "sentence"),
    [
        (timedelta(hours=-1), False, "would have no nodes"),
        (timedelta(hours=1), True, "has not begun"),
        (timedelta(hours=1), False, None),
        (timedelta(hours=-1), True, None),
    ],
)
def test_a_group_that_comes_after_its_block_has_begun_is_told(
    aws: AwsOnLoopback,
    account: Account,
    prod: Environment,
    starts_in: timedelta,
    sentence: str | None,
    *,
    begun: bool,
) -> None:
    assert prod.eks is not None
    (group,) = prod.eks.groups
    assert group.capacity_block is not None
    start = clock.now() + starts_in
    block = replace(group.capacity_block, start=start, end=start + timedelta(days=7), begun=begun)
    tables = prod.eks.model_copy(update={"groups": (replace(group, capacity_block=block),)})
    changed = prod.model_copy(update={"eks": tables})
    aws.answer(
        "ec2",
        "DescribeCapacityReservations",
        {"CapacityReservations": block_reservations(changed)},
    )
    reasons = [finding.reason for finding in found(TITLE_OF_BLOCKS, account, changed)]
    assert len(reasons) == (0 if sentence is None else 1)
    assert all(sentence in reason for reason in reasons if sentence)


def test_a_block_with_another_window_is_told_in_utc(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    (reservation,) = block_reservations(prod)
    reservation["EndDate"] -= timedelta(days=1)
    aws.answer("ec2", "DescribeCapacityReservations", {"CapacityReservations": [reservation]})
    finding = one(TITLE_OF_BLOCKS, account, prod)
    assert finding.subject.endswith("capacity_block.end")
    assert "2027-02-07 11:30 UTC" in finding.reason


def test_a_block_that_is_over_is_told(
    aws: AwsOnLoopback, account: Account, prod: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2027, 2, 8, 11, 30, tzinfo=UTC))
    finding = one(TITLE_OF_BLOCKS, account, prod)
    assert finding.subject.endswith("capacity_block.end")
    assert "The block is over" in finding.reason


@pytest.mark.parametrize("empty", [True, False])
def test_a_block_that_the_account_does_not_have_is_told(
    aws: AwsOnLoopback, account: Account, prod: Environment, empty: bool
) -> None:
    if empty:
        aws.answer("ec2", "DescribeCapacityReservations", {"CapacityReservations": []})
    else:
        aws.fail("ec2", "DescribeCapacityReservations", "InvalidCapacityReservationId.NotFound")
    assert "has no reservation" in one(TITLE_OF_BLOCKS, account, prod).reason


TITLE_OF_PLANS = "training plans against zone, window and size"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Status": "Expired"}, "The plan is expired."),
        ({"TargetResources": ["training-job"]}, "is for training-job and not for HyperPod"),
        ({"TotalInstanceCount": 4}, "has 4 instances, and the groups ask for 8"),
        ({"TotalInstanceCount": 16}, "has 16 instances"),
        ({"summary": {"InstanceType": "ml.p5.48xlarge"}}, "holds ml.p5.48xlarge"),
        ({"summary": {"AvailabilityZoneId": "use2-az1"}}, "(use2-az1), and its subnet and the"),
        ({"StartTime": datetime(2027, 1, 12, 11, 30, tzinfo=UTC)}, "start is 2027-01-12 11:30 UTC"),
    ],
)
def test_a_plan_that_is_not_what_the_file_says_is_told(
    aws: AwsOnLoopback,
    account: Account,
    prod: Environment,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    def described(parameters: Parameters) -> dict[str, Any]:
        return plan_of(parameters, prod, **dict(changes))

    aws.answer("sagemaker", "DescribeTrainingPlan", described)
    assert sentence in one(TITLE_OF_PLANS, account, prod).reason


def test_a_plan_that_is_over_is_told_by_its_window_too(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    def described(parameters: Parameters) -> dict[str, Any]:
        return plan_of(parameters, prod, EndTime=datetime(2026, 1, 1, tzinfo=UTC))

    aws.answer("sagemaker", "DescribeTrainingPlan", described)
    reasons = [finding.reason for finding in found(TITLE_OF_PLANS, account, prod)]
    assert "The plan ended at 2026-01-01 00:00 UTC." in reasons


def test_a_plan_that_the_account_does_not_have_is_told(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    aws.fail("sagemaker", "DescribeTrainingPlan", "ResourceNotFound")
    assert "has no training plan trn2-2027-q1" in one(TITLE_OF_PLANS, account, prod).reason


def test_nodes_of_hyperpod_count_by_type_unless_a_plan_holds_them(prod: Environment) -> None:
    counted = {need.quota.name: need.amount for need in needs(prod)}
    assert counted["ml.m7i.4xlarge for cluster usage"] == 1
    assert "ml.trn2.48xlarge for cluster usage" not in counted


def reserved(**changes: Any) -> Environment:
    """Return prod with its last group on a resource group of on-demand reservations."""
    content = tomllib.loads((DIRECTORY / "prod.toml").read_text(encoding="utf-8"))["eks"]
    group = content["groups"][0]
    del group["capacity_block"]
    group["instance_type"] = "p5en.48xlarge"
    arn = "arn:aws:resource-groups:us-east-2:333333333333:group/training"
    group["reservation_group_arn"] = arn
    content["pools"][2].update(changes)
    del content["teams"]  # whose quotas are of the nodes that were there before
    return changed(eks=content)


def test_a_resource_group_must_hold_enough_instances_in_the_zone(
    aws: AwsOnLoopback, account: Account
) -> None:
    arns = [
        f"arn:aws:ec2:us-east-2:333333333333:capacity-reservation/cr-{n:017x}" for n in range(3)
    ]
    members = [[{"Identifier": {"ResourceArn": arn}}] for arn in arns]
    aws.page("resource-groups", "ListGroupResources", "Resources", members, "NextToken")

    def described(parameters: Parameters) -> dict[str, Any]:
        elsewhere = parameters["CapacityReservationIds"][0].endswith("2")
        found = {
            "State": "active",
            "InstanceType": "p5en.48xlarge",
            "AvailabilityZone": "us-east-2c" if elsewhere else "us-east-2b",
            "TotalInstanceCount": 1,
        }
        return {"CapacityReservations": [found]}

    aws.answer("ec2", "DescribeCapacityReservations", described)
    finding = one("resource groups of On-Demand Capacity Reservations", account, reserved())
    assert "holds 2 usable instances" in finding.reason


def test_a_reservation_that_no_pod_of_its_pool_could_use_is_told(
    aws: AwsOnLoopback, account: Account
) -> None:
    environment = reserved(
        capacity_types=["reserved", "on-demand"],
        reservation_ids=["cr-0123456789abcdef1"],
        placement_group=False,
    )
    other = {"State": "active", "InstanceType": "p5en.48xlarge", "AvailabilityZone": "us-east-2a"}
    aws.answer("ec2", "DescribeCapacityReservations", {"CapacityReservations": [other]})
    finding = one("reservations of Karpenter pools", account, environment)
    assert "is active, of p5en.48xlarge in us-east-2a" in finding.reason


EXISTING = {
    "existing_vpc": {
        "vpc_id": "vpc-0123456789abcdef0",
        "cidr": "10.60.0.0/16",
        "availability_zones": ["us-east-2a", "us-east-2b"],
        "private_subnet_ids": ["subnet-00000000000000001", "subnet-00000000000000002"],
        "accelerator_subnet_id": "subnet-00000000000000003",
        "accelerator_zone": "us-east-2b",
        "endpoints": False,
    }
}


def test_subnets_of_an_existing_vpc_are_compared(aws: AwsOnLoopback, account: Account) -> None:
    environment = changed(network=EXISTING, serving=None, gateway=None)
    subnets = [
        {
            "SubnetId": "subnet-00000000000000001",
            "AvailabilityZone": "us-east-2c",
            "AvailableIpAddressCount": 4000,
        },
        {
            "SubnetId": "subnet-00000000000000002",
            "AvailabilityZone": "us-east-2b",
            "AvailableIpAddressCount": 10,
        },
    ]
    aws.page("ec2", "DescribeSubnets", "Subnets", [subnets[:1], subnets[1:]], "NextToken")
    zone_finding, room, missing = found("subnets of the existing VPC", account, environment)
    assert "It lies in us-east-2c" in zone_finding.reason
    assert room.severity is Severity.WARNING
    assert "no such subnet" in missing.reason


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (hosted_zone("other.example.org"), "It is the zone of other.example.org"),
        (hosted_zone("llm.example.com", private=True), "It is private"),
    ],
)
def test_a_hosted_zone_that_cannot_prove_the_domain_is_told(
    aws: AwsOnLoopback,
    account: Account,
    prod: Environment,
    answer: dict[str, Any],
    sentence: str,
) -> None:
    aws.answer("route53", "GetHostedZone", {"HostedZone": answer})
    aws.answer("route53", "ListResourceRecordSets", delegation("llm.example.com", []))
    findings = found("hosted zone of the domain", account, prod)
    assert any(sentence in finding.reason for finding in findings)


def test_a_zone_that_its_parent_does_not_delegate_is_told(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    wrong = delegation("llm.example.com", ["ns.elsewhere.example"])
    aws.answer("route53", "ListResourceRecordSets", wrong)
    assert "ns.elsewhere.example" in one("hosted zone of the domain", account, prod).reason


def test_a_delegation_that_nobody_can_see_is_a_warning(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    none = {"HostedZones": [], "IsTruncated": False, "MaxItems": "100"}
    aws.answer("route53", "ListHostedZonesByName", none)
    finding = one("hosted zone of the domain", account, prod)
    assert finding.severity is Severity.WARNING
    assert "dig +short NS llm.example.com" in finding.remedy


def test_every_condition_of_a_model_that_is_not_met_is_told(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    def unmet(parameters: Parameters) -> dict[str, Any]:
        changes = {
            "agreementAvailability": {"status": "NOT_AVAILABLE"},
            "authorizationStatus": "NOT_AUTHORIZED",
            "regionAvailability": "NOT_AVAILABLE",
        }
        return availability(parameters, **changes)

    aws.answer("bedrock", "GetFoundationModelAvailability", unmet)
    findings = {f.subject: f.reason for f in found("access to foundation models", account, prod)}
    assert "agreement is not accepted" in findings["anthropic.claude-sonnet-4-6"]
    # A profile reaches the model in other regions; the embedding model is called in this one.
    assert "us-east-2" not in findings["anthropic.claude-sonnet-4-6"]
    assert "not available in us-east-2" in findings["amazon.titan-embed-text-v2:0"]


def test_a_profile_that_the_region_does_not_have_is_told(
    aws: AwsOnLoopback, account: Account, prod: Environment
) -> None:
    aws.fail("bedrock", "GetInferenceProfile", "ResourceNotFoundException", times=1)
    finding = one("inference profiles", account, prod)
    assert "no such inference profile in us-east-2" in finding.reason


DEPLOYED = "arn:aws:bedrock:us-east-2:333333333333:custom-model-deployment/abcdefghijkl"


def deployment(status: str) -> dict[str, Any]:
    return {
        "customModelDeploymentArn": DEPLOYED,
        "modelDeploymentName": "support",
        "modelArn": "arn:aws:bedrock:us-east-2:333333333333:custom-model/imported/abcdefghijkl",
        "createdAt": "2026-11-01T00:00:00Z",
        "status": status,
    }


def with_tuned_model() -> Environment:
    """Return prod with one model, which is fine-tuned."""
    model = {
        "alias": "support",
        "model_id": DEPLOYED,
        "context_tokens": 128_000,
        "max_output_tokens": 8_192,
        "price": {"input": 720_000, "output": 720_000},
    }
    return changed(gateway={"models": [model]})


def test_a_tuned_model_is_asked_for_by_its_deployment_alone(
    aws: AwsOnLoopback, account: Account
) -> None:
    environment = with_tuned_model()
    assert not BY_TITLE["access to foundation models"].concerns(environment)
    aws.answer("bedrock", "GetCustomModelDeployment", deployment("Active"))
    assert found("fine-tuned models", account, environment) == []


def test_a_tuned_model_that_does_not_answer_is_told(aws: AwsOnLoopback, account: Account) -> None:
    environment = with_tuned_model()
    aws.answer("bedrock", "GetCustomModelDeployment", deployment("Creating"))
    assert "state is Creating" in one("fine-tuned models", account, environment).reason
    aws.fail("bedrock", "GetCustomModelDeployment", "ResourceNotFoundException")
    assert "state is Absent" in one("fine-tuned models", account, environment).reason


TOKEN = "arn:aws:secretsmanager:us-east-2:333333333333:secret:hub-AbCdEf"


def with_token() -> Environment:
    """Return prod with one model, which comes from the hub."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    source = {"store": "hub", "path": "a/b", "revision": commit, "token_secret_arn": TOKEN}
    shape = {
        "parameters_billions": 8.2,
        "layers": 36,
        "attention_heads": 32,
        "key_value_heads": 8,
    }
    model = {
        "name": "model",
        "source": source,
        "shape": shape,
        "pool": "serving-l40s",
        "instance_type": "g6e.2xlarge",
    }
    return changed(serving={"models": [model]}, gateway=None)


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ({"KmsKeyId": "arn:aws:kms:us-east-2:333333333333:key/1"}, "which its pods may not use"),
        ({"DeletedDate": 1_800_000_000}, "about to be deleted"),
    ],
)
def test_a_token_that_pods_could_not_read_is_told(
    aws: AwsOnLoopback, account: Account, secret: dict[str, Any], sentence: str
) -> None:
    aws.answer("secretsmanager", "DescribeSecret", {"ARN": TOKEN, **secret})
    assert sentence in one("secrets with tokens of the hub", account, with_token()).reason


def test_a_token_that_is_not_there_is_told_and_one_that_is_there_is_not(
    aws: AwsOnLoopback, account: Account
) -> None:
    aws.answer("secretsmanager", "DescribeSecret", {"ARN": TOKEN})
    assert found("secrets with tokens of the hub", account, with_token()) == []
    aws.fail("secretsmanager", "DescribeSecret", "ResourceNotFoundException")
    assert TOKEN in one("secrets with tokens of the hub", account, with_token()).reason


def test_what_the_file_does_not_have_is_not_checked(prod: Environment) -> None:
    required = {name for name, field in Environment.model_fields.items() if field.is_required()}
    bare = changed(**dict.fromkeys(set(Environment.model_fields) - required))

    def concerned(environment: Environment) -> set[str]:
        return {check.title for check in CHECKS if check.concerns(environment)}

    gone = concerned(prod) - concerned(bare)
    assert {"Kubernetes version", "inference profiles", "service-linked roles"} <= gone
    assert {TITLE_OF_BLOCKS, TITLE_OF_PLANS} <= gone


def test_every_check_has_a_title_of_its_own() -> None:
    checks: tuple[Check, ...] = CHECKS
    assert len({check.title for check in checks}) == len(checks)


def test_nobody_who_is_not_signed_in_sees_a_stack_trace(
    aws: AwsOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "Session", boto3.session.Session)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = run()
    assert result.exit_code == 1
    assert "Sign in with `aws sso login`" in result.stderr
    assert "Traceback" not in result.output
