"""Scheduling policies and quotas, over SageMaker's API, whose calls differ in their names alone."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from task_governance.keeper import Configuration, GovernanceError, State

_MISSING = "ResourceNotFound"


class Kind(StrEnum):
    """What SageMaker calls a kind of objects."""

    SCHEDULING_POLICY = "ClusterSchedulerConfig"
    QUOTA = "ComputeQuota"


_NAMES = {Kind.SCHEDULING_POLICY: "scheduling policy", Kind.QUOTA: "compute quota"}

# Of a configuration, what only the creation takes.
_FIXED = ("Name", "ClusterArn", "Tags")


class SageMakerObjects:
    """The objects of one kind in this account and region."""

    def __init__(self, client: Any, kind: Kind) -> None:
        self._client = client
        self._kind = kind
        self.name = _NAMES[kind]

    def identity(self, configuration: Configuration) -> tuple[str, ...]:
        """Return the name, the cluster and, of a quota, the team."""
        target: Mapping[str, str] = configuration.get("ComputeQuotaTarget", {})
        return (configuration["Name"], configuration["ClusterArn"], target.get("TeamName", ""))

    def create(self, configuration: Configuration) -> str:
        """Begin to make an object and return its id."""
        return str(self._call("create", **configuration)[f"{self._kind}Id"])

    def update(self, object_id: str, version: int, configuration: Configuration) -> None:
        """Begin to change an object that has ``version``."""
        changes = {key: value for key, value in configuration.items() if key not in _FIXED}
        self._call("update", **self._id(object_id), TargetVersion=version, **changes)

    def delete(self, object_id: str) -> None:
        """Begin to delete an object; nothing happens when there is none."""
        self._call("delete", **self._id(object_id))

    def look(self, object_id: str) -> State | None:
        """Return the object's state, ``None`` when there is none."""
        told = self._call("describe", **self._id(object_id))
        if not told:
            return None
        return State(told["Status"], told[f"{self._kind}Version"], told.get("FailureReason"))

    def _id(self, object_id: str) -> dict[str, str]:
        return {f"{self._kind}Id": object_id}

    def _call(self, verb: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer, which is empty when an object that is named does not exist."""
        operation = getattr(self._client, f"{verb}{_snake_case(self._kind)}")
        try:
            answer: dict[str, Any] = operation(**parameters)
        except BotoCoreError as error:
            raise GovernanceError(f"SageMaker could not be reached: {error}.") from error
        except ClientError as error:
            told = error.response.get("Error", {})
            if verb in ("delete", "describe") and told.get("Code") == _MISSING:
                return {}
            raise GovernanceError(self._sentence(verb, told)) from error
        return answer

    def _sentence(self, verb: str, told: Mapping[str, Any]) -> str:
        message = told.get("Message", "").rstrip(".") or told.get("Code", "It says no more")
        said = f"SageMaker refused to {verb} the {self.name}: {message}."
        match told.get("Code"):
            case "ConflictException":
                return (
                    f"{said} A cluster has one scheduling policy, and one quota for each team: "
                    "delete what somebody made by hand, or wait until it has settled."
                )
            case "AccessDeniedException":
                return (
                    f"{said} Look for a service control policy or a permissions boundary that "
                    "denies it."
                )
            case _:
                return said


def _snake_case(kind: Kind) -> str:
    return re.sub(r"([A-Z])", r"_\1", kind).lower()
