"""What the resources of a template cost by merely being there."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ops.assembly import SynthesisedStack
from ops.price.estimate import HOURS, Quantity

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """A unit and how many of it a resource takes in a month, as ``what``."""

    what: str
    unit: str
    amount: Decimal | int


def standing_costs(stack: SynthesisedStack) -> Iterator[Quantity]:
    """Yield what the resources of a stack cost whether anybody uses them or not."""
    part = stack.name.split("-", 2)[-1]
    template = stack.template
    for resource in template["Resources"].values():
        rule = _RULES.get(resource["Type"])
        for standing in rule(resource.get("Properties", {})) if rule else ():
            yield Quantity(
                part, standing.what, standing.unit, Decimal(standing.amount), stack.region
            )


def unpriced_types(stack: SynthesisedStack) -> set[str]:
    """Return the types of a stack that may cost something and that nothing here prices."""
    types = {resource["Type"] for resource in stack.template["Resources"].values()}
    return {name for name in types if name in _UNPRICED}


def _number(value: object, default: int = 1) -> int:
    # Numbers are strings in some templates, and functions where they are only known later.
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else default


def _endpoint(properties: Properties) -> Iterator[Standing]:
    if properties.get("VpcEndpointType") == "Interface":
        zones = len(properties.get("SubnetIds", ()))
        yield Standing("interface endpoints", "interface-endpoint-zone-hour", zones * HOURS)


def _file_system(properties: Properties) -> Iterator[Standing]:
    lustre = properties.get("LustreConfiguration", {})
    gib = _number(properties.get("StorageCapacity"), 0)
    kind = "scratch"
    if str(lustre.get("DeploymentType", "")).startswith("PERSISTENT"):
        kind = f"persistent-{lustre.get('PerUnitStorageThroughput')}"
    yield Standing("FSx for Lustre", f"lustre-{kind}-gib-month", gib)


def _node_group(properties: Properties) -> Iterator[Standing]:
    nodes = _number(properties.get("ScalingConfig", {}).get("MinSize"), 0)
    for name in properties.get("InstanceTypes", ())[:1]:
        yield Standing(f"nodes {name}", f"{name}-hour", nodes * HOURS)


def _web_acl(properties: Properties) -> Iterator[Standing]:
    yield Standing("web ACLs", "web-acl-month", 1)
    yield Standing("rules of web ACLs", "web-acl-rule-month", len(properties.get("Rules", ())))


def _hourly(what: str, unit: str) -> Callable[[Properties], Iterator[Standing]]:
    return lambda _: iter((Standing(what, unit, HOURS),))


def _monthly(what: str, unit: str) -> Callable[[Properties], Iterator[Standing]]:
    return lambda _: iter((Standing(what, unit, 1),))


_RULES: Final[Mapping[str, Callable[[Properties], Iterator[Standing]]]] = {
    "AWS::APS::Scraper": _hourly("Prometheus collectors", "prometheus-collector-hour"),
    "AWS::CloudWatch::Alarm": _monthly("alarms", "alarm-month"),
    "AWS::CloudWatch::CompositeAlarm": _monthly("composite alarms", "composite-alarm-month"),
    "AWS::CloudWatch::Dashboard": _monthly("dashboards", "dashboard-month"),
    "AWS::EC2::EIP": _hourly("public addresses", "public-address-hour"),
    "AWS::EC2::NatGateway": _hourly("NAT gateways", "nat-gateway-hour"),
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::EKS::Cluster": _hourly("EKS control plane", "eks-cluster-hour"),
    "AWS::EKS::Nodegroup": _node_group,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _hourly("load balancers", "load-balancer-hour"),
    "AWS::FSx::FileSystem": _file_system,
    "AWS::KMS::Key": _monthly("KMS keys", "kms-key-month"),
    "AWS::KMS::ReplicaKey": _monthly("KMS keys", "kms-key-month"),
    "AWS::SecretsManager::Secret": _monthly("secrets", "secret-month"),
    "AWS::WAFv2::WebACL": _web_acl,
}

_UNPRICED: Final = frozenset(
    {
        "AWS::AmazonMQ::Broker",
        "AWS::AutoScaling::AutoScalingGroup",
        "AWS::Bedrock::ProvisionedModelThroughput",
        "AWS::EC2::CapacityReservation",
        "AWS::EC2::Instance",
        "AWS::ECS::Service",
        "AWS::Grafana::Workspace",
        "AWS::Neptune::DBCluster",
        "AWS::OpenSearchServerless::Collection",
        "AWS::OpenSearchService::Domain",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::SageMaker::Cluster",
        "AWS::SageMaker::Domain",
        "AWS::SageMaker::Endpoint",
        "AWS::SageMaker::InferenceComponent",
        "AWS::SageMaker::NotebookInstance",
    }
)
"""Types that cost by the hour as well, which an estimate names because it lacks them."""
