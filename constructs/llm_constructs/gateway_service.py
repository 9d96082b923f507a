"""The gateway application as a container."""

import json
from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from llm_constructs.alarm import AlarmDescription
from llm_constructs.encryption import CustomerKey
from llm_constructs.gateway_service_watch import (
    ServiceMetrics,
    describe_alarms,
    describe_signals,
)
from llm_constructs.log_protection import masked_secrets
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.private_bucket import LoadBalancerLogsBucket
from llm_constructs.service_role import TaskRole
from llm_constructs.specs.gateway_service import ServiceCapacity
from llm_constructs.specs.problem import Problems

PORT = 8080
"""Where the container listens. The Dockerfile says the same."""

LONGEST_CALL = Duration.seconds(900)
"""How long a call may be silent, and how long a task that goes away may finish its streams.

It is above the gateway's own deadline, so that the gateway ends a call and not the load balancer.
"""

LOGS_DAYS = 365

_HTTPS = 443
_HEALTH = "/health"
_TMP = "/tmp"  # noqa: S108 - a volume of the task's own, not a shared folder
# The longest that Fargate waits between SIGTERM and SIGKILL.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
_STOP_TIMEOUT = Duration.seconds(120)
_ACCESS_LOGS_DAYS = 90


class GatewayService(Construct):
    """The gateway on Fargate behind a load balancer, for those who want no function.

    It is the same application as behind API Gateway. Here nobody stands before it who checks keys,
    so it checks them itself (``GATEWAY_IDENTITY=credentials``). Streams have no limit of API
    Gateway's: a call may be silent for 15 minutes.

    ``image`` is built from ``lambdas/gateway/Dockerfile`` and lies in ECR. ``environment`` holds
    the gateway's variables but those that this construct sets. ``clients`` may connect and nobody
    else; the load balancer has no public address unless it is ``internet_facing``, and answers
    ``closed_paths`` (patterns) itself, with 404. ``web_acl_arn`` is a regional web ACL. The
    application's log goes after ``log_retention_days``. With ``RemovalPolicy.RETAIN`` the load
    balancer cannot be deleted before its protection is taken off.

    ``task_role`` is what the application acts as; it has no permissions but what is granted to it,
    and must be granted something. ``alarms`` and ``signals`` say what to watch.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        image: ecs.ContainerImage,
        environment: Mapping[str, str],
        certificate: acm.ICertificate,
        web_acl_arn: str,
        clients: Sequence[ec2.IConnectable],
        internet_facing: bool = False,
        closed_paths: Sequence[str] = (),
        capacity: ServiceCapacity | None = None,
        log_retention_days: int = LOGS_DAYS,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc = vpc
        self._capacity = capacity or ServiceCapacity()
        self._removal_policy = removal_policy
        own = {
            "GATEWAY_HOST": "0.0.0.0",  # noqa: S104 - the task's own network interface
            "GATEWAY_PORT": str(PORT),
            "GATEWAY_IDENTITY": "credentials",
            "GATEWAY_THREADS": str(self._capacity.concurrent_requests),
        }
        _check(environment, own, clients)
        self.log_group = self._make_log_group(log_retention_days)
        self.task_role = TaskRole(self, "TaskRole", description="What the gateway acts as")
        self.service = self._make_service(image, {**environment, **own})
        self.load_balancer = self._make_load_balancer(internet_facing, clients)
        listener = self._make_listener(certificate)
        self.target_group = self._add_tasks(listener)
        if closed_paths:
            _close(listener, closed_paths)
        self._scale()
        metrics = ServiceMetrics(
            balancer=self.load_balancer, targets=self.target_group, service=self.service
        )
        self.alarms: tuple[AlarmDescription, ...] = describe_alarms(metrics)
        self.signals = describe_signals(metrics, most_tasks=self._capacity.maximum_tasks)
        wafv2.CfnWebACLAssociation(
            self,
            "WebAclAssociation",
            resource_arn=self.load_balancer.load_balancer_arn,
            web_acl_arn=web_acl_arn,
        )

    def _make_log_group(self, retention_days: int) -> logs.LogGroup:
        key = CustomerKey(
            self,
            "LogsKey",
            description="Encrypts the logs of the gateway's containers",
            removal_policy=self._removal_policy,
        )
        key.allow_log_groups()
        return logs.LogGroup(
            self,
            "Logs",
            encryption_key=key,
            retention=retention_of(retention_days),
            removal_policy=self._removal_policy,
            data_protection_policy=masked_secrets(),
        )

    def _make_task(
        self, image: ecs.ContainerImage, environment: Mapping[str, str]
    ) -> ecs.FargateTaskDefinition:
        execution_role = TaskRole(
            self, "ExecutionRole", description="Pulls the image and writes the logs"
        )
        acknowledge(
            execution_role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="ecr:GetAuthorizationToken knows no resources; what the token may pull is the "
            "one repository that the statement beside it names.",
        )
        task = ecs.FargateTaskDefinition(
            self,
            "Task",
            cpu=self._capacity.cpu,
            memory_limit_mib=self._capacity.memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            task_role=self.task_role,
            execution_role=execution_role,
        )
        container = task.add_container(
            "Gateway",
            image=image,
            environment=dict(environment),
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="gateway",
                log_group=self.log_group,
                # A delay of CloudWatch Logs must not hold up answers.
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
            ),
            port_mappings=[ecs.PortMapping(container_port=PORT)],
            readonly_root_filesystem=True,
            stop_timeout=_STOP_TIMEOUT,
        )
        # The server writes large bodies to temporary files. The Dockerfile makes the volume
        # writable for the user that the container runs as.
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/bind-mounts.html
        task.add_volume(name="tmp")
        container.add_mount_points(
            ecs.MountPoint(source_volume="tmp", container_path=_TMP, read_only=False)
        )
        acknowledge(
            task,
            "AwsSolutions-ECS2",
            reason="The variables name models, tables and secrets. Values of secrets are read from "
            "Secrets Manager by the application, so that a rotation needs no deployment.",
        )
        return task

    def _make_service(
        self, image: ecs.ContainerImage, environment: Mapping[str, str]
    ) -> ecs.FargateService:
        cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=self._vpc,
            container_insights_v2=ecs.ContainerInsights.ENHANCED,
        )
        group = ec2.SecurityGroup(
            self,
            "TaskSecurityGroup",
            vpc=self._vpc,
            description="Containers of the gateway",
            allow_all_outbound=False,
        )
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(_HTTPS), "AWS, and OIDC keys")
        return ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=self._make_task(image, environment),
            security_groups=[group],
            vpc_subnets=ec2.SubnetSelection(subnets=self._vpc.private_subnets),
            assign_public_ip=False,
            # A deployment starts new tasks before it stops old ones, and goes back by itself.
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            health_check_grace_period=Duration.seconds(60),
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            enable_execute_command=False,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )

    def _make_load_balancer(
        self, internet_facing: bool, clients: Sequence[ec2.IConnectable]
    ) -> elbv2.ApplicationLoadBalancer:
        subnets = self._vpc.public_subnets if internet_facing else self._vpc.private_subnets
        balancer = elbv2.ApplicationLoadBalancer(
            self,
            "LoadBalancer",
            vpc=self._vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=subnets),
            internet_facing=internet_facing,
            security_group=ec2.SecurityGroup(
                self,
                "LoadBalancerSecurityGroup",
                vpc=self._vpc,
                description="HTTPS to the gateway",
                allow_all_outbound=False,
            ),
            idle_timeout=LONGEST_CALL,
            drop_invalid_header_fields=True,
            deletion_protection=self._removal_policy is RemovalPolicy.RETAIN,
        )
        for client in clients:
            balancer.connections.allow_from(client, ec2.Port.tcp(_HTTPS), "HTTPS from clients")
        bucket = LoadBalancerLogsBucket(
            self,
            "AccessLogs",
            retention_days=_ACCESS_LOGS_DAYS,
            removal_policy=self._removal_policy,
        )
        balancer.log_access_logs(bucket)
        return balancer

    def _make_listener(self, certificate: acm.ICertificate) -> elbv2.ApplicationListener:
        return self.load_balancer.add_listener(
            "Https",
            port=_HTTPS,
            protocol=elbv2.ApplicationProtocol.HTTPS,
            certificates=[certificate],
            # TLS 1.2 and 1.3.
            ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS,
            open=False,
        )

    def _add_tasks(self, listener: elbv2.ApplicationListener) -> elbv2.ApplicationTargetGroup:
        return listener.add_targets(
            "Tasks",
            port=PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            targets=[self.service],
            # Streams differ in length by a factor of a thousand: taking turns would pile them up.
            load_balancing_algorithm_type=(
                elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS
            ),
            deregistration_delay=LONGEST_CALL,
            health_check=elbv2.HealthCheck(
                path=_HEALTH,
                healthy_http_codes="200",
                interval=Duration.seconds(15),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )

    def _scale(self) -> None:
        tasks = self.service.auto_scale_task_count(
            min_capacity=self._capacity.minimum_tasks, max_capacity=self._capacity.maximum_tasks
        )
        tasks.scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=self._capacity.cpu_percent,
            scale_out_cooldown=Duration.minutes(1),
            scale_in_cooldown=Duration.minutes(5),
        )
        tasks.scale_on_request_count(
            "Requests",
            requests_per_target=self._capacity.requests_per_minute,
            target_group=self.target_group,
            scale_out_cooldown=Duration.minutes(1),
            scale_in_cooldown=Duration.minutes(5),
        )


def _close(listener: elbv2.ApplicationListener, paths: Sequence[str]) -> None:
    error = {"message": "There is no such path. See /openapi.json.", "code": "unknown_path"}
    listener.add_action(
        "ClosedPaths",
        priority=1,
        conditions=[elbv2.ListenerCondition.path_patterns([*paths])],
        action=elbv2.ListenerAction.fixed_response(
            404,
            content_type="application/json",
            message_body=json.dumps({"error": {**error, "type": "invalid_request_error"}}),
        ),
    )


def _check(
    environment: Mapping[str, str], own: Mapping[str, str], clients: Sequence[ec2.IConnectable]
) -> None:
    problems = Problems("gateway service")
    taken = sorted(own.keys() & environment.keys())
    problems.require(
        not taken,
        "environment",
        taken,
        "The service sets these variables itself.",
        "Leave them out; capacity.concurrent_requests decides on the threads.",
    )
    problems.require(
        bool(clients),
        "clients",
        [],
        "Nobody could connect to the gateway.",
        "Name security groups or address ranges, such as the VPC's.",
    )
    problems.raise_if_any()
