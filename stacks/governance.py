"""The governance stack: the account's audit log, and a rule about tags."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_config as config
from aws_cdk import aws_s3 as s3
from constructs import Construct

from config import Environment
from llm_constructs.audit_trail import AuditTrail
from llm_constructs.specs.data_lake import DataClass
from llm_constructs.specs.governance import Governance
from stacks.data import DataStack
from stacks.layer import REQUIRED_TAGS, Layer


class GovernanceStack(Layer):
    """What the environment writes down about its account, as ``trail``, and its rule about tags.

    Budgets and cost monitors are in the observability stack, beside the topics that they tell.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        governance: Governance,
        data: DataStack | None,
    ) -> None:
        super().__init__(
            scope,
            "governance",
            environment=environment,
            description="audit log and rules about the account",
            holds_data=governance.audit_log is not None,
        )
        self.trail: AuditTrail | None = None
        if governance.audit_log is not None:
            self.trail = AuditTrail(
                self,
                "AuditTrail",
                name=f"llm-{environment.name}",
                audit_log=governance.audit_log,
                lake=_buckets(data),
                removal_policy=self.removal_policy,
            )
        if governance.tag_rule:
            config.ManagedRule(
                self,
                "RequiredTags",
                identifier=config.ManagedRuleIdentifiers.REQUIRED_TAGS,
                description="Resources bear the tags that say whom to call and to bill",
                # https://docs.aws.amazon.com/config/latest/developerguide/required-tags.html
                input_parameters={
                    f"tag{number}Key": tag for number, tag in enumerate(sorted(REQUIRED_TAGS), 1)
                },
            )


def _buckets(data: DataStack | None) -> Mapping[DataClass, Sequence[s3.IBucket]]:
    if data is None or data.lake is None:
        return {}
    return {
        data_class: [
            bucket,
            *([data.replicas[data_class].bucket] if data_class in data.replicas else []),
        ]
        for data_class, bucket in data.lake.buckets.items()
    }
