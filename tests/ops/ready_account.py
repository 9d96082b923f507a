"""An account in which everything is as an environment's file wants it."""

from typing import Any

from config import Environment
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.cluster_addon import cluster_addons
from llm_constructs.specs.network import Domain
from ops.preflight.quotas import needs
from tests.ops.aws_on_loopback import AwsOnLoopback, FaultError, Parameters

SERVERS = ["ns-1.awsdns-01.org", "ns-2.awsdns-02.net"]


def zone_id(name: str) -> str:
    """Return an id that differs from the name as in a real account: zone a is az2, b az3."""
    return f"use2-az{'cab'.index(name[-1]) + 1}"


def prepare(aws: AwsOnLoopback, environment: Environment) -> None:
    """Let every check of ``environment`` find nothing."""
    _prepare_account(aws, environment)
    _prepare_ec2(aws, environment)
    _prepare_quotas(aws, environment)
    if environment.eks is not None:
        _prepare_eks(aws, environment)
    if environment.network.domain is not None:
        _prepare_domain(aws, environment.network.domain)
    aws.answer(
        "sagemaker", "DescribeTrainingPlan", lambda parameters: plan_of(parameters, environment)
    )
    aws.answer("bedrock", "GetFoundationModelAvailability", availability)
    aws.answer("bedrock", "GetInferenceProfile", _profile)


def _prepare_account(aws: AwsOnLoopback, environment: Environment) -> None:
    arn = f"arn:aws:iam::{environment.account}:role/deployer"
    caller = {"Account": environment.account, "Arn": arn, "UserId": "AROAEXAMPLE"}
    aws.answer("sts", "GetCallerIdentity", caller)
    aws.answer("account", "GetRegionOptStatus", {"RegionOptStatus": "ENABLED_BY_DEFAULT"})
    aws.answer("ssm", "GetParameter", lambda parameters: parameter(parameters["Name"]))
    switches = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    blocked = {"PublicAccessBlockConfiguration": dict.fromkeys(switches, True)}
    aws.answer("s3control", "GetPublicAccessBlock", blocked)
    role = {
        "Path": "/",
        "RoleName": "role",
        "RoleId": "AROAEXAMPLEEXAMPLE00",
        "Arn": arn,
        "CreateDate": "2026-01-01T00:00:00Z",
    }
    aws.answer("iam", "GetRole", {"Role": role})


def parameter(name: str, value: str | None = None) -> dict[str, Any]:
    """Return the answer to GetParameter."""
    default = "31" if name.startswith("/cdk-bootstrap") else "ami-0123456789abcdef0"
    return {"Parameter": {"Name": name, "Value": value or default, "Type": "String"}}


def _prepare_ec2(aws: AwsOnLoopback, environment: Environment) -> None:
    zones = environment.network.chosen_vpc.availability_zones
    listed = [zone(name) for name in zones]
    aws.answer("ec2", "DescribeAvailabilityZones", {"AvailabilityZones": listed})
    offered = [
        {"InstanceType": name, "LocationType": "availability-zone", "Location": zone_name}
        for name in INSTANCE_TYPES
        for zone_name in zones
    ]
    half = len(offered) // 2
    aws.page(
        "ec2",
        "DescribeInstanceTypeOfferings",
        "InstanceTypeOfferings",
        [offered[:half], offered[half:]],
        "NextToken",
    )
    reservations = {"CapacityReservations": block_reservations(environment)}
    aws.answer("ec2", "DescribeCapacityReservations", reservations)


def zone(name: str, **changes: str) -> dict[str, str]:
    """Return a zone as EC2 describes it."""
    return {
        "ZoneName": name,
        "ZoneId": zone_id(name),
        "ZoneType": "availability-zone",
        "State": "available",
        "OptInStatus": "opt-in-not-required",
        **changes,
    }


def block_reservations(environment: Environment) -> list[dict[str, Any]]:
    """Return the reservations of all blocks of the file."""
    return [
        {
            "CapacityReservationId": group.capacity_block.reservation_id,
            "InstanceType": group.instance_type,
            "AvailabilityZone": group.zone,
            "AvailabilityZoneId": zone_id(group.zone),
            "TotalInstanceCount": group.nodes,
            "State": "scheduled",
            "StartDate": group.capacity_block.start,
            "EndDate": group.capacity_block.end,
        }
        for group in (environment.eks.groups if environment.eks else ())
        if group.capacity_block is not None
    ]


