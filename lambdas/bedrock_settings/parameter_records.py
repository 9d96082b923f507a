"""The record of a setting in a parameter of Systems Manager."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bedrock_settings.custody import Record, SettingError


class ParameterRecords:
    """Keeps the record as JSON in the parameter called ``name``.

    A creation that does not overwrite is atomic, which makes the parameter a lock as well.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    def load(self) -> Record | None:
        """Return the record, if there is one."""
        answer = self._call("get_parameter", unless="ParameterNotFound")
        return Record(**json.loads(answer["Parameter"]["Value"])) if answer else None

    def create(self, record: Record) -> bool:
        """Keep a record unless there is one; return whether it was kept."""
        return bool(self._put(record, overwrite=False))

    def replace(self, record: Record) -> None:
        """Keep a record in place of the present one."""
        self._put(record, overwrite=True)

    def delete(self) -> None:
        """Forget the record; nothing happens when there is none."""
        self._call("delete_parameter", unless="ParameterNotFound")

    def _put(self, record: Record, *, overwrite: bool) -> dict[str, Any] | None:
        return self._call(
            "put_parameter",
            unless="ParameterAlreadyExists",
            Value=json.dumps(vars(record), sort_keys=True),
            Type="String",
            # A standard parameter holds 4 KB. Two logging configurations with the longest names
            # that S3, CloudWatch Logs and IAM allow need more; this tier then takes up to 8 KB.
            # https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
            Tier="Intelligent-Tiering",
            Overwrite=overwrite,
        )

    def _call(self, operation: str, *, unless: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the answer, or ``None`` when the service answers with the error ``unless``."""
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Name=self.name, **parameters)
        except ClientError as error:
            told = error.response.get("Error", {})
            if told.get("Code") == unless:
                return None
            raise SettingError(
                f"The parameter {self.name}, which remembers the earlier setting, could not be "
                f"used ({error.operation_name}): {told.get('Message') or told.get('Code')}"
            ) from error
        except BotoCoreError as error:
            raise SettingError(f"Systems Manager could not be reached: {error}.") from error
        return answer
