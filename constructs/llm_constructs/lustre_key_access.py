"""The right of FSx for Lustre to use the keys of the buckets that it is linked to."""

from aws_cdk import Annotations, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

_S3_ROLE_PATH = (
    "aws-service-role/s3.data-source.lustre.fsx.amazonaws.com/AWSServiceRoleForFSxS3Access_fs-*"
)


def admit_data_repositories(key: kms.IKey) -> None:
    """Let the account's Lustre file systems use ``key`` for objects in S3, and nothing else.

    For the keys of linked buckets. An imported key cannot be changed: the synthesis then tells
    its owner what to add.

    https://docs.aws.amazon.com/fsx/latest/LustreGuide/s3-server-side-encryption-support.html
    """
    stack = Stack.of(key)
    statement = iam.PolicyStatement(
        sid="AdmitLustreDataRepositories",
        # FSx makes the role with the first association, and KMS refuses a principal that does not
        # exist yet; so anyone is named, and the conditions leave only that role. The account as
        # principal would not do: the role's own policy, which is AWS's, says nothing about KMS.
        principals=[iam.AnyPrincipal()],
        actions=[
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey*",
            "kms:ReEncrypt*",
        ],
        # In a key policy, `*` is the key that holds the policy.
        resources=["*"],
        # AWS also matches kms:EncryptionContext:aws:s3:arn with the bucket, and names one file
        # system in the role. Both refer to the key, so the key cannot refer to them.
        conditions={
            "StringEquals": {
                "kms:CallerAccount": stack.account,
                "kms:ViaService": f"s3.{stack.region}.amazonaws.com",
            },
            "ArnLike": {
                "aws:PrincipalArn": stack.format_arn(
                    service="iam", region="", resource="role", resource_name=_S3_ROLE_PATH
                )
            },
        },
    )
    if not key.add_to_resource_policy(statement, allow_no_op=True).statement_added:
        Annotations.of(key).add_info(
            "This imported key's policy must admit AWSServiceRoleForFSxS3Access_* through S3, or "
            "FSx for Lustre cannot link the bucket that it encrypts; see docs/lustre.md."
        )
