"""Roles that AWS services assume to do one job."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.nag import acknowledge


class ServiceRole(iam.Role):
    """A role with permissions of its own, given by grants and statements after it is made.

    They are written into one inline policy, so at least one must be given.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, assumed_by: iam.IPrincipal, description: str
    ) -> None:
        super().__init__(scope, construct_id, assumed_by=assumed_by, description=description)
        acknowledge(
            self,
            "HIPAA.Security-IAMNoInlinePolicy",
            "NIST.800.53.R5-IAMNoInlinePolicy",
            "PCI.DSS.321-IAMNoInlinePolicy",
            reason="The policy belongs to this role alone and goes with it. A managed policy could "
            "be attached to other principals, and would outlive what it was made for; AWS advises "
            "inline policies for such one-to-one relationships.",
        )


class TaskRole(ServiceRole):
    """A role for tasks of ECS in this account, which run jobs of Batch too.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
    """

    def __init__(self, scope: Construct, construct_id: str, *, description: str) -> None:
        stack = Stack.of(scope)
        tasks_of_this_account = {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {
                "aws:SourceArn": stack.format_arn(
                    service="ecs", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME
                )
            },
        }
        super().__init__(
            scope,
            construct_id,
            assumed_by=iam.ServicePrincipal(
                "ecs-tasks.amazonaws.com", conditions=tasks_of_this_account
            ),
            description=description,
        )
