"""The account's audit log: a CloudTrail trail, its bucket, and alarms for whoever weakens it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.encryption import CustomerKey
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.private_bucket import AccessLogsBucket, NotReplicated, PrivateBucket
from llm_constructs.specs.data_lake import DataClass
from llm_constructs.specs.governance import AuditLog

_CLOUDTRAIL: Final = "cloudtrail.amazonaws.com"

_WEAKENING: Final[Mapping[str, list[str]]] = {
    "cloudtrail.amazonaws.com": [
        "DeleteTrail",
        "PutEventSelectors",
        "StopLogging",
        "UpdateTrail",
    ],
    "kms.amazonaws.com": ["DisableKey", "ScheduleKeyDeletion"],
}
"""Calls after which less is recorded, or what was recorded can no longer be read."""


class AuditTrail(Construct):
    """A trail called ``name`` over all regions, with validated files under a key of their own.

    ``lake`` are the buckets, with their replicas, whose data events ``audit_log`` names. Calls that
    weaken the trail, or disable or delete any key of the account in this region, are kept in
    ``log_group`` and ring.

    L1: the L2 trail has no advanced event selectors, and only those tell reads from changes for a
    prefix (https://github.com/aws/aws-cdk/issues/19398).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        audit_log: AuditLog,
        lake: Mapping[DataClass, Sequence[s3.IBucket]],
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._name = name
        self._audit_log = audit_log
        self._removal_policy = removal_policy
        self.key = self._make_key()
        self.bucket = self._make_bucket()
        self.trail = self._make_trail(lake)
        self._calls = self._watch_calls()

    @property
    def alarms(self) -> tuple[AlarmDescription, ...]:
        """Somebody weakened the trail or took a key away."""
        return (
            AlarmDescription(
                name="AuditWeakened",
                summary="Somebody changed or stopped the audit log, or disabled or deleted a key.",
                # For a rule; MatchedEvents is for the bus:
                # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
                metric=cloudwatch.Metric(
                    namespace="AWS/Events",
                    metric_name="TriggeredRules",
                    dimensions_map={"RuleName": self._calls.ref},
                    statistic="Sum",
                    period=Duration.minutes(1),
                ).attach_to(self),
                threshold=0,
                comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                severity=Severity.PAGE,
                runbook="governance-audit-weakened",
                evaluation_periods=1,
                datapoints_to_alarm=1,
                momentary=True,
            ),
        )

    @property
    def _trail_arn(self) -> str:
        # Written out, because the policies of key and bucket must name a trail that comes after
        # them.
        return Stack.of(self).format_arn(
            service="cloudtrail", resource="trail", resource_name=self._name
        )

    def _from_trail(self) -> dict[str, Any]:
        return {"StringEquals": {"aws:SourceArn": self._trail_arn}}

    def _make_key(self) -> CustomerKey:
        key = CustomerKey(
            self,
            "Key",
            description=f"Encrypts the audit log {self._name}",
            removal_policy=self._removal_policy,
        )
        # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_CLOUDTRAIL)],
                actions=["kms:GenerateDataKey*"],
                # In a key policy, `*` is the key that holds the policy.
                resources=["*"],
                conditions={
                    "StringEquals": {
                        "aws:SourceArn": self._trail_arn,
                        "kms:EncryptionContext:aws:cloudtrail:arn": self._trail_arn,
                    }
                },
            )
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_CLOUDTRAIL)],
                actions=["kms:DescribeKey"],
                resources=["*"],
                conditions=self._from_trail(),
            )
        )
        key.allow_log_groups()
        return key

    def _make_bucket(self) -> PrivateBucket:
        days = self._audit_log.retention_days
        bucket = PrivateBucket(
            self,
            "Bucket",
            encryption_key=self.key,
            access_logs=AccessLogsBucket(
                self, "AccessLogs", retention_days=days, removal_policy=self._removal_policy
            ),
            replication=NotReplicated(
                "CloudTrail keeps 90 days of management events in every region by itself. Whoever "
                "must keep the log beyond the account uses a trail of the organisation, which "
                "writes to another account."
            ),
            noncurrent_days=days,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpireAuditLog",
                    expiration=Duration.days(days),
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INTELLIGENT_TIERING,
                            transition_after=Duration.days(0),
                        )
                    ],
                )
            ],
            removal_policy=self._removal_policy,
        )
        # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
        writer = iam.ServicePrincipal(_CLOUDTRAIL)
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[writer],
                actions=["s3:GetBucketAcl"],
                resources=[bucket.bucket_arn],
                conditions=self._from_trail(),
            )
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[writer],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"AWSLogs/{Stack.of(self).account}/*")],
                conditions={
                    "StringEquals": {
                        "aws:SourceArn": self._trail_arn,
                        "s3:x-amz-acl": "bucket-owner-full-control",
                    }
                },
            )
        )
        return bucket

    def _make_trail(self, lake: Mapping[DataClass, Sequence[s3.IBucket]]) -> cloudtrail.CfnTrail:
        trail = cloudtrail.CfnTrail(
            self,
            "Trail",
            trail_name=self._name,
            s3_bucket_name=self.bucket.bucket_name,
            kms_key_id=self.key.key_arn,
            is_logging=True,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            advanced_event_selectors=self._selectors(lake),
        )
        if self.bucket.policy is not None:
            trail.node.add_dependency(self.bucket.policy)
        acknowledge(
            trail,
            "HIPAA.Security-CloudTrailCloudWatchLogsEnabled",
            "NIST.800.53.R5-CloudTrailCloudWatchLogsEnabled",
            "PCI.DSS.321-CloudTrailCloudWatchLogsEnabled",
            reason="CloudTrail hands the same management events to EventBridge, where rules of "
            "this stack watch for what must ring at once. A second copy of every data event in "
            "CloudWatch Logs would cost more than the trail itself; Athena reads the bucket.",
        )
        return trail

    def _selectors(
        self, lake: Mapping[DataClass, Sequence[s3.IBucket]]
    ) -> list[cloudtrail.CfnTrail.AdvancedEventSelectorProperty]:
        selectors = []
        if self._audit_log.management_events:
            selectors.append(_selector("Management events", eventCategory=["Management"]))
        changed = [
            bucket.arn_for_objects("")
            for data_class in self._audit_log.changes_of
            for bucket in lake.get(data_class, ())
        ]
        read = [
            bucket.arn_for_objects(area.prefix)
            for area in self._audit_log.reads_of
            for bucket in lake.get(area.data_class, ())
        ]
        for title, read_only, places in (
            ("Changes of the lake", "false", changed),
            ("Reads of the lake", "true", read),
        ):
            if places:
                selectors.append(
                    _selector(
                        title,
                        places=places,
                        eventCategory=["Data"],
                        readOnly=[read_only],
                        **{"resources.type": ["AWS::S3::Object"]},
                    )
                )
        return selectors

    def _watch_calls(self) -> events.CfnRule:
        self.log_group = logs.LogGroup(
            self,
            "Calls",
            # EventBridge writes to groups of this prefix:
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
            log_group_name=f"/aws/events/audit/{self._name}",
            encryption_key=self.key,
            retention=retention_of(self._audit_log.retention_days),
            removal_policy=self._removal_policy,
        )
        self.log_group.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[
                    iam.ServicePrincipal("events.amazonaws.com"),
                    iam.ServicePrincipal("delivery.logs.amazonaws.com"),
                ],
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[self.log_group.log_group_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        rule = events.CfnRule(
            self,
            "WeakeningCalls",
            description=f"Calls that weaken {self._name} or take keys away",
            event_pattern={
                "detail-type": ["AWS API Call via CloudTrail"],
                "detail": {
                    "$or": [
                        {"eventSource": [source], "eventName": names}
                        for source, names in _WEAKENING.items()
                    ]
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="Logs",
                    # EventBridge takes the ARN without the `:*` of the group's own.
                    arn=Stack.of(self).format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name=self.log_group.log_group_name,
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    ),
                )
            ],
        )
        acknowledge(
            rule,
            "Serverless-EventBusDLQ",
            reason="The target is a log for people to read. EventBridge tries for a day to write "
            "to it, and the alarm counts the events themselves and not their way into the log.",
        )
        return rule


def _selector(
    title: str, *, places: list[str] | None = None, **fields: list[str]
) -> cloudtrail.CfnTrail.AdvancedEventSelectorProperty:
    chosen = [
        cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(field=field, equal_to=values)
        for field, values in fields.items()
    ]
    if places:
        chosen.append(
            cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(
                field="resources.ARN", starts_with=places
            )
        )
    return cloudtrail.CfnTrail.AdvancedEventSelectorProperty(name=title, field_selectors=chosen)
