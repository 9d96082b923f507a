"""The pods of a model server, as typed Python instead of templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llm_constructs import vllm
from llm_constructs.device_plugins import NEURON_SCHEDULER
from llm_constructs.scrape_configuration import scrape_annotations
from llm_constructs.specs.instance_type import EFA_RESOURCE, NEURON_CORE_RESOURCE, DeviceKind
from llm_constructs.specs.model_server import TEMPORARY_GIB, ModelServer
from llm_constructs.specs.model_source import WeightStore
from llm_constructs.specs.mounted_folder import MountedFolder
from llm_constructs.workload_namespaces import FILE_SYSTEM_CLAIM

AWS_CLI_IMAGE: Final = (
    "public.ecr.aws/aws-cli/aws-cli:2.36.15"
    "@sha256:310813a7eae8fd88da1cc9c37970e3500b0ff3984479e1012f0a6fd44e453f63"
)
"""What reads secrets as the pod's own role: no controller, and no Secret object in the cluster."""

LEAVING_SECONDS: Final = 25
"""How long a pod that goes away still takes requests: until the load balancer knows.

The controller deregisters a target within seconds:
https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/pod_readiness_gate/
"""

ENDING_SECONDS: Final = 30
"""How long vLLM may take to end once its last answer is given."""

NODE_MINUTES: Final = 15
"""What a node of an accelerator type needs to come, at the slow end, before a pod can start."""

CPU_SHARE: Final = 0.7
"""Of a pod's part of its node's processors: the rest is for what runs on every node."""

MEMORY_SHARE: Final = 0.8
"""The same of the node's memory."""

APPLICATION_LABEL: Final = "app.kubernetes.io/name"


@dataclass(frozen=True, kw_only=True)
class PodSite:
    """Where pods run, and what they reach.

    ``models_uri`` is the lake's models area with a slash at its end, ``mounted`` the mounted folder
    that holds the model, ``node_labels`` what their nodes carry, ``readiness_gate`` the condition
    by which a load balancer says that it sends requests, for pods that it sends any to.
    """

    namespace: str
    models_uri: str
    api_key_arn: str
    node_labels: Mapping[str, str]
    mounted: MountedFolder | None = None
    readiness_gate: str | None = None


def labels(server: ModelServer) -> dict[str, str]:
    """Return the labels of the pods that run the model."""
    return {APPLICATION_LABEL: server.name, "app.kubernetes.io/component": "model-server"}


def pod(server: ModelServer, site: PodSite, *, headless: bool = False) -> dict[str, Any]:
    """Return the template of a pod; one that is ``headless`` answers nobody but its leader."""
    spec: dict[str, Any] = {
        "serviceAccountName": server.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": {
            "node.kubernetes.io/instance-type": server.instance_type,
            "kubernetes.io/arch": str(server.row.architecture),
            **site.node_labels,
        },
        "tolerations": [
            {"key": taint.key, "operator": "Exists", "effect": taint.effect}
            for taint in server.row.taints()
        ],
        "topologySpreadConstraints": _spread(server) if server.nodes == 1 else [],
        "terminationGracePeriodSeconds": grace_seconds(server),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": vllm.USER,
            "runAsGroup": vllm.USER,
            "fsGroup": vllm.USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_secret_reader(server, site), *_cache_makers(server)],
        "containers": [_container(server, site, headless=headless)],
        "volumes": _volumes(server, site),
    }
    if server.row.device_kind is DeviceKind.NEURON and server.parallelism.shares_node:
        # The devices of a copy have to lie side by side, which only this scheduler sees to.
        spec["schedulerName"] = NEURON_SCHEDULER
    if site.readiness_gate and not headless:
        spec["readinessGates"] = [{"conditionType": site.readiness_gate}]
    # Who answers nobody has no metrics either.
    annotations = {} if headless else dict(scrape_annotations(port=vllm.PORT))
    return {"metadata": {"labels": labels(server), "annotations": annotations}, "spec": spec}


def grace_seconds(server: ModelServer) -> int:
    """Return how long a pod may take to go: leaving, draining, ending."""
    return LEAVING_SECONDS + server.drain_seconds + ENDING_SECONDS


def requests(server: ModelServer) -> dict[str, str]:
    """Return what the container requests: its devices, and its part of the node's other things."""
    parallelism = server.parallelism
    row = server.row
    part = parallelism.devices / row.accelerator_count
    left = row.allocatable()
    devices = {
        key: count * parallelism.devices // row.accelerator_count
        for key, count in row.resources(efa=False).items()
        if key != NEURON_CORE_RESOURCE
    }
    if server.efa:
        devices[EFA_RESOURCE] = row.resources(efa=True)[EFA_RESOURCE]
    return {
        "cpu": f"{int(left.cpu_millis * part * CPU_SHARE)}m",
        "memory": f"{int(left.memory_mib * part * MEMORY_SHARE)}Mi",
        "ephemeral-storage": f"{server.scratch_gib + TEMPORARY_GIB}Gi",
        **{key: str(count) for key, count in devices.items()},
    }


