"""The entry point of the authoriser: a REQUEST event in, an IAM policy out."""

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from authorizer.policy import allow, deny
from authorizer.settings import Settings
from gateway.governance.api_keys import ApiKeyAuthenticator
from gateway.governance.directory import Directory
from gateway.governance.identity import (
    Authenticator,
    CredentialRouter,
    Suspended,
    Unauthenticated,
)
from gateway.governance.oidc import OidcAuthenticator
from gateway.governance.versioned_secret import VersionedSecret

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient


class Authorizer:
    """Answers REQUEST events; unknown credentials become 401, suspended teams 403."""

    def __init__(
        self,
        authenticator: Authenticator,
        directory: Directory,
        usage_identifier_key: str | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._directory = directory
        self._usage_identifier_key = usage_identifier_key

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the policy for an event.

        Raises:
            Exception: with the message "Unauthorized", the only one that API Gateway turns into
                401; it does not keep that answer.
        """
        arn = event["methodArn"]
        try:
            caller = self._authenticator.authenticate(event.get("headers") or {})
        except Suspended as refusal:
            _log(event, "suspended", refusal)
            return deny(arn)
        except Unauthenticated as refusal:
            _log(event, "unauthenticated", refusal)
            raise Exception("Unauthorized") from None  # noqa: TRY002 - API Gateway's own word
        team = self._directory.team(caller.team)
        own = team.usage_identifier_key if team else None
        return allow(caller, arn, own or self._usage_identifier_key)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Answer one REQUEST event of API Gateway."""
    return _authorizer().answer(event)


@cache
def _authorizer() -> Authorizer:
    """Build the authoriser at the first event: nothing is called while the module is loaded."""
    from botocore.session import get_session

    settings = Settings.from_environment(os.environ)
    session = get_session()
    dynamodb = cast("DynamoDBClient", session.create_client("dynamodb"))
    secrets = cast("SecretsManagerClient", session.create_client("secretsmanager"))
    directory = Directory(dynamodb, settings.directory_table)
    peppers = VersionedSecret(secrets, settings.pepper_secret)
    tokens = settings.oidc_issuer and OidcAuthenticator(
        issuer=settings.oidc_issuer,
        audiences=settings.oidc_audiences,
        teams=directory,
        team_claim=settings.oidc_team_claim,
        jwks_url=settings.oidc_jwks_url,
    )
    router = CredentialRouter(keys=ApiKeyAuthenticator(directory, peppers), tokens=tokens or None)
    return Authorizer(router, directory, settings.usage_identifier_key)


def _log(event: Mapping[str, Any], outcome: str, refusal: Unauthenticated) -> None:
    request_context = event.get("requestContext") or {}
    line = {
        "event": "authorization",
        "outcome": outcome,
        "reason": refusal.reason,
        "request_id": request_context.get("requestId"),
    }
    sys.stdout.write(json.dumps(line) + "\n")
