"""What is accepted about roles that are given areas of the lake."""

from aws_cdk import aws_iam as iam

from llm_constructs.nag import acknowledge


def acknowledge_lake_access(role: iam.IRole, *prefixes: str, reason: str) -> None:
    """Accept the patterns of the CDK's grants to read and to put below ``prefixes``.

    ``reason`` says why the role needs all of what is there.
    """
    acknowledge(
        role,
        "AwsSolutions-IAM5[Action::s3:GetObject*]",
        "AwsSolutions-IAM5[Action::s3:GetBucket*]",
        "AwsSolutions-IAM5[Action::s3:List*]",
        "AwsSolutions-IAM5[Action::s3:Abort*]",
        "AwsSolutions-IAM5[Action::kms:GenerateDataKey*]",
        "AwsSolutions-IAM5[Action::kms:ReEncrypt*]",
        *(f"AwsSolutions-IAM5[Resource::.../{prefix}*]" for prefix in prefixes),
        reason=f"{reason} The actions are those of the CDK's grants to read and to put; none of "
        "them deletes.",
    )
