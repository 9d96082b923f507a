"""The VPC in which everything lives."""

from collections.abc import Iterable, Mapping, Sequence

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Stack, Validations
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from llm_constructs import endpoints
from llm_constructs.alarm import AlarmDescription
from llm_constructs.encryption import CustomerKey
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.network_watch import (
    NatMetrics,
    describe_flow_log_alarms,
    describe_flow_log_queries,
    describe_nat_alarms,
    describe_nat_signals,
)
from llm_constructs.private_bucket import AccessLogsBucket, NotReplicated, PrivateBucket
from llm_constructs.restriction_log import keep_restriction_log
from llm_constructs.service_role import ServiceRole
from llm_constructs.signal import LogQuery, Signal
from llm_constructs.specs.addresses import ZONE_SLOTS, AddressPlan
from llm_constructs.specs.network import (
    Capability,
    Domain,
    ExistingVpc,
    FlowLogDestination,
    FlowLogs,
    NatGateways,
    NewVpc,
)

HTTPS = 443


class Network(Construct):
    """A VPC with its endpoints, flow logs and certificate.

    A :class:`NewVpc` is made after its address plan, with the default security group closed and
    flow logs on; an :class:`ExistingVpc` is imported by its ids without a lookup and left as it is
    but for endpoints. ``capabilities`` decide which services get an interface endpoint.

    The keys and logs it makes follow ``removal_policy``. ``alarms``, ``signals`` and ``queries``
    say what to watch of its NAT gateways and flow logs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: NewVpc | ExistingVpc,
        capabilities: Iterable[Capability] = (),
        flow_logs: FlowLogs | None = None,
        domain: Domain | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._removal_policy = removal_policy

        self.alarms: tuple[AlarmDescription, ...] = ()
        self.signals: tuple[Signal, ...] = ()
        self.queries: tuple[LogQuery, ...] = ()
        self.vpc: ec2.IVpc
        self.accelerator_subnet: ec2.ISubnet | None
        if isinstance(vpc, NewVpc):
            self.vpc, self.accelerator_subnet = self._make_vpc(vpc)
            key = self._make_flow_logs(flow_logs or FlowLogs())
            keep_restriction_log(
                self,
                "RestrictionLogs",
                encryption_key=key,
                removal_policy=self._removal_policy,
            )
        else:
            self.vpc, self.accelerator_subnet = self._import_vpc(vpc)
        self.accelerator_zone = vpc.accelerator_zone
        self._cidrs = vpc.cidrs

        self.endpoint_security_group: ec2.SecurityGroup | None = None
        if isinstance(vpc, NewVpc) or vpc.endpoints:
            self._make_gateway_endpoints(self._route_table_ids(vpc))
            self.endpoint_security_group = self._make_interface_endpoints(capabilities)

        self.hosted_zone: route53.IHostedZone | None = None
        self.certificate: acm.ICertificate | None = None
        if domain is not None:
            self.hosted_zone, self.certificate = self._make_certificate(domain)

    def _make_vpc(self, spec: NewVpc) -> tuple[ec2.Vpc, ec2.ISubnet | None]:
        plan = AddressPlan.of(spec.cidr)
        zones = list(spec.availability_zones)
        kinds = [
            ec2.SubnetConfiguration(
                name="Private",
                subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS,
                cidr_mask=plan.private_prefix,
            ),
            ec2.SubnetConfiguration(
                name="Isolated",
                subnet_type=ec2.SubnetType.PRIVATE_ISOLATED,
                cidr_mask=plan.isolated_prefix,
            ),
            ec2.SubnetConfiguration(
                name="Public",
                subnet_type=ec2.SubnetType.PUBLIC,
                cidr_mask=plan.public_prefix,
                map_public_ip_on_launch=False,
                reserved=spec.nat_gateways is NatGateways.CLOSED,
            ),
        ]
        nat = ec2.NatProvider.gateway()
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(spec.cidr),
            availability_zones=zones,
            reserved_azs=ZONE_SLOTS - len(zones),
            subnet_configuration=kinds,
            nat_gateway_provider=nat,
            nat_gateways=_nat_gateway_count(spec),
            create_internet_gateway=spec.nat_gateways is not NatGateways.CLOSED,
            restrict_default_security_group=True,
        )
        if vpc.public_subnets:
            acknowledge(
                vpc,
                "HIPAA.Security-VPCNoUnrestrictedRouteToIGW",
                "NIST.800.53.R5-VPCNoUnrestrictedRouteToIGW",
                "PCI.DSS.321-VPCNoUnrestrictedRouteToIGW",
                reason="The route belongs to the public subnets, in which only NAT gateways and "
                "load balancers live, and which give nothing a public address by themselves. An "
                'environment that must not have it says nat_gateways = "closed".',
            )
        gateways = {gateway.az: gateway.gateway_id for gateway in nat.configured_gateways}
        self._watch(gateways)
        if spec.accelerator_zone is None:
            return vpc, None
        subnet = ec2.PrivateSubnet(
            self,
            "AcceleratorSubnet",
            vpc_id=vpc.vpc_id,
            availability_zone=spec.accelerator_zone,
            cidr_block=str(plan.accelerator),
            map_public_ip_on_launch=False,
        )
        if gateways:
            in_zone = gateways.get(spec.accelerator_zone, next(iter(gateways.values())))
            subnet.add_default_nat_route(in_zone)
        return vpc, subnet

    def _watch(self, nat_gateways: Mapping[str, str]) -> None:
        if nat_gateways:
            metrics = NatMetrics(nat_gateways)
            self.alarms += describe_nat_alarms(metrics)
            self.signals += describe_nat_signals(metrics)

    def _import_vpc(self, spec: ExistingVpc) -> tuple[ec2.IVpc, ec2.ISubnet | None]:
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=spec.vpc_id,
            vpc_cidr_block=spec.cidr,
            availability_zones=list(spec.availability_zones),
            private_subnet_ids=list(spec.private_subnet_ids),
            isolated_subnet_ids=list(spec.isolated_subnet_ids) or None,
            public_subnet_ids=list(spec.public_subnet_ids) or None,
        )
        _accept_unknown_route_tables(vpc)
        if spec.accelerator_subnet_id is None:
            return vpc, None
        subnet = ec2.Subnet.from_subnet_attributes(
            self,
            "AcceleratorSubnet",
            subnet_id=spec.accelerator_subnet_id,
            availability_zone=spec.accelerator_zone,
        )
        _accept_unknown_route_tables(subnet)
        return vpc, subnet

    def _route_table_ids(self, spec: NewVpc | ExistingVpc) -> list[str]:
        if isinstance(spec, ExistingVpc):
            return list(spec.route_table_ids)
        subnets = [*self.vpc.private_subnets, *self.vpc.isolated_subnets, *self.vpc.public_subnets]
        if self.accelerator_subnet is not None:
            subnets.append(self.accelerator_subnet)
        return [subnet.route_table.route_table_id for subnet in subnets]

    def _make_flow_logs(self, spec: FlowLogs) -> CustomerKey:
        key = CustomerKey(
            self,
            "FlowLogsKey",
            description="Encrypts the flow logs of the VPC",
            removal_policy=self._removal_policy,
        )
        key.allow_log_groups()
        if spec.destination is FlowLogDestination.CLOUDWATCH:
            destination = self._flow_log_group(spec, key)
        else:
            destination = self._flow_log_bucket(spec, key)
        ec2.FlowLog(
            self,
            "FlowLog",
            resource_type=ec2.FlowLogResourceType.from_vpc(self.vpc),
            destination=destination,
            max_aggregation_interval=ec2.FlowLogMaxAggregationInterval.ONE_MINUTE,
        )
        return key

    def _flow_log_group(self, spec: FlowLogs, key: CustomerKey) -> ec2.FlowLogDestination:
        group = logs.LogGroup(
            self,
            "FlowLogs",
            encryption_key=key,
            retention=retention_of(spec.retention_days),
            removal_policy=self._removal_policy,
        )
        self.alarms += describe_flow_log_alarms(group)
        self.queries += describe_flow_log_queries(group)
        role = ServiceRole(
            self,
            "FlowLogsRole",
            assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"),
            description="Writes the VPC's flow logs",
        )
        return ec2.FlowLogDestination.to_cloud_watch_logs(group, role)

    def _flow_log_bucket(self, spec: FlowLogs, key: CustomerKey) -> ec2.FlowLogDestination:
        key.allow_log_delivery()
        access_logs = AccessLogsBucket(
            self,
            "FlowLogsAccess",
            retention_days=spec.retention_days,
            removal_policy=self._removal_policy,
        )
        bucket = PrivateBucket(
            self,
            "FlowLogsBucket",
            encryption_key=key,
            access_logs=access_logs,
            replication=NotReplicated(
                "Flow logs describe the traffic of this region's VPC and are of no use without it."
            ),
            lifecycle_rules=[
                s3.LifecycleRule(id="ExpireFlowLogs", expiration=Duration.days(spec.retention_days))
            ],
            removal_policy=self._removal_policy,
        )
        return ec2.FlowLogDestination.to_s3(bucket)

    def _make_gateway_endpoints(self, route_table_ids: Sequence[str]) -> None:
        region = Stack.of(self).region
        policies = {
            "S3": endpoints.s3_statements(region),
            "DynamoDb": (endpoints.own_principals_only(),),
        }
        for name, statements in policies.items():
            # The L2 wants subnets that know their route tables; of an imported VPC only the ids
            # of the tables are known.
            ec2.CfnVPCEndpoint(
                self,
                f"{name}Endpoint",
                vpc_id=self.vpc.vpc_id,
                vpc_endpoint_type="Gateway",
                service_name=f"com.amazonaws.{region}.{name.lower()}",
                route_table_ids=list(route_table_ids),
                policy_document=iam.PolicyDocument(statements=list(statements)),
            )

    def _make_interface_endpoints(self, capabilities: Iterable[Capability]) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "EndpointSecurityGroup",
            vpc=self.vpc,
            description="HTTPS from the VPC to its interface endpoints",
            # Endpoints answer; they never open a connection.
            allow_all_outbound=False,
        )
        for cidr in self._cidrs:
            group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(HTTPS), "HTTPS from the VPC")
        for name in endpoints.services_for(capabilities):
            endpoint = ec2.InterfaceVpcEndpoint(
                self,
                f"{_pascal_case(name)}Endpoint",
                vpc=self.vpc,
                service=endpoints.service_called(name),
                subnets=ec2.SubnetSelection(subnets=self.vpc.private_subnets),
                security_groups=[group],
                open=False,
            )
            if endpoints.accepts_policy(name):
                endpoint.add_to_policy(endpoints.own_principals_only())
        return group

    def _make_certificate(self, spec: Domain) -> tuple[route53.IHostedZone, acm.ICertificate]:
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, "HostedZone", hosted_zone_id=spec.hosted_zone_id, zone_name=spec.zone_name
        )
        certificate = acm.Certificate(
            self,
            "Certificate",
            domain_name=spec.name,
            subject_alternative_names=[f"*.{spec.name}"],
            validation=acm.CertificateValidation.from_dns(zone),
        )
        return zone, certificate


def _accept_unknown_route_tables(imported: IConstruct) -> None:
    Validations.of(imported).acknowledge(
        Acknowledgment(
            id="@aws-cdk/aws-ec2:noSubnetRouteTableId",
            reason="Gateway endpoints are given the VPC's route tables by their own ids; nothing "
            "asks an imported subnet for its table.",
        )
    )


def _nat_gateway_count(spec: NewVpc) -> int:
    match spec.nat_gateways:
        case NatGateways.ONE:
            return 1
        case NatGateways.ONE_PER_ZONE:
            return len(spec.availability_zones)
        case _:
            return 0


def _pascal_case(constant: str) -> str:
    return "".join(word.capitalize() for word in constant.split("_"))
