"""Callers that API Gateway has authenticated already, by our authoriser or by IAM."""

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.governance.api_keys import active_team
from gateway.governance.directory import TeamRecord
from gateway.governance.identity import (
    REDACTION_MODES,
    Caller,
    Unauthenticated,
    header,
    permitted_models,
)

CONTEXT_HEADER = "x-amzn-request-context"
"""Where the Lambda Web Adapter puts API Gateway's request context, as JSON, in place of whatever a
client sent under that name (https://github.com/awslabs/aws-lambda-web-adapter, ``src/lib.rs``)."""

ALL_MODELS = "*"

_ASSUMED_ROLE = re.compile(r"arn:aws[a-z-]*:sts::(\d{12}):assumed-role/([^/]+)/[^/]+")

REFUSAL = "API Gateway did not say who calls."


class RoleDirectory(Protocol):
    """Where teams and the roles of workloads are looked up."""

    def team(self, name: str) -> TeamRecord | None:
        """Return a team's record, ``None`` when there is none."""
        ...

    def team_of_role(self, account: str, role_name: str) -> str | None:
        """Return the team of a role, ``None`` when it is not known."""
        ...


class RequestContextAuthenticator:
    """Trusts the request context that API Gateway hands to the function.

    Use it only behind API Gateway: elsewhere, anybody can send the header. Requests of the IAM
    route are mapped from the caller's role to its team by the directory.
    """

    def __init__(self, directory: RoleDirectory) -> None:
        self._directory = directory

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller; see :class:`~gateway.governance.identity.Authenticator`.

        Raises:
            Unauthenticated: the context is missing or names nobody we know.
            Suspended: the role's team may not call.
        """
        context = _parsed(header(headers, CONTEXT_HEADER))
        authorizer = context.get("authorizer")
        if isinstance(authorizer, dict) and authorizer.get("key_id"):
            return caller_from(authorizer)
        identity = context.get("identity")
        arn = identity.get("userArn") if isinstance(identity, dict) else None
        return self._workload(str(arn or ""))

    def _workload(self, arn: str) -> Caller:
        match = _ASSUMED_ROLE.fullmatch(arn)
        team = match and self._directory.team_of_role(match[1], match[2])
        if not match or not team:
            raise Unauthenticated(
                "This role is not known to the gateway. Ask your platform team to register it."
            )
        record = active_team(self._directory.team(team))
        return Caller(
            key_id=f"role-{match[1]}-{match[2]}",
            team=record.name,
            models=permitted_models(record.models),
            redaction=record.redaction,
        )


def _parsed(text: str | None) -> dict[str, Any]:
    try:
        context = json.loads(text or "")
    except ValueError:
        context = None
    if not isinstance(context, dict):
        raise Unauthenticated(REFUSAL)
    return context


def context_from(caller: Caller) -> dict[str, str]:
    """Return the caller as an authoriser's context, which can hold no lists."""
    models = ALL_MODELS if caller.models is None else ",".join(sorted(caller.models))
    return {
        "key_id": caller.key_id,
        "team": caller.team,
        "models": models,
        "redaction": caller.redaction,
    }


def caller_from(context: Mapping[str, Any]) -> Caller:
    """Return the caller that :func:`context_from` wrote.

    Raises:
        Unauthenticated: a part is missing or not one of the values it can have.
    """
    parts = {name: context.get(name) for name in ("key_id", "team", "models", "redaction")}
    text = {name: part for name, part in parts.items() if isinstance(part, str)}
    if len(text) < len(parts) or not text["team"] or text["redaction"] not in REDACTION_MODES:
        raise Unauthenticated(REFUSAL)
    models = text["models"]
    return Caller(
        key_id=text["key_id"],
        team=text["team"],
        models=None if models == ALL_MODELS else frozenset(filter(None, models.split(","))),
        redaction=text["redaction"],
    )
