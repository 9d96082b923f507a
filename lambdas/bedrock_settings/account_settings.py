"""The two account-wide settings of Bedrock, over its control plane."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bedrock_settings.custody import Configuration, SettingError

DESTINATIONS = ("cloudWatchConfig", "s3Config")
INITIAL_RETENTION: Mapping[str, str] = {"mode": "inherit"}
"""https://docs.aws.amazon.com/bedrock/latest/userguide/data-retention.html"""


class InvocationLogging:
    """Model-invocation logging: where Bedrock writes the requests and answers of every caller.

    Bedrock refuses roles and policies that are not yet known everywhere in AWS; such a refusal is
    tried again after each of ``pauses`` (seconds). ``restorable_roles`` are the roles that this
    function may pass to Bedrock when it puts an earlier setting back.
    """

    name = "model-invocation logging"

    def __init__(
        self, client: Any, *, restorable_roles: Iterable[str] = (), pauses: Sequence[float] = ()
    ) -> None:
        self._client = client
        self._restorable_roles = frozenset(restorable_roles)
        self._pauses = pauses

    def read(self) -> Configuration | None:
        """Return the logging configuration, or ``None`` when logging is off."""
        answer = _call(self._client.get_model_invocation_logging_configuration)
        configuration: dict[str, Any] | None = answer.get("loggingConfig")
        return configuration or None

    def write(self, configuration: Configuration) -> None:
        """Put a logging configuration in force."""
        for pause in (*self._pauses, None):
            try:
                self._client.put_model_invocation_logging_configuration(loggingConfig=configuration)
            except (ClientError, BotoCoreError) as error:
                if pause is None or not _awaits_permissions(error):
                    raise SettingError(_sentence(error)) from error
                time.sleep(pause)
            else:
                return

    def reset(self) -> None:
        """Turn logging off."""
        _call(self._client.delete_model_invocation_logging_configuration)

    def same(self, stated: Configuration, present: Configuration) -> bool:
        """Compare the destinations, and those switches that both sides state."""
        return all(
            _without_blanks(stated.get(key)) == _without_blanks(present.get(key))
            for key in DESTINATIONS
        ) and all(
            present.get(key, value) == value
            for key, value in stated.items()
            if key not in DESTINATIONS
        )

    def obstacle(self, configuration: Configuration) -> str | None:
        """Refuse a log group whose role this function may not pass to Bedrock."""
        role = (configuration.get("cloudWatchConfig") or {}).get("roleArn")
        if role is None or role in self._restorable_roles:
            return None
        return (
            f"The present {self.name} of this account and region uses the role {role}. To put it "
            "back later, this function must be allowed to pass that role to Bedrock. Name the role "
            "in earlier_role_arns of gateway.invocation_logging (in code: restorable_roles), or "
            "turn the present logging off first."
        )


class DataRetention:
    """The account's data-retention mode: whether AWS and the models' providers keep prompts."""

    name = "data-retention mode"

    def __init__(self, client: Any) -> None:
        self._client = client

    def read(self) -> Configuration | None:
        """Return the mode; there always is one."""
        return {"mode": _call(self._client.get_account_data_retention)["mode"]}

    def write(self, configuration: Configuration) -> None:
        """Put a mode in force."""
        _call(self._client.put_account_data_retention, mode=configuration["mode"])

    def reset(self) -> None:
        """Return to the mode of a new account."""
        self.write(INITIAL_RETENTION)

    def same(self, stated: Configuration, present: Configuration) -> bool:
        """Compare the modes."""
        return bool(stated["mode"] == present["mode"])

    def obstacle(self, _configuration: Configuration) -> str | None:
        """Find none: every mode can be put back."""
        return None


def _call(operation: Any, **parameters: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = operation(**parameters)
    except (ClientError, BotoCoreError) as error:
        raise SettingError(_sentence(error)) from error
    return answer


def _awaits_permissions(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return False
    told = error.response.get("Error", {})
    return told.get("Code") == "ValidationException" and "permission" in told.get("Message", "")


def _sentence(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, BotoCoreError):
        return f"Bedrock could not be reached: {error}."
    told = error.response.get("Error", {})
    message = told.get("Message", "").rstrip(".")
    said = f"Bedrock refused {error.operation_name}: {message or told.get('Code')}."
    match told.get("Code"):
        case "AccessDeniedException":
            return (
                f"{said} Look for a service control policy or a permissions boundary that denies "
                "it; when the message names iam:PassRole, name that role in earlier_role_arns "
                "of gateway.invocation_logging (in code: restorable_roles)."
            )
        case "ThrottlingException":
            return f"{said} It was tried several times. Wait some minutes and deploy again."
        case _:
            return said


def _without_blanks(value: Any) -> Any:
    """Drop empty members: the service may tell what was left out as empty, or the reverse."""
    if not isinstance(value, Mapping):
        return value
    kept = {key: _without_blanks(item) for key, item in value.items()}
    return {key: item for key, item in kept.items() if item not in (None, "", {})} or None