def _container(server: ModelServer, site: PodSite, *, headless: bool) -> dict[str, Any]:
    requested = requests(server)
    container: dict[str, Any] = {
        "name": "vllm",
        "image": vllm.image_of(server).name,
        "command": ["/bin/sh", "-ec", vllm.script(server, headless=headless), "vllm"],
        "args": vllm.arguments(server, models_uri=site.models_uri, mounted=site.mounted),
        "env": [
            *({"name": key, "value": text} for key, text in vllm.variables(server).items()),
            {"name": "VLLM_HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": {
            "requests": requested,
            # Processors are shared beyond the request: nothing is gained by throttling.
            "limits": {key: text for key, text in requested.items() if key != "cpu"},
        },
        "securityContext": _confined(),
        "volumeMounts": _mounts(server),
        "lifecycle": {"preStop": {"sleep": {"seconds": _stop_delay(server, headless=headless)}}},
    }
    if headless:
        return container
    health = {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 5}
    return {
        **container,
        "ports": [{"name": "http", "containerPort": vllm.PORT}],
        # Until it has succeeded the other two are silent, so a slow start is no failure.
        "startupProbe": {
            **health,
            "periodSeconds": 10,
            "failureThreshold": _startup_minutes(server) * 6,
        },
        "readinessProbe": {**health, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**health, "periodSeconds": 10, "failureThreshold": 6},
    }


def _startup_minutes(server: ModelServer) -> int:
    """Return how long the pod that answers may take.

    That of a copy over several nodes starts with the first of them, and waits for the others.
    """
    return server.startup_minutes + (NODE_MINUTES if server.nodes > 1 else 0)


def _stop_delay(server: ModelServer, *, headless: bool) -> int:
    """Return the seconds before SIGTERM, at which vLLM refuses what is new.

    A version that ends what it has begun at once gets the whole time for draining before it. So do
    the ranks of a copy's other nodes, which end at once in every version
    (https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/cli/serve.py): all pods of a
    copy are told to go together, and the leader's answers need them.
    """
    waits = vllm.image_of(server).drains and not headless
    return LEAVING_SECONDS if waits else LEAVING_SECONDS + server.drain_seconds


def _secret_reader(server: ModelServer, site: PodSite) -> dict[str, Any]:
    secrets = {"api-key": site.api_key_arn}
    if server.source.token_secret_arn is not None:
        secrets["hub-token"] = server.source.token_secret_arn
    read = 'aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text'
    loop = f'umask 077\nwhile [ $# -gt 0 ]; do {read} > "{vllm.SECRETS}/$2"; shift 2; done\n'
    return {
        "name": "secrets",
        "image": AWS_CLI_IMAGE,
        "command": ["/bin/sh", "-ec", loop, "secrets"],
        "args": [part for name, arn in secrets.items() for part in (arn, name)],
        "env": [{"name": "HOME", "value": vllm.SECRETS}, {"name": "AWS_PAGER", "value": ""}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": _confined(),
        "volumeMounts": [{"name": "secrets", "mountPath": vllm.SECRETS}],
    }


def _cache_makers(server: ModelServer) -> list[dict[str, Any]]:
    """Return what makes the folder for compiled models, which belongs to root on the file system.

    It is the one container that runs as root, and may do nothing there but give a folder away.
    """
    if server.row.device_kind is not DeviceKind.NEURON:
        return []
    folder = f"/lustre/{_compiled_path(server)}"
    return [
        {
            "name": "cache",
            "image": AWS_CLI_IMAGE,
            "command": [
                *("/bin/sh", "-ec"),
                f"mkdir -p {folder}\nchown {vllm.USER}:{vllm.USER} {folder}\n",
            ],
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"memory": "64Mi"},
            },
            "securityContext": {
                "runAsUser": 0,
                "runAsNonRoot": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
            },
            "volumeMounts": [{"name": "lustre", "mountPath": "/lustre"}],
        }
    ]


def _confined() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _spread(server: ModelServer) -> list[dict[str, Any]]:
    """Return the wish for different zones and nodes; where one is full, another will do."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels(server)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _volumes(server: ModelServer, site: PodSite) -> list[dict[str, Any]]:
    shared_gib = 8 if server.parallelism.tensor > 1 else 2
    volumes: list[dict[str, Any]] = [
        {"name": "secrets", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        # Ranks pass tensors through it; the default of 64 MiB is too small.
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": f"{shared_gib}Gi"}},
        {"name": "home", "emptyDir": {"sizeLimit": f"{server.scratch_gib}Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": f"{TEMPORARY_GIB}Gi"}},
    ]
    if _mounts_file_system(server):
        claim = {"claimName": FILE_SYSTEM_CLAIM}
        volumes.append({"name": "lustre", "persistentVolumeClaim": claim})
    if server.source.store == WeightStore.MOUNTPOINT and site.mounted is not None:
        mounted = {"claimName": site.mounted.claim, "readOnly": True}
        volumes.append({"name": "weights", "persistentVolumeClaim": mounted})
    return volumes


def _mounts(server: ModelServer) -> Sequence[Mapping[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": "secrets", "mountPath": vllm.SECRETS, "readOnly": True},
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - the kernel's own place
        {"name": "home", "mountPath": vllm.HOME},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]
    if server.source.store == WeightStore.LUSTRE:
        mounts.append(
            {
                "name": "lustre",
                "mountPath": vllm.WEIGHTS,
                "subPath": server.source.path,
                "readOnly": True,
            }
        )
    if server.source.store == WeightStore.MOUNTPOINT:
        mounts.append({"name": "weights", "mountPath": vllm.WEIGHTS, "readOnly": True})
    if server.row.device_kind is DeviceKind.NEURON:
        mounts.append(
            {"name": "lustre", "mountPath": vllm.COMPILED, "subPath": _compiled_path(server)}
        )
    return mounts


def _mounts_file_system(server: ModelServer) -> bool:
    neuron = server.row.device_kind is DeviceKind.NEURON
    return neuron or server.source.store == WeightStore.LUSTRE


def _compiled_path(server: ModelServer) -> str:
    return f"serving/compiled/{server.name}"
