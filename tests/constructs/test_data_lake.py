"""The lake keeps data private, encrypted and recoverable."""

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from llm_constructs.data_lake import DataLake, LakeReplicaBucket
from llm_constructs.private_bucket import AccessLogsBucket
from llm_constructs.specs.data_lake import DataClass, LakeArea, LakeRetention
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised

RETENTION = LakeRetention(checkpoints_days=45, noncurrent_days=21)


@pytest.fixture(scope="module")
def lake() -> Template:
    return synthesised(lambda stack: DataLake(stack, "Lake", retention=RETENTION))


def bucket(template: Template, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        resource["Properties"]
        for key, resource in template.of_type("AWS::S3::Bucket").items()
        if f"{name}Bucket" in key
    ]
    (properties,) = found
    return properties


def rules(properties: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}


def test_each_class_of_data_has_a_bucket_and_a_key_of_its_own(lake: Template) -> None:
    keys = {
        str(b["BucketEncryption"]["ServerSideEncryptionConfiguration"][0])
        for name in ("Corpus", "Artifacts", "Logs")
        for b in [bucket(lake, name)]
    }
    assert len(keys) == len(lake.of_type("AWS::KMS::Key")) == 3


def test_keys_rotate_and_can_be_brought_back_for_a_month(lake: Template) -> None:
    for key in lake.properties("AWS::KMS::Key"):
        assert key["EnableKeyRotation"] is True
        assert key["PendingWindowInDays"] == 30


@pytest.mark.parametrize("name", ["Corpus", "Artifacts", "Logs"])
def test_buckets_are_private_versioned_and_logged(lake: Template, name: str) -> None:
    properties = bucket(lake, name)
    encryption = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert encryption["BucketKeyEnabled"] is True
    assert all(properties["PublicAccessBlockConfiguration"].values())
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "AccessLogs" in str(properties["LoggingConfiguration"]["DestinationBucketName"])


def test_buckets_refuse_plain_http_and_old_tls(lake: Template) -> None:
    policies = lake.properties("AWS::S3::BucketPolicy")
    assert len(policies) == 4
    for policy in policies:
        denials = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        conditions = str([denial["Condition"] for denial in denials])
        assert "aws:SecureTransport" in conditions
        assert "s3:TlsVersion" in conditions


def test_everything_that_holds_data_is_retained(lake: Template) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::KMS::Key"):
        for resource in lake.of_type(kind).values():
            assert resource["DeletionPolicy"] == "Retain"
            assert resource["UpdateReplacePolicy"] == "Retain"


def test_an_environment_without_data_worth_keeping_can_let_go() -> None:
    template = synthesised(
        lambda stack: DataLake(stack, "Lake", removal_policy=cdk.RemovalPolicy.DESTROY)
    )
    kept = [r for r in template.resources.values() if r.get("DeletionPolicy") == "Retain"]
    assert kept == []


def test_only_what_can_be_made_again_expires(lake: Template) -> None:
    corpus, artifacts = rules(bucket(lake, "Corpus")), rules(bucket(lake, "Artifacts"))
    expiring = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in (*corpus.values(), *artifacts.values())
        if "ExpirationInDays" in rule
    }
    assert expiring == {"rejected/": 180, "checkpoints/": 45}


def test_deleted_objects_can_be_brought_back(lake: Template) -> None:
    for name in ("Corpus", "Artifacts", "Logs"):
        rule = rules(bucket(lake, name))["ExpireNoncurrentVersions"]
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 21}


def test_unfinished_uploads_go_and_cold_data_gets_cheaper(lake: Template) -> None:
    corpus = rules(bucket(lake, "Corpus"))
    assert corpus["AbortIncompleteUploads"]["AbortIncompleteMultipartUpload"] == {
        "DaysAfterInitiation": 7
    }
    assert corpus["IntelligentTiering"]["Transitions"] == [
        {"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": 0}
    ]


