"""Which optional controllers a cluster has."""

import re
from collections import Counter
from dataclasses import dataclass

from llm_constructs.specs.mounted_folder import MountedFolder
from llm_constructs.specs.problem import Problems

_FOLDER = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)*")

_LONGEST_FOLDER = 128
"""Characters: Kubernetes names claims and volumes after folders and namespaces."""


@dataclass(frozen=True, kw_only=True)
class Controllers:
    """Controllers that not every cluster needs. Kueue comes with the first team, and external-dns
    with the network's domain."""

    autoscaling: bool = True
    """KEDA, which scales model servers by what they and CloudWatch report."""
    leader_worker_set: bool = False
    """LeaderWorkerSet, for model servers that span several nodes."""
    mounted_models: tuple[str, ...] = ()
    """Folders of the lake's models that pods may mount from S3 through Mountpoint, such as
    `llama-4`: each namespace gets a claim for each. Left out: the driver is not installed."""

    def __post_init__(self) -> None:
        problems = Problems("controllers")
        for folder in self.mounted_models:
            problems.require(
                _FOLDER.fullmatch(folder) is not None
                and ".." not in folder.split("/")
                and len(folder) <= _LONGEST_FOLDER,
                "mounted_models",
                folder,
                "It is not a folder below models/ in the lake.",
                f"Give it in up to {_LONGEST_FOLDER} characters and without slashes at its ends, "
                "such as llama-4 or team/llama-4.",
            )
        problems.require(
            len(set(self.mounted_models)) == len(self.mounted_models),
            "mounted_models",
            list(self.mounted_models),
            "A folder is named twice.",
            "Name each once.",
        )
        for claim, count in Counter(folder.claim for folder in set(self.mounts)).items():
            problems.require(
                count == 1,
                "mounted_models",
                [folder.path for folder in self.mounts if folder.claim == claim],
                f"Both would be mounted by the claim {claim}.",
                "Name one of them otherwise, or a folder that holds both.",
            )
        problems.raise_if_any()

    @property
    def mounts(self) -> tuple[MountedFolder, ...]:
        """The folders of `mounted_models`."""
        return tuple(map(MountedFolder, self.mounted_models))
