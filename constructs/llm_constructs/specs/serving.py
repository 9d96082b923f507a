"""The models of one environment that vLLM serves on its cluster."""

from collections import Counter
from dataclasses import dataclass

from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.model_placement import ModelPlacement
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.model_source import WeightStore
from llm_constructs.specs.mounted_folder import MountedFolder, folder_that_holds
from llm_constructs.specs.problem import Problems


@dataclass(frozen=True, kw_only=True)
class ServingSurroundings:
    """What the rest of an environment has that models may need.

    ``namespaces`` are those of the cluster, ``mounts`` the folders of the lake that its pods mount;
    ``hosts`` maps first parts of host names that are taken to who has them.
    """

    placement: ModelPlacement
    namespaces: tuple[str, ...]
    has_lake: bool
    has_file_system: bool
    scales: bool
    """Whether KEDA and a Prometheus workspace are there."""
    has_leader_worker_sets: bool
    hosts: dict[str, str]
    mounts: tuple[MountedFolder, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Models on the cluster, each with a load balancer and a key of its own.

    Raises :class:`SpecificationError` with everything that cannot be.
    """

    models: tuple[ModelServer, ...]
    """The models. At least one."""
    namespace: str = "serving"
    """The namespace of the cluster that they run in."""

    def __post_init__(self) -> None:
        problems = Problems("serving")
        problems.require(
            bool(self.models),
            "models",
            [],
            "There is nothing to serve.",
            "Add [[serving.models]], or remove [serving].",
        )
        for name, times in Counter(model.name for model in self.models).items():
            problems.require(
                times == 1,
                "models",
                name,
                "Several models have this name, and callers could not tell them apart.",
                "Give each a name of its own.",
            )
        problems.raise_if_any()

    def check(self, problems: Problems, surroundings: ServingSurroundings) -> None:
        """Note everything that the models need and ``surroundings`` do not have."""
        problems.require(
            self.namespace in surroundings.namespaces,
            "serving.namespace",
            self.namespace,
            "The cluster has no such namespace.",
            f"Choose one of {', '.join(surroundings.namespaces)}, or add it to "
            "[eks.cluster] namespaces.",
        )
        for number, model in enumerate(self.models):
            field = f"serving.models.{number}"
            surroundings.placement.check(problems, model, field=field)
            _check_weights(problems, model, surroundings, field)
            _check_controllers(problems, model, surroundings, field)
            taken = surroundings.hosts.get(model.name)
            problems.require(
                taken is None,
                f"{field}.name",
                model.name,
                f"The host of this name is {taken}'s.",
                "Give the model another name.",
            )
        surroundings.placement.check_together(problems, self.models, field="serving.models")


def _check_weights(
    problems: Problems, model: ModelServer, surroundings: ServingSurroundings, field: str
) -> None:
    store = model.source.store
    problems.require(
        store != WeightStore.LAKE or surroundings.has_lake,
        f"{field}.source.store",
        str(store),
        "The environment has no lake that weights could lie in.",
        "Add [data], or take the weights from the hub.",
    )
    problems.require(
        store != WeightStore.LUSTRE or surroundings.has_file_system,
        f"{field}.source.store",
        str(store),
        "The environment has no file system that weights could lie on.",
        'Add [lustre], or say store = "lake".',
    )
    mounted = ", ".join(mount.path for mount in surroundings.mounts) or "none"
    problems.require(
        store != WeightStore.MOUNTPOINT
        or folder_that_holds(surroundings.mounts, model.source.path) is not None,
        f"{field}.source.path",
        model.source.path,
        f"It lies in no folder of the lake that the cluster mounts ({mounted}).",
        "Name it, or a folder above it, in mounted_models of [eks.controllers], or say "
        'store = "lake".',
    )
    problems.require(
        model.row.device_kind is not DeviceKind.NEURON or surroundings.has_file_system,
        f"{field}.instance_type",
        model.instance_type,
        "What Neuron compiles is kept on the file system, and there is none: every pod would "
        "compile the model anew, for up to an hour.",
        "Add [lustre], or choose an NVIDIA type.",
    )


def _check_controllers(
    problems: Problems, model: ModelServer, surroundings: ServingSurroundings, field: str
) -> None:
    problems.require(
        model.scaling.fixed or surroundings.scales,
        f"{field}.scaling.maximum",
        model.scaling.maximum,
        "Nothing would ever add or remove a copy: the cluster lacks KEDA, or metrics to scale by.",
        "Set autoscaling = true in [eks.controllers] and enabled = true in [eks.prometheus], or "
        "make minimum and maximum the same.",
    )
    problems.require(
        model.nodes == 1 or surroundings.has_leader_worker_sets,
        f"{field}.nodes",
        model.nodes,
        "A copy on several nodes is a LeaderWorkerSet, which the cluster does not know.",
        "Set leader_worker_set = true in [eks.controllers], or use one node.",
    )
