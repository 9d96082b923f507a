"""JSON Web Tokens against a real server of signing keys on loopback."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from gateway.governance import oidc
from gateway.governance.budget import Limits
from gateway.governance.directory import TeamRecord
from gateway.governance.identity import Caller, Suspended, Unauthenticated
from gateway.governance.oidc import OidcAuthenticator
from tests.loopback_server import LoopbackHandler, LoopbackServer

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """A server that publishes one signing key and counts how often it is asked."""

    url: str
    requests: list[str] = field(default_factory=list)
    redirect_to: str | None = None

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "person-1",
            "aud": "gateway",
            "iat": now,
            "exp": now + 300,
            "custom:team": "search",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, *, key: Any = KEY, kid: str = "k1", algorithm: str = "RS256", **changes: object
    ) -> str:
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid})


class Teams:
    """A directory of one active and one suspended team."""

    def team(self, name: str) -> TeamRecord | None:
        status = {"search": "active", "closed": "suspended"}.get(name)
        if status is None:
            return None
        return TeamRecord(name, status, ("fast",), "redacted", Limits(), None)


class KeyServer(LoopbackServer):
    """Publishes the issuer's key under every path."""

    issuer: Issuer

    def __init__(self) -> None:
        super().__init__(KeyHandler)


class KeyHandler(LoopbackHandler):
    """Answers with the key, or with the redirect that the issuer is set to."""

    server: KeyServer

    def answer(self) -> None:
        assert self.command == "GET"
        issuer = self.server.issuer
        issuer.requests.append(self.path)
        if issuer.redirect_to:
            self.send(302, b"", {"Location": issuer.redirect_to})
            return
        key = {**RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1"}
        self.send(200, json.dumps({"keys": [key]}).encode())


@pytest.fixture(scope="module")
def key_server() -> Iterator[KeyServer]:
    with KeyServer() as server:
        yield server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys come from this very process, which may stand still for a while."""
    monkeypatch.setattr(oidc, "FETCH_TIMEOUT_SECONDS", 120)


@pytest.fixture
def issuer(key_server: KeyServer) -> Issuer:
    key_server.issuer = Issuer(f"{key_server.url}/pool")
    return key_server.issuer


def make(published_by: Issuer, **changes: Any) -> OidcAuthenticator:
    arguments = {"issuer": published_by.url, "audiences": ["gateway"], "teams": Teams(), **changes}
    return OidcAuthenticator(**arguments)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def call(authenticator: OidcAuthenticator, token: str) -> Caller:
    return authenticator.authenticate({"Authorization": f"Bearer {token}"})


def test_a_token_of_the_issuer_is_its_teams_caller(issuer: Issuer) -> None:
    caller = call(make(issuer), issuer.token())
    assert (caller.team, caller.models) == ("search", frozenset({"fast"}))
    assert caller.key_id.startswith("jwt-")
    assert "person-1" not in caller.key_id


def test_one_person_has_one_id_and_two_have_two(issuer: Issuer) -> None:
    authenticator = make(issuer)
    ids = [call(authenticator, issuer.token(sub=sub)).key_id for sub in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]


def test_cognitos_access_tokens_name_the_client_instead_of_the_audience(issuer: Issuer) -> None:
    token = issuer.token(aud=None, token_use="access", client_id="gateway")
    assert call(make(issuer), token).team == "search"


def test_a_list_with_one_team_is_that_team(issuer: Issuer) -> None:
    authenticator = make(issuer, team_claim="cognito:groups")
    groups: dict[str, Any] = {"cognito:groups": ["search"]}
    assert call(authenticator, issuer.token(**groups)).team == "search"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"iat": None},
        {"iat": 4_000_000_000},
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": None, "client_id": "gateway"},
        {"aud": None, "token_use": "access", "client_id": "another-client"},
        {"key": STRANGER},
        {"kid": "k2"},
    ],
)
def test_a_token_with_one_wrong_part_is_refused(issuer: Issuer, changes: dict[str, Any]) -> None:
    token = issuer.token(**changes)
    with pytest.raises(Unauthenticated, match="Sign in again") as caught:
        call(make(issuer), token)
    assert token not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("claim", [None, "", ["search", "closed"], [], 5])
def test_a_token_must_name_exactly_one_team(issuer: Issuer, claim: Any) -> None:
    with pytest.raises(Unauthenticated, match="exactly one team"):
        call(make(issuer), issuer.token(**{"custom:team": claim}))


@pytest.mark.parametrize("team", ["closed", "unheard-of"])
def test_a_team_that_may_not_call_is_suspended(issuer: Issuer, team: str) -> None:
    with pytest.raises(Suspended):
        call(make(issuer), issuer.token(**{"custom:team": team}))


def test_an_unsigned_token_is_refused(issuer: Issuer) -> None:
    token = jwt.encode(issuer.claims(), "", algorithm="none", headers={"kid": "k1"})
    with pytest.raises(Unauthenticated):
        call(make(issuer), token)


def test_a_token_signed_with_the_public_key_as_a_password_is_refused(issuer: Issuer) -> None:
    """Written by hand, because the library refuses to make such a token."""
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "k1"}, issuer.claims()]
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    with pytest.raises(Unauthenticated):
        call(make(issuer), f"{signed}.{encoded(signature)}")


def test_another_algorithm_of_the_same_key_is_refused(issuer: Issuer) -> None:
    with pytest.raises(Unauthenticated):
        call(make(issuer), issuer.token(algorithm="RS512"))


@pytest.mark.parametrize("text", ["a.b.c", "..", "é.é.é"])
def test_what_is_no_token_is_refused(issuer: Issuer, text: str) -> None:
    with pytest.raises(Unauthenticated):
        call(make(issuer), text)


def test_signing_keys_are_fetched_once_and_not_again_for_every_unknown_one(
    issuer: Issuer,
) -> None:
    authenticator = make(issuer)
    for number in range(5):
        call(authenticator, issuer.token())
        with pytest.raises(Unauthenticated):
            call(authenticator, issuer.token(kid=f"unknown-{number}"))
    assert issuer.requests == ["/pool/.well-known/jwks.json"]


def test_redirects_and_addresses_in_the_token_are_not_followed(issuer: Issuer) -> None:
    token = jwt.encode(
        issuer.claims(),
        KEY,
        "RS256",
        headers={"kid": "k1", "jku": f"{issuer.url}/evil", "x5u": f"{issuer.url}/evil"},
    )
    assert call(make(issuer), token).team == "search"
    issuer.redirect_to = f"{issuer.url}/evil"
    with pytest.raises(Unauthenticated):
        call(make(issuer), issuer.token())
    assert not [path for path in issuer.requests if "evil" in path]


def test_an_issuer_that_is_down_refuses(issuer: Issuer) -> None:
    down = Issuer("http://127.0.0.1:9/pool")
    with pytest.raises(Unauthenticated):
        call(make(down), down.token())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jwks_url": "https://elsewhere.example/keys"}, "not on the issuer's host"),
        ({"issuer": "http://idp.example"}, "must be fetched by https"),
        ({"audiences": []}, "No audience"),
        ({"algorithms": ["HS256"]}, "HS256"),
        ({"algorithms": ["none"]}, "none"),
        ({"algorithms": []}, "none at all"),
    ],
)
def test_what_cannot_be_trusted_is_refused_when_it_is_set_up(
    issuer: Issuer, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(issuer, **changes)
