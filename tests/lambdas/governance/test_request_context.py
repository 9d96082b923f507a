"""Callers that API Gateway has authenticated."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.governance.administration import Administration, Team
from gateway.governance.directory import Directory
from gateway.governance.identity import REDACTION_MODES, Caller, Suspended, Unauthenticated
from gateway.governance.request_context import (
    CONTEXT_HEADER,
    RequestContextAuthenticator,
    caller_from,
    context_from,
)
from gateway.governance.versioned_secret import VersionedSecret
from tests.lambdas.governance.emulator import Emulator

ROLE = "arn:aws:iam::123456789012:role/service/batch-worker"
SESSION = "arn:aws:sts::123456789012:assumed-role/batch-worker/i-0abc"


@pytest.fixture
def authenticator(emulator: Emulator, directory_table: str) -> RequestContextAuthenticator:
    peppers = VersionedSecret(emulator.secrets_manager(), emulator.make_pepper())
    administration = Administration(emulator.dynamodb(), directory_table, peppers)
    administration.put_team(Team("batch", models=["fast"], redaction="metadata"))
    administration.put_team(Team("closed", suspended=True))
    administration.register_role(ROLE, "batch")
    administration.register_role("arn:aws:iam::123456789012:role/closed-worker", "closed")
    return RequestContextAuthenticator(Directory(emulator.dynamodb(), directory_table))


def headers(context: Any) -> dict[str, str]:
    return {CONTEXT_HEADER: json.dumps(context)}


@given(
    st.builds(
        Caller,
        key_id=st.text(min_size=1),
        team=st.text(min_size=1),
        models=st.none() | st.frozensets(st.from_regex(r"[a-z0-9.-]+", fullmatch=True), max_size=4),
        redaction=st.sampled_from(REDACTION_MODES),
    )
)
def test_a_caller_survives_the_way_through_api_gateway(caller: Caller) -> None:
    context = json.loads(json.dumps(context_from(caller)))
    assert caller_from({**context, "principalId": "x", "integrationLatency": 3}) == caller


def test_a_caller_of_our_authoriser_is_trusted(
    authenticator: RequestContextAuthenticator,
) -> None:
    caller = Caller("abc", "search", frozenset({"fast"}), "redacted")
    context = {"authorizer": context_from(caller), "identity": {"sourceIp": "192.0.2.1"}}
    assert authenticator.authenticate(headers(context)) == caller


def test_a_workload_is_known_by_its_role_whatever_its_session(
    authenticator: RequestContextAuthenticator,
) -> None:
    caller = authenticator.authenticate(headers({"identity": {"userArn": SESSION}}))
    assert caller == Caller(
        "role-123456789012-batch-worker", "batch", frozenset({"fast"}), "metadata"
    )


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "arn:aws:iam::123456789012:user/ada",
        "arn:aws:sts::123456789012:assumed-role/other-worker/i-0abc",
        "arn:aws:sts::999999999999:assumed-role/batch-worker/i-0abc",
    ],
)
def test_other_principals_are_refused(authenticator: RequestContextAuthenticator, arn: str) -> None:
    with pytest.raises(Unauthenticated, match="register"):
        authenticator.authenticate(headers({"identity": {"userArn": arn}}))


def test_a_role_of_a_suspended_team_is_told_so(
    authenticator: RequestContextAuthenticator,
) -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/closed-worker/x"
    with pytest.raises(Suspended):
        authenticator.authenticate(headers({"identity": {"userArn": arn}}))


@pytest.mark.parametrize("context", [None, [], "x"])
def test_a_context_that_is_no_object_is_refused(
    authenticator: RequestContextAuthenticator, context: Any
) -> None:
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(headers(context))


@pytest.mark.parametrize("sent", [{}, {CONTEXT_HEADER: "{broken"}])
def test_a_missing_or_broken_context_is_refused(
    authenticator: RequestContextAuthenticator, sent: dict[str, str]
) -> None:
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(sent)


@pytest.mark.parametrize(
    "change", [{"team": ""}, {"team": None}, {"redaction": "loud"}, {"models": 5}]
)
def test_a_context_that_is_not_whole_is_refused(change: dict[str, Any]) -> None:
    context = context_from(Caller("abc", "search", None, "full"))
    with pytest.raises(Unauthenticated):
        caller_from({**context, **change})