def test_every_area_has_a_place() -> None:
    def build(stack: cdk.Stack) -> None:
        lake = DataLake(stack, "Lake")
        for area in LakeArea:
            assert lake.location(area).prefix == f"{area}/"
            assert lake.location(area).bucket is lake.buckets[area.data_class]

    synthesised(build)


def role(stack: cdk.Stack) -> iam.Role:
    return iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))


def test_reading_an_area_gives_no_other_area() -> None:
    template = synthesised(
        lambda stack: DataLake(stack, "Lake").grant_read(LakeArea.DATASETS, role(stack))
    )
    (policy,) = template.properties("AWS::IAM::Policy")
    text = str(policy)
    assert "/datasets/*" in text
    assert "s3:PutObject" not in text
    assert "s3:DeleteObject" not in text
    assert "kms:Decrypt" in text
    for other in set(LakeArea) - {LakeArea.DATASETS}:
        assert f"/{other}/" not in text


def test_writing_an_area_gives_no_other_area() -> None:
    template = synthesised(
        lambda stack: DataLake(stack, "Lake").grant_read_write(LakeArea.CHECKPOINTS, role(stack))
    )
    text = str(template.only("AWS::IAM::Policy"))
    assert "/checkpoints/*" in text
    assert "s3:PutObject" in text
    assert "/models/" not in text


@pytest.fixture(scope="module")
def replicated() -> tuple[Template, Template]:
    root = app()
    elsewhere = cdk.Environment(account=ENVIRONMENT.account, region="us-west-2")
    second = cdk.Stack(root, "Second", env=elsewhere)
    logs = AccessLogsBucket(second, "AccessLogs", retention_days=400)
    replica = LakeReplicaBucket(
        second, "Corpus", data_class=DataClass.CORPUS, access_logs=logs, noncurrent_days=30
    )
    first = cdk.Stack(root, "First", env=ENVIRONMENT)
    DataLake(first, "Lake", replicas={DataClass.CORPUS: replica})
    assembly = root.synth()
    one, two = (assembly.get_stack_by_name(name).template for name in ("First", "Second"))
    return Template(one), Template(two)


def test_the_copy_holds_what_was_deleted_in_the_first_region(
    replicated: tuple[Template, Template],
) -> None:
    first, _ = replicated
    (rule,) = bucket(first, "Corpus")["ReplicationConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["DeleteMarkerReplication"] == {"Status": "Disabled"}
    assert rule["SourceSelectionCriteria"] == {"SseKmsEncryptedObjects": {"Status": "Enabled"}}


def test_the_copy_is_encrypted_with_the_second_regions_key(
    replicated: tuple[Template, Template],
) -> None:
    first, second = replicated
    (rule,) = bucket(first, "Corpus")["ReplicationConfiguration"]["Rules"]
    key = rule["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"]["Fn::GetStackOutput"]
    assert key["StackName"] == "Second"
    assert key["Region"] == "us-west-2"
    assert len(second.of_type("AWS::KMS::Key")) == 1


def test_only_the_named_classes_are_copied(replicated: tuple[Template, Template]) -> None:
    first, second = replicated
    assert "ReplicationConfiguration" not in bucket(first, "Artifacts")
    assert len(second.of_type("AWS::S3::Bucket")) == 2


def test_the_copying_role_may_do_nothing_else(replicated: tuple[Template, Template]) -> None:
    first, _ = replicated
    statements = first.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    actions = set()
    for statement in statements:
        assert statement["Resource"] != "*"
        listed = statement["Action"]
        actions |= set(listed) if isinstance(listed, list) else {listed}
    assert actions == {
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
        "s3:GetObjectVersionAcl",
        "s3:GetObjectVersionForReplication",
        "s3:GetObjectVersionTagging",
        "s3:ReplicateObject",
        "s3:ReplicateTags",
        "kms:Decrypt",
        "kms:Encrypt",
    }
