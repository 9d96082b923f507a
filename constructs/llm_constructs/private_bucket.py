"""S3 buckets as the platform makes every one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llm_constructs.nag import acknowledge

_TLS_VERSION = 1.2
_ABORT_UPLOADS_AFTER = Duration.days(7)
_REPLICATION_RULES = (
    "HIPAA.Security-S3BucketReplicationEnabled",
    "NIST.800.53.R5-S3BucketReplicationEnabled",
    "PCI.DSS.321-S3BucketReplicationEnabled",
)


@dataclass(frozen=True)
class NotReplicated:
    """The choice not to copy a bucket to a second region, and why that is right."""

    reason: str


@dataclass(frozen=True)
class Replication:
    """A copy of a bucket in another region, written by S3 as ``role``."""

    rules: Sequence[s3.ReplicationRule]
    role: iam.IRole


class AccessLogsBucket(s3.Bucket):
    """Where the other buckets' server access logs go, for ``retention_days``."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        retention_days: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=_TLS_VERSION,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            removal_policy=removal_policy,
            lifecycle_rules=[
                _abort_uploads(),
                s3.LifecycleRule(
                    id="ExpireAccessLogs",
                    expiration=Duration.days(retention_days),
                    noncurrent_version_expiration=Duration.days(1),
                ),
            ],
        )
        acknowledge(
            self,
            "HIPAA.Security-S3DefaultEncryptionKMS",
            "NIST.800.53.R5-S3DefaultEncryptionKMS",
            "PCI.DSS.321-S3DefaultEncryptionKMS",
            reason="S3 cannot deliver server access logs to a bucket whose default encryption is "
            "SSE-KMS, so this one uses SSE-S3: https://docs.aws.amazon.com/AmazonS3/latest/"
            "userguide/enable-server-access-logging.html",
        )
        acknowledge(
            self,
            *_REPLICATION_RULES,
            reason="Access logs are evidence about the buckets of this region and are of no use "
            "without them; the trail that must survive the region is CloudTrail's.",
        )


class LoadBalancerLogsBucket(AccessLogsBucket):
    """Where the access logs of load balancers go, for ``retention_days``.

    A load balancer cannot write to a bucket that is encrypted with a key of KMS, either:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        retention_days: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope, construct_id, retention_days=retention_days, removal_policy=removal_policy
        )
        acknowledge(
            self,
            "AwsSolutions-S1",
            "HIPAA.Security-S3BucketLoggingEnabled",
            "NIST.800.53.R5-S3BucketLoggingEnabled",
            "PCI.DSS.321-S3BucketLoggingEnabled",
            reason="The bucket holds access logs and nothing else; logs of the access to access "
            "logs would go on without end. CloudTrail has who read them.",
        )


class PrivateBucket(s3.Bucket):
    """A bucket that only its account reaches, over TLS, encrypted with a key of the account's own.

    It is versioned; what was deleted or overwritten can be brought back for ``noncurrent_days``.
    Uploads that were never finished go after a week. Access is logged to ``access_logs``.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: kms.IKey,
        access_logs: s3.IBucket,
        replication: Replication | NotReplicated,
        noncurrent_days: int = 30,
        lifecycle_rules: Sequence[s3.LifecycleRule] = (),
        bucket_name: str | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        copy = replication if isinstance(replication, Replication) else None
        super().__init__(
            scope,
            construct_id,
            bucket_name=bucket_name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=encryption_key,
            # One call to KMS for many objects instead of one each.
            bucket_key_enabled=True,
            enforce_ssl=True,
            minimum_tls_version=_TLS_VERSION,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=f"{construct_id}/",
            replication_rules=list(copy.rules) if copy else None,
            replication_role=copy.role if copy else None,
            removal_policy=removal_policy,
            lifecycle_rules=[
                _abort_uploads(),
                s3.LifecycleRule(
                    id="ExpireNoncurrentVersions",
                    noncurrent_version_expiration=Duration.days(noncurrent_days),
                ),
                *lifecycle_rules,
            ],
        )
        if isinstance(replication, NotReplicated):
            acknowledge(self, *_REPLICATION_RULES, reason=replication.reason)


def _abort_uploads() -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="AbortIncompleteUploads", abort_incomplete_multipart_upload_after=_ABORT_UPLOADS_AFTER
    )
