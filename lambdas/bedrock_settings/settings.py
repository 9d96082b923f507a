"""The environment variables of the function."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class SettingsError(Exception):
    """An environment variable is missing or cannot be used; the message names each of them."""


class SettingKind(StrEnum):
    """Which setting the function looks after."""

    INVOCATION_LOGGING = "invocation-logging"
    DATA_RETENTION = "data-retention"


@dataclass(frozen=True)
class Settings:
    """What the function is told.

    ``SETTING`` is a :class:`SettingKind`, ``RECORD_PARAMETER`` the name of the parameter that
    remembers the earlier setting, and ``RESTORABLE_ROLES`` (optional) the ARNs of roles, separated
    by commas, that may be passed to Bedrock again when an earlier setting is put back.
    """

    setting: SettingKind
    record_parameter: str
    restorable_roles: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables.

        Raises:
            SettingsError: one is missing or cannot be used.
        """
        problems = []
        setting = environment.get("SETTING", "")
        if setting not in list(SettingKind):
            problems.append(f"SETTING is {setting!r}. Set it to one of: {', '.join(SettingKind)}.")
        parameter = environment.get("RECORD_PARAMETER", "")
        if not parameter.startswith("/"):
            problems.append(f"RECORD_PARAMETER is {parameter!r}. Set it to a name that starts '/'.")
        if problems:
            raise SettingsError(" ".join(problems))
        roles = environment.get("RESTORABLE_ROLES", "").split(",")
        return cls(SettingKind(setting), parameter, tuple(filter(None, roles)))
