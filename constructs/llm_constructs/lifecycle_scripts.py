"""The life-cycle scripts of a HyperPod cluster in S3, from where each node fetches them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as s3_deployment
from constructs import Construct

from llm_constructs.deployment_function import BUCKET_DEPLOYMENT, accept_deployment_function
from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.private_bucket import NotReplicated, PrivateBucket
from llm_constructs.s3_location import S3Location
from llm_constructs.service_role import ServiceRole

SCRIPTS: Final = Path(__file__).parent / "lifecycle"
"""The scripts of the platform."""

ROOT_PREFIX: Final = "lifecycle/"
"""Under which every version has a folder of its own."""

_IGNORED = ("__pycache__", "*.pyc")
_HASH_LENGTH = 16
_COPYING = (
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
    "s3:Abort*",
    "s3:DeleteObject*",
    "s3:GetBucket*",
    "s3:GetObject*",
    "s3:List*",
)


class LifecycleScripts(Construct):
    """The files of ``folder``, and ``documents`` beside them, in a bucket of their own.

    Their prefix is a hash of all of it, so that a change is a new folder and never changes what a
    node is reading. Earlier versions stay, for a replaced node fetches its scripts again. The
    bucket outlives the stack unless ``removal_policy`` says otherwise.

    ``documents`` may hold tokens, which are resolved on the way to S3. ``prefix`` is where this
    version lies, and ``location`` where all of them do; ``deployment`` is done once they are there.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        folder: Path,
        documents: Mapping[str, str],
        access_logs: s3.IBucket,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = CustomerKey(
            self,
            "Key",
            description="Encrypts the life-cycle scripts of HyperPod nodes",
            removal_policy=removal_policy,
        )
        self.key.allow_log_groups()
        self.bucket = PrivateBucket(
            self,
            "Bucket",
            encryption_key=self.key,
            access_logs=access_logs,
            replication=NotReplicated(
                "The scripts lie in the repository and are copied here by each deployment; nodes "
                "of another region would have a bucket of their own."
            ),
            removal_policy=removal_policy,
        )
        self.location = S3Location(self.bucket, ROOT_PREFIX)
        self.prefix = f"{ROOT_PREFIX}{_digest(folder, Stack.of(self).resolve(dict(documents)))}/"
        self.deployment = self._deploy(folder, documents)

    @property
    def uri(self) -> str:
        """What an instance group's ``SourceS3Uri`` says; HyperPod takes no slash at its end."""
        return self.bucket.s3_url_for_object(self.prefix.rstrip("/"))

    def _deploy(self, folder: Path, documents: Mapping[str, str]) -> s3_deployment.BucketDeployment:
        role = ServiceRole(
            self,
            "DeploymentRole",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Copies life-cycle scripts to their bucket",
        )
        log_group = logs.LogGroup(
            self,
            "DeploymentLogs",
            encryption_key=self.key,
            retention=logs.RetentionDays.ONE_YEAR,
            removal_policy=RemovalPolicy.DESTROY,
        )
        log_group.grant_write(role)
        deployment = s3_deployment.BucketDeployment(
            self,
            "Deployment",
            sources=[
                s3_deployment.Source.asset(str(folder), exclude=list(_IGNORED)),
                *(s3_deployment.Source.data(name, text) for name, text in documents.items()),
            ],
            destination_bucket=self.bucket,
            destination_key_prefix=self.prefix,
            prune=False,
            retain_on_delete=True,
            role=role,
            log_group=log_group,
            memory_limit=256,
        )
        accept_deployment_function(
            self, BUCKET_DEPLOYMENT, "AwsSolutions-L1", "Serverless-LambdaLatestVersion"
        )
        acknowledge(
            role,
            *(f"AwsSolutions-IAM5[Action::{action}]" for action in _COPYING),
            "AwsSolutions-IAM5[Resource::<...Scripts...Bucket...Arn>/*]",
            "AwsSolutions-IAM5[Resource::arn:...:s3:::cdk-...-assets-.../*]",
            reason="The CDK's grants for its function that copies assets: the actions of one "
            "purpose each, on the objects of the two buckets that it copies from and to.",
        )
        return deployment


def _digest(folder: Path, documents: Mapping[str, object]) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.match(pattern) for pattern in _IGNORED):
            if "__pycache__" in path.parts:
                continue
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(json.dumps(documents, sort_keys=True).encode())
    return digest.hexdigest()[:_HASH_LENGTH]