def plan_of(parameters: Parameters, environment: Environment, **changes: Any) -> dict[str, Any]:
    """Return the training plan of the file with the ARN that was asked for."""
    assert environment.training is not None
    arn = parameters["TrainingPlanName"]
    (group,) = [
        group
        for group in environment.training.groups
        if group.training_plan is not None and group.training_plan.arn == arn
    ]
    assert group.training_plan is not None
    where = group.training_plan.zone or "us-east-2b"
    summary = {
        "ReservedCapacityArn": "arn:aws:sagemaker:us-east-2:333333333333:reserved-capacity/one",
        "InstanceType": f"ml.{group.instance_type}",
        "TotalInstanceCount": group.count,
        "Status": "Scheduled",
        # By a name of another account, which only the id tells.
        "AvailabilityZone": "us-east-2f",
        "AvailabilityZoneId": zone_id(where),
        **changes.pop("summary", {}),
    }
    return {
        "TrainingPlanArn": arn,
        "TrainingPlanName": arn.rpartition("/")[2],
        "Status": "Scheduled",
        "TargetResources": ["hyperpod-cluster"],
        "TotalInstanceCount": group.count,
        "StartTime": group.training_plan.start,
        "EndTime": group.training_plan.end,
        "ReservedCapacitySummaries": [summary],
        **changes,
    }


def _prepare_quotas(aws: AwsOnLoopback, environment: Environment) -> None:
    needed = {need.quota.code: need.amount for need in needs(environment) if need.quota.code}

    def quota(parameters: Parameters) -> dict[str, Any]:
        code = parameters["QuotaCode"]
        if code not in needed:
            raise FaultError("NoSuchResourceException")
        return {"Quota": {"QuotaCode": code, "Value": float(needed[code])}}

    aws.answer("service-quotas", "GetServiceQuota", quota)
    names = [need.quota.name for need in needs(environment) if need.quota.service == "sagemaker"]
    names += ["Lustre Persistent 2 storage capacity", "Lustre Scratch storage capacity"]
    listed = [{"QuotaName": name, "Value": 100_800.0} for name in names]
    aws.page("service-quotas", "ListServiceQuotas", "Quotas", [[], listed], "NextToken")


def _prepare_eks(aws: AwsOnLoopback, environment: Environment) -> None:
    assert environment.eks is not None
    version = {
        "clusterVersion": environment.eks.cluster.version,
        "versionStatus": "STANDARD_SUPPORT",
    }
    aws.answer("eks", "DescribeClusterVersions", {"clusterVersions": [version]})
    aws.page("eks", "DescribeAddonVersions", "addons", addon_pages(environment), "nextToken")


def addon_pages(environment: Environment) -> list[list[dict[str, Any]]]:
    """Return the pinned add-ons beside newer versions, one add-on a page."""
    assert environment.eks is not None
    pinned = cluster_addons(environment.eks.cluster, has_file_system=True, mounts_models=True)
    return [
        [
            {
                "addonName": addon.name,
                "addonVersions": [
                    {"addonVersion": "v99.0.0-eksbuild.1"},
                    {"addonVersion": addon.version},
                ],
            }
        ]
        for addon in pinned
    ]


def hosted_zone(name: str, *, private: bool = False) -> dict[str, Any]:
    """Return a hosted zone as Route 53 describes it."""
    return {
        "Id": f"/hosted-zone/Z{abs(len(name)):04}",
        "Name": f"{name}.",
        "CallerReference": "test",
        "Config": {"PrivateZone": private},
    }


def _prepare_domain(aws: AwsOnLoopback, domain: Domain) -> None:
    answer = {
        "HostedZone": hosted_zone(domain.zone_name),
        "DelegationSet": {"NameServers": SERVERS},
    }
    aws.answer("route53", "GetHostedZone", answer)
    parent = domain.zone_name.partition(".")[2]
    zones = {
        "HostedZones": [hosted_zone(parent)],
        "IsTruncated": False,
        "MaxItems": "100",
    }
    aws.answer("route53", "ListHostedZonesByName", zones)
    aws.answer("route53", "ListResourceRecordSets", delegation(domain.zone_name, SERVERS))


def delegation(name: str, servers: list[str]) -> dict[str, Any]:
    """Return a parent zone's records that delegate ``name``."""
    values = [{"Value": f"{server}."} for server in servers]
    record = {"Name": f"{name}.", "Type": "NS", "TTL": 300, "ResourceRecords": values}
    return {
        "ResourceRecordSets": [record] if servers else [],
        "IsTruncated": False,
        "MaxItems": "1",
    }


def availability(parameters: Parameters, **changes: Any) -> dict[str, Any]:
    """Return what Bedrock says of a model that may be called."""
    return {
        "modelId": parameters["modelId"],
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
        **changes,
    }


def _profile(parameters: Parameters) -> dict[str, Any]:
    name = parameters["inferenceProfileIdentifier"]
    return {
        "inferenceProfileName": "Profile",
        "inferenceProfileArn": f"arn:aws:bedrock:us-east-2:333333333333:inference-profile/{name}",
        "models": [{}],
        "inferenceProfileId": name,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }
