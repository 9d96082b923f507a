"""Karpenter: nodes for the pods that wait, and away with them when they are idle."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.alert_rule import AlertRule
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.karpenter_policy import KarpenterStatements, acknowledge_wildcards
from llm_constructs.nag import acknowledge
from llm_constructs.node_role import NodeRole
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.scrape_configuration import scrape_annotations
from llm_constructs.signal import Signal
from llm_constructs.specs.controller_charts import KARPENTER, KARPENTER_CRDS
from llm_constructs.specs.observability import Audience

NAMESPACE: Final = "kube-system"
"""Where the API server's priority and fairness knows Karpenter.

https://karpenter.sh/docs/getting-started/getting-started-with-karpenter/
"""


METRICS_PORT: Final = 8080
"""https://karpenter.sh/docs/reference/metrics/"""

LONGEST_WARNING_AGE: Final = Duration.minutes(2)
"""What EC2 leaves a spot instance after its warning.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

_INTERRUPTIONS: Final = {
    "Health": ("aws.health", "AWS Health Event"),
    "SpotInterruption": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "Rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "StateChange": ("aws.ec2", "EC2 Instance State-change Notification"),
    "ReservationInterruption": (
        "aws.ec2",
        "EC2 Capacity Reservation Instance Interruption Warning",
    ),
}
"""What ends an instance with a warning: https://karpenter.sh/docs/concepts/disruption/"""


class Karpenter(Construct):
    """The controller on the system nodes, its CRDs, and what its nodes need.

    ``installed`` is what node pools wait for, and are deleted before. ``isolated`` says that the
    network has no way out, and ``repairs`` whether nodes are replaced that the node monitoring
    agent finds broken, whatever runs on them, unless more than a fifth of a pool is.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        isolated: bool = False,
        repairs: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self.node_role = NodeRole(
            self, "NodeRole", description=f"Nodes that Karpenter brings to {cluster.name}"
        )
        self.instance_profile = iam.InstanceProfile(self, "InstanceProfile", role=self.node_role)
        # EKS makes such an entry by itself for managed node groups alone.
        access = eks.AccessEntry(
            self,
            "NodeAccess",
            cluster=cluster.cluster,
            principal=self.node_role.role_arn,
            access_policies=[],
            access_entry_type=eks.AccessEntryType.EC2_LINUX,
        )
        self.queue = self._make_queue(cluster)
        role = self._make_controller_role(cluster)
        crds = cluster.kubectl.install(self, "Crds", KARPENTER_CRDS)
        self.installed = cluster.kubectl.install(
            self,
            "Chart",
            KARPENTER,
            values={
                "settings": {
                    "clusterName": cluster.name,
                    "interruptionQueue": self.queue.queue_name,
                    # Prices have no endpoint in the VPC; Karpenter knows those of its release.
                    **({"isolatedVPC": True} if isolated else {}),
                    # https://karpenter.sh/docs/concepts/disruption/#node-auto-repair
                    **({"featureGates": {"nodeRepair": True}} if repairs else {}),
                },
                "serviceAccount": {"name": role.service_account},
                "podAnnotations": dict(scrape_annotations(port=METRICS_PORT)),
                # It must work while the cluster's DNS has no node to run on.
                "dnsPolicy": "Default",
                "controller": {
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "1Gi"},
                        "limits": {"memory": "1Gi"},
                    }
                },
            },
            after=[crds, role, access, self.queue],
        )

    @property
    def alarms(self) -> tuple[AlarmDescription, ...]:
        """What to watch: an instance is gone two minutes after its warning, read or not."""
        return (
            AlarmDescription(
                name="KarpenterWarningsUnread",
                summary="Karpenter has not read a warning of EC2 for two minutes.",
                metric=self.metric_oldest_warning(),
                threshold=LONGEST_WARNING_AGE.to_seconds(),
                comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                severity=Severity.PAGE,
                runbook="eks-karpenter-warnings",
            ),
        )

    @property
    def alert_rules(self) -> tuple[AlertRule, ...]:
        """What Prometheus tells: calls to EC2 that go on failing."""
        return (
            AlertRule(
                name="KarpenterCallsFail",
                summary="Karpenter's calls to EC2 go on failing, so that nodes do not come or go.",
                # A node that is gone already is what Karpenter wants:
                # https://karpenter.sh/docs/reference/metrics/
                expression="sum by (error) (increase(karpenter_cloudprovider_errors_total"
                '{error!="NodeClaimNotFoundError"}[10m]))',
                threshold=5,
                minutes=15,
                severity=Severity.TICKET,
                runbook="eks-karpenter-errors",
            ),
        )

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What boards show: how many instances EC2 takes back."""
        return (
            Signal(
                title="Warnings of EC2 about instances",
                audience=Audience.TRAINING,
                section="Nodes of the cluster",
                metrics=[
                    self.queue.metric_number_of_messages_sent(
                        period=Duration.minutes(5), statistic="Sum", label="warnings"
                    )
                ],
                unit="per five minutes",
            ),
        )

    def metric_oldest_warning(self) -> cloudwatch.Metric:
        """Return the seconds that the oldest warning has waited in the queue."""
        return self.queue.metric_approximate_age_of_oldest_message(
            period=Duration.minutes(1), statistic="Maximum"
        )

    def _make_queue(self, cluster: EksCluster) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            "Interruptions",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=cluster.key,
            enforce_ssl=True,
            # A warning that is older says nothing any more.
            retention_period=Duration.minutes(5),
        )
        acknowledge(
            queue,
            "AwsSolutions-SQS3",
            "Serverless-SQSRedrivePolicy",
            reason="A warning lives five minutes, because the instance is gone after two. One that "
            "could not be handled in time is of no use in another queue.",
        )
        for name, (source, detail_type) in _INTERRUPTIONS.items():
            rule = events.Rule(
                self,
                name,
                description=f"{detail_type} for Karpenter in {cluster.name}",
                event_pattern=events.EventPattern(source=[source], detail_type=[detail_type]),
                targets=[targets.SqsQueue(queue)],
            )
            acknowledge(
                rule,
                "Serverless-EventBusDLQ",
                reason="EventBridge delivers to the queue within moments or not at all; a warning "
                "that took longer than two minutes to arrive is about an instance that is gone.",
            )
        return queue

    def _make_controller_role(self, cluster: EksCluster) -> PodIdentityRole:
        role = PodIdentityRole(
            self,
            "ControllerRole",
            cluster=cluster,
            namespace=NAMESPACE,
            service_account="karpenter",
            description=f"Karpenter in {cluster.name}",
        )
        statements = KarpenterStatements(self, cluster_name=cluster.name)
        role.allow(
            *statements.all(
                cluster_arn=cluster.arn,
                node_role=self.node_role,
                instance_profile_arn=self.instance_profile.instance_profile_arn,
            )
        )
        acknowledge_wildcards(role)
        self.queue.grant_consume_messages(role)
        role.associate()
        return role
