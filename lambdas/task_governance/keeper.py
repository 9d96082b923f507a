"""Making, changing and deleting one object, and waiting until it is so: no call of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

Configuration = Mapping[str, Any]

SETTLED = frozenset({"Created", "Updated"})
MOVING = frozenset({"Creating", "Updating", "Deleting"})


class GovernanceError(Exception):
    """The object cannot be made or changed; the message says why and what to do."""


@dataclass(frozen=True)
class State:
    """What SageMaker says of an object."""

    status: str
    version: int
    reason: str | None


class Objects(Protocol):
    """Objects of one kind. Calls raise :class:`GovernanceError`."""

    @property
    def name(self) -> str:
        """What sentences call one of them."""

    def identity(self, configuration: Configuration) -> tuple[str, ...]:
        """Return what of a configuration can never be changed."""

    def create(self, configuration: Configuration) -> str:
        """Begin to make an object and return its id."""

    def update(self, object_id: str, version: int, configuration: Configuration) -> None:
        """Begin to change an object that has ``version``."""

    def delete(self, object_id: str) -> None:
        """Begin to delete an object; nothing happens when there is none."""

    def look(self, object_id: str) -> State | None:
        """Return the object's state, ``None`` when there is none."""


class Keeper:
    """Brings objects into a state, and waits for it as long as ``pauses`` (in seconds) last."""

    def __init__(
        self,
        objects: Objects,
        *,
        pauses: Sequence[float],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._objects = objects
        self._pauses = pauses
        self._sleep = sleep

    def create(self, wanted: Configuration) -> str:
        """Make an object and return its id.

        Raises:
            GovernanceError: SageMaker refuses or fails. Nothing is left behind, for CloudFormation
                sends no Delete for a creation that failed.
        """
        object_id = self._objects.create(wanted)
        try:
            self._settle(object_id)
        except GovernanceError:
            with suppress(GovernanceError):
                self._objects.delete(object_id)
            raise
        return object_id

    def update(self, object_id: str, wanted: Configuration, old: Configuration) -> str:
        """Change an object, or make another one in its place; return the id of what there is now.

        An object in place of another has another id, upon which CloudFormation deletes the first.

        Raises:
            GovernanceError: SageMaker refuses or fails.
        """
        if self._objects.identity(wanted) != self._objects.identity(old):
            return self.create(wanted)
        state = self._objects.look(object_id)
        if state is None:
            return self.create(wanted)
        self._objects.update(object_id, state.version, wanted)
        self._settle(object_id)
        return object_id

    def delete(self, object_id: str) -> None:
        """Delete an object, if there is one.

        Raises:
            GovernanceError: SageMaker refuses or fails.
        """
        self._objects.delete(object_id)
        for pause in (0, *self._pauses):
            self._sleep(pause)
            state = self._objects.look(object_id)
            if state is None or state.status == "Deleted":
                return
            self._check(object_id, state)
        raise self._late(object_id)

    def _settle(self, object_id: str) -> None:
        for pause in (0, *self._pauses):
            self._sleep(pause)
            state = self._objects.look(object_id)
            if state is not None and state.status in SETTLED:
                return
            if state is not None:
                self._check(object_id, state)
        raise self._late(object_id)

    def _check(self, object_id: str, state: State) -> None:
        if state.status not in MOVING | SETTLED:
            reason = (state.reason or "It says no more.").rstrip(".")
            raise GovernanceError(
                f"The {self._objects.name} {object_id} is {state.status}: {reason}. See that the "
                "add-on amazon-sagemaker-hyperpod-taskgovernance is active and its pods run."
            )

    def _late(self, object_id: str) -> GovernanceError:
        return GovernanceError(
            f"The {self._objects.name} {object_id} was still being changed after "
            f"{round(sum(self._pauses) / 60)} minutes. See that the add-on "
            "amazon-sagemaker-hyperpod-taskgovernance is active, and deploy again."
        )
