"""Folders of the lake's models that pods mount."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class MountedFolder:
    """The folder ``path`` below ``models/`` of the lake, without slashes at its ends."""

    path: str

    @property
    def claim(self) -> str:
        """The name of the claim that pods mount it by, in every namespace for workloads."""
        return f"models-{re.sub('[^a-z0-9]+', '-', self.path.lower()).strip('-')}"

    def holds(self, model: str) -> bool:
        """Whether the folder ``model`` is this one, or lies in it."""
        return f"{model}/".startswith(f"{self.path}/")

    def place_of(self, model: str) -> str:
        """Return where in this folder ``model`` lies; empty for the folder itself."""
        return model.removeprefix(self.path).strip("/")


def folder_that_holds(folders: Iterable[MountedFolder], model: str) -> MountedFolder | None:
    """Return the smallest of ``folders`` with the folder ``model`` in it, if there is one."""
    holding = [folder for folder in folders if folder.holds(model)]
    return max(holding, key=lambda folder: len(folder.path), default=None)
