"""The S3 data lake: one bucket and one key for each class of data."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, PhysicalName, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.private_bucket import (
    AccessLogsBucket,
    NotReplicated,
    PrivateBucket,
    Replication,
)
from llm_constructs.s3_location import S3Location
from llm_constructs.service_role import ServiceRole
from llm_constructs.signal import Signal
from llm_constructs.specs.data_lake import DataClass, LakeArea, LakeRetention
from llm_constructs.specs.observability import Audience

_NOT_REPLICATED = {
    DataClass.CORPUS: "This environment keeps no second copy of its corpus: it can be collected "
    "and curated again, and versioning covers mistakes. Environments that cannot accept that name "
    "a region in [data.replication].",
    DataClass.ARTIFACTS: "This environment keeps no second copy of checkpoints and models: they "
    "can be trained again, and versioning covers mistakes. Environments that cannot accept that "
    "name a region in [data.replication].",
    DataClass.LOGS: "Logs describe what the services of this region did and expire; no service "
    "depends on them, so losing the region may lose them.",
}


class DataLake(Construct):
    """Buckets for the corpus, for artifacts and for logs, divided into areas by prefix.

    ``buckets`` and ``keys`` are by :class:`DataClass`; :meth:`location` says where an area is, and
    :meth:`grant_read` and :meth:`grant_read_write` give an identity one area and no more.
    ``signals`` says how it grows.
    ``replicas`` maps classes to the replica in another region that S3 copies them to.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        retention: LakeRetention | None = None,
        replicas: "Mapping[DataClass, LakeReplicaBucket] | None" = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._retention = retention or LakeRetention()
        self._removal_policy = removal_policy
        self.access_logs = AccessLogsBucket(
            self,
            "AccessLogs",
            retention_days=self._retention.access_logs_days,
            removal_policy=removal_policy,
        )
        self.keys: dict[DataClass, CustomerKey] = {}
        self.buckets: dict[DataClass, s3.IBucket] = {}
        for data_class in DataClass:
            replica = (replicas or {}).get(data_class)
            self._make_bucket(data_class, replica)
        self.signals: tuple[Signal, ...] = (
            self._describe("Size of the lake", "BucketSizeBytes", "bytes"),
            self._describe("Objects in the lake", "NumberOfObjects", "objects"),
        )

    def location(self, area: LakeArea) -> S3Location:
        """Return the bucket and prefix of ``area``."""
        return S3Location(self.buckets[area.data_class], area.prefix)

    def grant_read(self, area: LakeArea, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` list and read the objects of one area, and decrypt them."""
        return self.buckets[area.data_class].grant_read(grantee, f"{area.prefix}*")

    def grant_put(self, area: LakeArea, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` add objects to one area, but neither read nor delete any."""
        return self.buckets[area.data_class].grant_put(grantee, f"{area.prefix}*")

    def grant_read_write(self, area: LakeArea, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read, write and delete the objects of one area.

        Deleted objects can be brought back for the lake's ``noncurrent_days``.
        """
        return self.buckets[area.data_class].grant_read_write(grantee, f"{area.prefix}*")

    def _describe(self, title: str, metric: str, unit: str) -> Signal:
        # Once a day: https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
        day = Duration.days(1)
        return Signal(
            title=title,
            audience=Audience.CAPACITY,
            section="Storage",
            metrics=[
                # A search, because each storage class has a metric of its own, and objects move
                # between classes by themselves.
                cloudwatch.MathExpression(
                    expression="SUM(SEARCH('{AWS/S3,BucketName,StorageType} "
                    f'MetricName="{metric}" BucketName="{bucket.bucket_name}"\', '
                    f"'Average', {int(day.to_seconds())}))",
                    label=data_class.value,
                    period=day,
                )
                for data_class, bucket in self.buckets.items()
            ],
            unit=unit,
            stacked=True,
        )

    def _make_bucket(self, data_class: DataClass, replica: "LakeReplicaBucket | None") -> None:
        name = data_class.value.capitalize()
        key = CustomerKey(
            self,
            f"{name}Key",
            description=f"Encrypts the lake's {data_class} bucket",
            removal_policy=self._removal_policy,
        )
        replication = self._replication(name, replica)
        bucket = PrivateBucket(
            self,
            f"{name}Bucket",
            encryption_key=key,
            access_logs=self.access_logs,
            replication=replication or NotReplicated(_NOT_REPLICATED[data_class]),
            noncurrent_days=self._retention.noncurrent_days,
            lifecycle_rules=_rules(data_class, self._retention),
            removal_policy=self._removal_policy,
        )
        if replica is not None and replication is not None:
            _allow_copy(replication.role, bucket, key, replica)
        self.keys[data_class] = key
        self.buckets[data_class] = bucket

    def _replication(self, name: str, replica: "LakeReplicaBucket | None") -> Replication | None:
        if replica is None:
            return None
        role = ServiceRole(
            self,
            f"{name}ReplicationRole",
            assumed_by=iam.ServicePrincipal("s3.amazonaws.com"),
            description="Copies objects to the replica in the second region",
        )
        rule = s3.ReplicationRule(
            id="SecondRegion",
            destination=replica.bucket,
            kms_key=replica.key,
            sse_kms_encrypted_objects=True,
            # A deletion in the first region, by mistake or malice, does not reach the copy.
            delete_marker_replication=False,
        )
        return Replication([rule], role)


class LakeReplicaBucket(Construct):
    """The copy of one class of data in a second region. It belongs in a stack of that region."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data_class: DataClass,
        access_logs: s3.IBucket,
        noncurrent_days: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = CustomerKey(
            self,
            "Key",
            description=f"Encrypts the copy of the lake's {data_class} bucket",
            removal_policy=removal_policy,
        )
        self.bucket = PrivateBucket(
            self,
            "Bucket",
            encryption_key=self.key,
            access_logs=access_logs,
            # Another region's template can name a bucket only by its physical name.
            bucket_name=PhysicalName.GENERATE_IF_NEEDED,
            replication=NotReplicated(
                "This bucket is the copy: a copy of it would hold nothing that the first does not."
            ),
            noncurrent_days=noncurrent_days,
            lifecycle_rules=[_intelligent_tiering()],
            removal_policy=removal_policy,
        )


def _allow_copy(
    role: iam.IRole, bucket: s3.IBucket, key: kms.IKey, replica: LakeReplicaBucket
) -> None:
    """Give S3's role what it needs and no more.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
    """
    destination = replica.bucket.arn_for_objects("*")
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::.../*]",
        reason="S3 copies every object of the bucket; `/*` is all objects of the one source and "
        "the one destination bucket.",
    )
    for statement in (
        iam.PolicyStatement(
            actions=["s3:GetReplicationConfiguration", "s3:ListBucket"],
            resources=[bucket.bucket_arn],
        ),
        iam.PolicyStatement(
            actions=[
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
            ],
            resources=[bucket.arn_for_objects("*")],
        ),
        iam.PolicyStatement(
            actions=["s3:ReplicateObject", "s3:ReplicateTags"], resources=[destination]
        ),
        _use_of_key("kms:Decrypt", key, Stack.of(bucket).region),
        _use_of_key("kms:Encrypt", replica.key, Stack.of(replica).region),
    ):
        role.add_to_principal_policy(statement)


def _use_of_key(action: str, key: kms.IKey, region: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=[action],
        resources=[key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}},
    )


def _rules(data_class: DataClass, retention: LakeRetention) -> Sequence[s3.LifecycleRule]:
    match data_class:
        case DataClass.CORPUS:
            return (
                _intelligent_tiering(),
                _expiry(LakeArea.REJECTED, retention.rejected_days),
            )
        case DataClass.ARTIFACTS:
            return (
                _intelligent_tiering(),
                _expiry(LakeArea.CHECKPOINTS, retention.checkpoints_days),
            )
        case DataClass.LOGS:
            return (_expiry(LakeArea.LOGS, retention.logs_days),)


def _intelligent_tiering() -> s3.LifecycleRule:
    # Its archive tiers stay off: FSx for Lustre cannot import objects that must be restored first.
    return s3.LifecycleRule(
        id="IntelligentTiering",
        transitions=[
            s3.Transition(
                storage_class=s3.StorageClass.INTELLIGENT_TIERING,
                transition_after=Duration.days(0),
            )
        ],
    )


def _expiry(area: LakeArea, days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id=f"Expire{area.value.capitalize()}", prefix=area.prefix, expiration=Duration.days(days)
    )
