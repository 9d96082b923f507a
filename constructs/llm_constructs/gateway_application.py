"""What the gateway's application is told and may do, wherever it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.gateway_tables import GatewayTables
from llm_constructs.guardrail import Guardrail
from llm_constructs.model_access import grant_models
from llm_constructs.model_endpoint import ModelEndpoint
from llm_constructs.nag import acknowledge
from llm_constructs.specs.gateway import Gateway
from llm_constructs.versioned_secret import VersionedKeySecret

DEADLINE_SECONDS = 840
"""The longest answer: a minute less than a function runs and a load balancer waits, in which the
application settles what the answer cost."""


@dataclass(frozen=True, kw_only=True)
class GatewayApplication:
    """One application, in a function or a container, on the same tables, secrets and models.

    ``log_guardrail`` masks the request log a second time, where there is one. ``endpoints`` are the
    environment's own models that the gateway offers.
    """

    gateway: Gateway
    environment_name: str
    tables: GatewayTables
    pseudonyms: VersionedKeySecret
    guardrail: Guardrail
    log_guardrail: Guardrail | None
    endpoints: Sequence[ModelEndpoint] = ()

    def environment(self) -> dict[str, str]:
        """Return the variables that are the same everywhere.

        Whoever runs the application adds ``GATEWAY_MODELS``, ``GATEWAY_IDENTITY`` and what that
        identity needs.
        """
        return {
            "GATEWAY_ENVIRONMENT": self.environment_name,
            "GATEWAY_DIRECTORY_TABLE": self.tables.directory.table_name,
            "GATEWAY_LEDGER_TABLE": self.tables.ledger.table_name,
            "GATEWAY_PSEUDONYM_SECRET": self.pseudonyms.secret_arn,
            "GATEWAY_GUARDRAIL_ID": self.guardrail.id,
            "GATEWAY_GUARDRAIL_VERSION": self.guardrail.version,
            "GATEWAY_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
            **self._log_guardrail_environment(),
            **self._server_environment(),
        }

    def grant(self, role: iam.Role, *, scope: Construct) -> None:
        """Let ``role`` do what the application does; ARNs are those of the stack of ``scope``.

        Only who checks credentials itself needs more: the pepper of the keys.
        """
        self.tables.grant_look_up(role)
        self.tables.grant_account(role)
        self.pseudonyms.grant_read(role)
        if self.log_guardrail:
            self.log_guardrail.grant_apply(role)
        acknowledge(
            role,
            "AwsSolutions-IAM5[Action::kms:GenerateDataKey*]",
            "AwsSolutions-IAM5[Action::kms:ReEncrypt*]",
            reason="DynamoDB asks both variants of each action of whoever writes to a table that "
            "a customer's key encrypts. They are allowed on the gateway's own key only.",
        )
        for endpoint in self.endpoints:
            endpoint.grant_call(role)
        grant_models(role, scope=scope, gateway=self.gateway, guardrail=self.guardrail)

    def _server_environment(self) -> Mapping[str, str]:
        if not self.endpoints:
            return {}
        pairs = (f"{endpoint.model}={endpoint.api_key.secret_arn}" for endpoint in self.endpoints)
        return {"GATEWAY_SERVER_KEYS": ",".join(pairs)}

    def _log_guardrail_environment(self) -> Mapping[str, str]:
        if self.log_guardrail is None:
            return {}
        return {
            "GATEWAY_LOG_GUARDRAIL_ID": self.log_guardrail.id,
            "GATEWAY_LOG_GUARDRAIL_VERSION": self.log_guardrail.version,
        }
