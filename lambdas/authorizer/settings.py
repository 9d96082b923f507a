"""The environment variables of the authoriser."""

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """An environment variable is missing or cannot be used; the message names each of them."""


@dataclass(frozen=True)
class Settings:
    """What the authoriser is told.

    ``DIRECTORY_TABLE`` and ``PEPPER_SECRET`` are required. With ``OIDC_ISSUER`` and
    ``OIDC_AUDIENCES`` (separated by commas) it accepts JSON Web Tokens too; ``OIDC_TEAM_CLAIM``
    (default ``custom:team``) names the claim that holds the team, and ``OIDC_JWKS_URL`` where the
    signing keys are (default: below the issuer). ``USAGE_IDENTIFIER_KEY`` is the API Gateway key of
    teams that have none of their own.
    """

    directory_table: str
    pepper_secret: str
    oidc_issuer: str | None = None
    oidc_audiences: tuple[str, ...] = ()
    oidc_team_claim: str = "custom:team"
    oidc_jwks_url: str | None = None
    usage_identifier_key: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables.

        Raises:
            SettingsError: a required one is missing.
        """
        required = ["DIRECTORY_TABLE", "PEPPER_SECRET"]
        if environment.get("OIDC_ISSUER"):
            required.append("OIDC_AUDIENCES")
        missing = [name for name in required if not environment.get(name)]
        if missing:
            message = f"The environment variables {', '.join(missing)} must be set."
            raise SettingsError(message)
        audiences = environment.get("OIDC_AUDIENCES", "").split(",")
        return cls(
            directory_table=environment["DIRECTORY_TABLE"],
            pepper_secret=environment["PEPPER_SECRET"],
            oidc_issuer=environment.get("OIDC_ISSUER") or None,
            oidc_audiences=tuple(filter(None, (name.strip() for name in audiences))),
            oidc_team_claim=environment.get("OIDC_TEAM_CLAIM") or "custom:team",
            oidc_jwks_url=environment.get("OIDC_JWKS_URL") or None,
            usage_identifier_key=environment.get("USAGE_IDENTIFIER_KEY") or None,
        )
