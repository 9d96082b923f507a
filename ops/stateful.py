"""Which resource types hold state that a replacement or deletion would lose."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protection:
    """A property that guards data while it equals ``on`` (``*`` in ``path`` is any list item)."""

    path: str
    on: object
    guards_against: str


@dataclass(frozen=True)
class StatefulType:
    """What is lost with a resource of this type, and the properties that guard it."""

    loses: str
    protections: tuple[Protection, ...] = ()


def _deletion_protection(path: str, on: object = True) -> Protection:
    return Protection(path, on, "deletion")


_RECOVERY = "overwriting: earlier states cannot be restored"
_POINT_IN_TIME_RECOVERY = "PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled"

STATEFUL_TYPES: dict[str, StatefulType] = {
    "AWS::S3::Bucket": StatefulType(
        "every object: datasets, checkpoints, models, logs",
        (Protection("VersioningConfiguration/Status", "Enabled", _RECOVERY),),
    ),
    "AWS::S3Express::DirectoryBucket": StatefulType("every object"),
    "AWS::S3Tables::TableBucket": StatefulType("every table"),
    "AWS::S3Tables::Table": StatefulType("every row"),
    "AWS::S3Vectors::VectorBucket": StatefulType("every vector index"),
    "AWS::S3Vectors::Index": StatefulType("every vector, to be embedded again"),
    "AWS::FSx::FileSystem": StatefulType("every file not yet exported to S3, and the mount name"),
    "AWS::FSx::Volume": StatefulType("every file of the volume"),
    "AWS::FSx::DataRepositoryAssociation": StatefulType(
        "the link of the file system to its bucket; files not yet exported stay behind"
    ),
    "AWS::EFS::FileSystem": StatefulType("every file"),
    "AWS::EC2::Volume": StatefulType("every block"),
    "AWS::KMS::Key": StatefulType("the means to read anything the old key encrypted"),
    "AWS::KMS::ReplicaKey": StatefulType("the means to read what it encrypted in its region"),
    "AWS::SecretsManager::Secret": StatefulType("the secret's value and its rotation"),
    "AWS::SSM::Parameter": StatefulType("a name that readers outside the app resolve"),
    "AWS::DynamoDB::Table": StatefulType(
        "every item",
        (
            _deletion_protection("DeletionProtectionEnabled"),
            Protection(_POINT_IN_TIME_RECOVERY, True, _RECOVERY),
        ),
    ),
    "AWS::DynamoDB::GlobalTable": StatefulType(
        "every item in every region",
        (
            _deletion_protection("Replicas/*/DeletionProtectionEnabled"),
            Protection(f"Replicas/*/{_POINT_IN_TIME_RECOVERY}", True, _RECOVERY),
        ),
    ),
    "AWS::RDS::DBCluster": StatefulType(
        "the database", (_deletion_protection("DeletionProtection"),)
    ),
    "AWS::RDS::DBInstance": StatefulType(
        "the database", (_deletion_protection("DeletionProtection"),)
    ),
    "AWS::ElastiCache::ReplicationGroup": StatefulType("cached answers and sessions"),
    "AWS::ElastiCache::ServerlessCache": StatefulType("cached answers and sessions"),
    "AWS::MemoryDB::Cluster": StatefulType("every key"),
    "AWS::OpenSearchService::Domain": StatefulType("every index, to be built again"),
    "AWS::OpenSearchServerless::Collection": StatefulType(
        "every index, to be built again",
        (_deletion_protection("DeletionProtection", "ENABLED"),),
    ),
    "AWS::Kendra::Index": StatefulType("every document's index, to be crawled again"),
    "AWS::Bedrock::KnowledgeBase": StatefulType("its id, which callers use, and its ingestion"),
    "AWS::Timestream::Table": StatefulType("every record"),
    "AWS::Glue::Database": StatefulType("the catalogue of every table in it"),
    "AWS::Glue::Table": StatefulType("the table's schema and partitions"),
    "AWS::Kinesis::Stream": StatefulType("records not yet read"),
    "AWS::SQS::Queue": StatefulType("messages not yet handled, and the URL that senders hold"),
    "AWS::SNS::Topic": StatefulType("subscriptions that people confirmed by hand"),
    "AWS::MSK::Cluster": StatefulType("every topic"),
    "AWS::Logs::LogGroup": StatefulType(
        "the log, which audits need",
        (_deletion_protection("DeletionProtectionEnabled"),),
    ),
    "AWS::CloudTrail::EventDataStore": StatefulType(
        "the audit trail", (_deletion_protection("TerminationProtectionEnabled"),)
    ),
    "AWS::Backup::BackupVault": StatefulType("every recovery point"),
    "AWS::ECR::Repository": StatefulType("every image that nodes pull"),
    "AWS::Cognito::UserPool": StatefulType(
        "every user and password", (_deletion_protection("DeletionProtection", "ACTIVE"),)
    ),
    "AWS::Cognito::UserPoolDomain": StatefulType("the sign-in address that clients hold"),
    "AWS::EC2::VPC": StatefulType("every network interface in it: nothing in it survives"),
    "AWS::EC2::Subnet": StatefulType("every network interface in it"),
    "AWS::EC2::EIP": StatefulType("the public address that others allow"),
    "AWS::Route53::HostedZone": StatefulType("every record, and the delegation to its servers"),
    "AWS::CertificateManager::Certificate": StatefulType("the validated certificate"),
    "AWS::EKS::Cluster": StatefulType(
        "every Kubernetes object and the API address",
        (_deletion_protection("DeletionProtection"),),
    ),
    "AWS::SageMaker::Cluster": StatefulType(
        "every node with its reserved capacity, which may not come back"
    ),
    "AWS::SageMaker::Domain": StatefulType("user profiles, spaces and their home directories"),
    "AWS::SageMaker::FeatureGroup": StatefulType("the online store"),
    "AWS::SageMaker::ModelPackageGroup": StatefulType("the registry of model versions"),
    "AWS::SageMaker::MlflowTrackingServer": StatefulType("the history of experiments"),
    "AWS::EC2::CapacityReservation": StatefulType("capacity, which may not come back"),
    "AWS::ApiGateway::RestApi": StatefulType("the address that clients call, and their API keys"),
    "AWS::ApiGatewayV2::Api": StatefulType("the address that clients call"),
    "AWS::ApiGateway::ApiKey": StatefulType("the key's value, which clients hold"),
}
"""The types whose replacement or deletion needs a person's consent, each with the reason."""

# Without a DeletionPolicy, CloudFormation deletes, except for Aurora and databases outside it:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
_SNAPSHOT_BY_DEFAULT = frozenset({"AWS::RDS::DBCluster", "AWS::RDS::DBInstance"})

_STRENGTH = {"Delete": 0, "Snapshot": 1, "RetainExceptOnCreate": 2, "Retain": 2}


def default_policy(attribute: str, resource_type: str) -> str:
    """Return what CloudFormation does where a resource does not set ``attribute``.

    ``attribute`` is ``DeletionPolicy`` or ``UpdateReplacePolicy``.
    """
    if attribute == "DeletionPolicy" and resource_type in _SNAPSHOT_BY_DEFAULT:
        return "Snapshot"
    return "Delete"


def is_weaker(new_policy: str, old_policy: str) -> bool:
    """Say whether ``new_policy`` keeps less of the data than ``old_policy``."""
    return _STRENGTH.get(new_policy, 0) < _STRENGTH.get(old_policy, 0)
