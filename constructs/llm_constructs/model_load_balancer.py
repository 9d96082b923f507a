"""The load balancer of one model, made by CloudFormation so that it goes with its stack."""

import json
from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llm_constructs.kubectl import HTTPS
from llm_constructs.nag import acknowledge

API_PATHS: Final = ("/v1/*",)
"""The paths that vLLM's API key protects. What else it and the router answer (metrics, caches,
lists of workers) needs no key, so the load balancer passes none of it on.

https://docs.vllm.ai/en/stable/usage/security/
"""


class ModelLoadBalancer(Construct):
    """HTTPS for ``host`` inside the VPC, passed on to the pods that are bound to ``target_group``.

    Only addresses of ``vpc_cidrs`` connect; the public reaches models through the gateway. A
    connection may be silent for ``idle_timeout_seconds``, and a target that goes away finishes what
    it has begun for ``deregistration_seconds``. The pods have the security group
    ``pod_security_group_id`` and listen at ``port``; ``health_path`` says whether one is well.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        vpc_cidrs: Sequence[str],
        host: str,
        certificate: acm.ICertificate,
        hosted_zone: route53.IHostedZone,
        access_logs: s3.IBucket,
        pod_security_group_id: str,
        port: int,
        health_path: str,
        idle_timeout_seconds: int,
        deregistration_seconds: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            description=f"HTTPS to {host}",
            allow_all_outbound=False,
        )
        for cidr in vpc_cidrs:
            group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(HTTPS), "HTTPS from the VPC")
        pods = ec2.Peer.security_group_id(pod_security_group_id)
        group.add_egress_rule(pods, ec2.Port.tcp(port), "The model's pods")
        # L1, for the group is another stack's.
        ec2.CfnSecurityGroupIngress(
            self,
            "Admission",
            group_id=pod_security_group_id,
            source_security_group_id=group.security_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=f"Load balancer of {host}",
        )
        self.target_group = elbv2.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=vpc,
            port=port,
            protocol=elbv2.ApplicationProtocol.HTTP,
            target_type=elbv2.TargetType.IP,
            # Answers differ in length by a factor of a thousand: taking turns would pile them up.
            load_balancing_algorithm_type=(
                elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS
            ),
            deregistration_delay=Duration.seconds(deregistration_seconds),
            health_check=elbv2.HealthCheck(
                path=health_path,
                healthy_http_codes="200",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )
        self.load_balancer = elbv2.ApplicationLoadBalancer(
            self,
            "LoadBalancer",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=vpc.private_subnets),
            internet_facing=False,
            security_group=group,
            idle_timeout=Duration.seconds(idle_timeout_seconds),
            drop_invalid_header_fields=True,
            deletion_protection=removal_policy is RemovalPolicy.RETAIN,
        )
        self.load_balancer.log_access_logs(access_logs, host)
        self._acknowledge(deletable=removal_policy is not RemovalPolicy.RETAIN)
        self.listener = self._listen(certificate)
        route53.ARecord(
            self,
            "Record",
            zone=hosted_zone,
            record_name=host,
            target=route53.RecordTarget.from_alias(targets.LoadBalancerTarget(self.load_balancer)),
        )

    def _listen(self, certificate: acm.ICertificate) -> elbv2.ApplicationListener:
        error = {"message": "There is no such path.", "type": "invalid_request_error"}
        listener = self.load_balancer.add_listener(
            "Https",
            port=HTTPS,
            protocol=elbv2.ApplicationProtocol.HTTPS,
            certificates=[certificate],
            # TLS 1.2 and 1.3.
            ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS,
            open=False,
            default_action=elbv2.ListenerAction.fixed_response(
                404, content_type="application/json", message_body=json.dumps({"error": error})
            ),
        )
        listener.add_action(
            "Api",
            priority=1,
            conditions=[elbv2.ListenerCondition.path_patterns([*API_PATHS])],
            action=elbv2.ListenerAction.forward([self.target_group]),
        )
        return listener

    def _acknowledge(self, *, deletable: bool) -> None:
        if deletable:
            acknowledge(
                self.load_balancer,
                "HIPAA.Security-ELBDeletionProtectionEnabled",
                "NIST.800.53.R5-ELBDeletionProtectionEnabled",
                reason="The environment's file says that nothing in it is worth keeping, and a "
                "protected load balancer would stop the deletion of its stack.",
            )
        acknowledge(
            self.load_balancer,
            "NIST.800.53.R5-ALBWAFEnabled",
            "PCI.DSS.321-ALBWAFEnabled",
            reason="It has private addresses alone, and admits the VPC's. The public comes through "
            "the gateway, which has a firewall; every call here needs a key besides.",
        )
