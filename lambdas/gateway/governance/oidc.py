"""JSON Web Tokens of Cognito or another OpenID Connect provider."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from gateway.governance.api_keys import active_team
from gateway.governance.directory import TeamRecord
from gateway.governance.identity import Caller, Unauthenticated, credential, permitted_models

if TYPE_CHECKING:
    from jwt import PyJWKClient

REFUSAL = "The token is not valid for this gateway, or has expired. Sign in again."

LEEWAY_SECONDS = 30
"""Clocks of issuer and gateway may differ by this much (RFC 7519 §4.1.4: a small leeway)."""

FETCH_TIMEOUT_SECONDS = 3


class TeamDirectory(Protocol):
    """Where teams are looked up."""

    def team(self, name: str) -> TeamRecord | None:
        """Return a team's record, ``None`` when there is none."""
        ...


class OidcAuthenticator:
    """Authenticates JSON Web Tokens of one issuer.

    Signing keys come from ``jwks_url`` only (default: ``/.well-known/jwks.json`` below the
    issuer), which must be on the issuer's host; redirects are not followed, nothing a token says
    is fetched, and keys are cached for five minutes. The signature must be of one of
    ``algorithms`` (asymmetric ones; default RS256), and ``exp``, ``iat``, ``iss`` and the audience
    must hold. Cognito's access tokens carry ``client_id`` where ID tokens carry ``aud``
    (https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html).

    The team is the claim ``team_claim``: a string, or a list with one entry. The caller's
    ``key_id`` is a hash of issuer and subject, because a subject may name a person.

    Raises:
        ValueError: the issuer, the address of the keys or an algorithm cannot be trusted.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audiences: Sequence[str],
        teams: TeamDirectory,
        team_claim: str = "custom:team",
        algorithms: Sequence[str] = ("RS256",),
        jwks_url: str | None = None,
    ) -> None:
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._teams = teams
        self._team_claim = team_claim
        self._algorithms = tuple(algorithms)
        self._jwks_url = jwks_url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        self._client: PyJWKClient | None = None
        self._check()

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the token's caller; see :class:`~gateway.governance.identity.Authenticator`.

        Raises:
            Unauthenticated: the token, or any of its claims, does not hold.
            Suspended: the token is good and its team may not call.
        """
        claims = self._claims(credential(headers))
        self._check_audience(claims)
        team = active_team(self._teams.team(self._team_name(claims)))
        subject = hashlib.sha256(f"{self._issuer}\n{claims['sub']}".encode()).hexdigest()
        return Caller(
            key_id=f"jwt-{subject[:16]}",
            team=team.name,
            models=permitted_models(team.models),
            redaction=team.redaction,
        )

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt  # cryptography is loaded only where tokens are accepted

        try:
            key = self._keys().get_signing_key(str(jwt.get_unverified_header(token).get("kid")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self._algorithms),
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                # The audience is checked below: Cognito's access tokens have none.
                options={"require": ["exp", "iat", "iss", "sub"], "verify_aud": False},
            )
        except jwt.PyJWTError:
            # The cause is left out: its text may quote the token.
            raise Unauthenticated(REFUSAL) from None
        return claims

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        given = claims.get("aud")
        if given is None and claims.get("token_use") == "access":
            given = claims.get("client_id")
        audiences = [given] if isinstance(given, str) else given
        if not isinstance(audiences, list) or self._audiences.isdisjoint(map(str, audiences)):
            raise Unauthenticated(REFUSAL)

    def _team_name(self, claims: Mapping[str, Any]) -> str:
        claim = claims.get(self._team_claim)
        if isinstance(claim, list) and len(claim) == 1:
            claim = claim[0]
        if not isinstance(claim, str) or not claim:
            raise Unauthenticated(
                f"The token does not name exactly one team in the claim {self._team_claim}."
            )
        return claim

    def _keys(self) -> "PyJWKClient":
        if self._client is None:
            from jwt import PyJWKClient  # see _claims

            self._client = PyJWKClient(self._jwks_url, timeout=FETCH_TIMEOUT_SECONDS)
        return self._client

    def _check(self) -> None:
        issuer, keys = urlsplit(self._issuer), urlsplit(self._jwks_url)
        if keys.netloc != issuer.netloc:
            message = f"The signing keys at {self._jwks_url} are not on the issuer's host."
            raise ValueError(message)
        loopback = issuer.hostname in {"127.0.0.1", "::1", "localhost"}
        if keys.scheme != "https" and not loopback:
            message = f"The signing keys at {self._jwks_url} must be fetched by https."
            raise ValueError(message)
        if not self._audiences:
            raise ValueError("No audience is set; without one, any client's token would do.")
        weak = [name for name in self._algorithms if name[:2] not in {"RS", "ES", "PS", "Ed"}]
        if weak or not self._algorithms:
            message = f"Only asymmetric algorithms can be trusted, not {weak or 'none at all'}."
            raise ValueError(message)
