"""The tables of the gateway: who may call, and what has been used."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge

OPEN_LEASES = "open-leases"
"""The ledger's index of reservations that nobody has settled."""

EXPIRES_AT = "expires_at"
"""The ledger's attribute with the second after which DynamoDB deletes an item."""

RECOVERY_DAYS = 35
"""The longest that DynamoDB offers.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
"""


class GatewayTables(Construct):
    """The ``directory`` of teams, keys and roles, and the ``ledger`` of budgets.

    Both can be brought back to any second of the last 35 days, and neither is deleted with its
    stack unless ``removal_policy`` says so.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: CustomerKey,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._key = encryption_key
        self._removal_policy = removal_policy
        self.directory = self._make_table("Directory")
        self.ledger = self._make_table("Ledger", time_to_live_attribute=EXPIRES_AT)
        self.ledger.add_global_secondary_index(
            index_name=OPEN_LEASES,
            partition_key=_attribute("open_team", dynamodb.AttributeType.STRING),
            sort_key=_attribute("lease_until", dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        acknowledge(
            self,
            "HIPAA.Security-DynamoDBInBackupPlan",
            "NIST.800.53.R5-DynamoDBInBackupPlan",
            reason="Point-in-time recovery keeps every second of the last 35 days, and the tables "
            "are protected from deletion where the environment retains its data. A copy that is "
            "older would bring revoked keys back.",
        )

    def grant_look_up(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` look teams, keys and roles up."""
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["dynamodb:GetItem"],
            resource_arns=[self.directory.table_arn],
        ).combine(self._key.grant_decrypt(grantee))

    def grant_account(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` reserve and settle what is used, and find reservations left over."""
        items = iam.Grant.add_to_principal(
            grantee=grantee,
            actions=[
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ],
            resource_arns=[self.ledger.table_arn],
        )
        leases = iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["dynamodb:Query"],
            resource_arns=[f"{self.ledger.table_arn}/index/{OPEN_LEASES}"],
        )
        return items.combine(leases).combine(self._key.grant_encrypt_decrypt(grantee))

    def _make_table(
        self, construct_id: str, *, time_to_live_attribute: str | None = None
    ) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            construct_id,
            partition_key=_attribute("id", dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self._key,
            time_to_live_attribute=time_to_live_attribute,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True, recovery_period_in_days=RECOVERY_DAYS
            ),
            deletion_protection=self._removal_policy is RemovalPolicy.RETAIN,
            removal_policy=self._removal_policy,
        )


def _attribute(name: str, kind: dynamodb.AttributeType) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=kind)
