"""Which optional controllers a cluster has."""

import re
from dataclasses import dataclass

from llm_constructs.specs.problem import Problems

_FOLDER = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)*")


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
    `llama-4`. Left out: the driver is not installed."""

    def __post_init__(self) -> None:
        problems = Problems("controllers")
        for folder in self.mounted_models:
            problems.require(
                _FOLDER.fullmatch(folder) is not None and ".." not in folder.split("/"),
                "mounted_models",
                folder,
                "It is not a folder below models/ in the lake.",
                "Give it without slashes at its ends, such as llama-4 or team/llama-4.",
            )
        problems.require(
            len(set(self.mounted_models)) == len(self.mounted_models),
            "mounted_models",
            list(self.mounted_models),
            "A folder is named twice.",
            "Name each once.",
        )
        problems.raise_if_any()
