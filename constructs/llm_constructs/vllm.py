"""vLLM's images, arguments and variables for one model server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llm_constructs.specs.instance_type import DeviceKind, InstanceType
from llm_constructs.specs.model_memory import USABLE_SHARE
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.model_source import WeightStore
from llm_constructs.specs.mounted_folder import MountedFolder

PORT: Final = 8000
"""Where vLLM listens: its own default."""

HOME: Final = "/home/vllm"
"""The home of the user that the image has for those who do not run it as root."""

USER: Final = 2000
"""That user's number: https://github.com/vllm-project/vllm/pull/40275"""

SECRETS: Final = "/run/serving"
"""The folder, in memory, that the API key and a token of the hub are written to."""

WEIGHTS: Final = "/models/weights"
"""Where weights of the file system, or a folder of the lake, are mounted."""

COMPILED: Final = "/models/compiled"
"""Where what Neuron compiles is kept between starts."""

STREAMER: Final[Mapping[str, Any]] = {"concurrency": 16, "memory_limit": 5 * 1024**3}
"""Reads at once, and bytes of host memory for them.

https://docs.vllm.ai/en/stable/models/extensions/runai_model_streamer/
"""


KEPT_LONGER: Final = 60
"""Seconds for which vLLM keeps an idle connection beyond the load balancer.

Whoever closes first may close what the other is about to use, which callers see as a 502; vLLM's
own default is 5 seconds.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
https://github.com/vllm-project/vllm/pull/18472
"""


@dataclass(frozen=True)
class VllmImage:
    """An image of vLLM. ``drains`` is whether vLLM knows ``--shutdown-timeout`` (0.18 and later).

    https://github.com/vllm-project/vllm/pull/36666
    """

    name: str
    drains: bool


NVIDIA_IMAGE: Final = VllmImage(
    "docker.io/vllm/vllm-openai:v0.28.0"
    "@sha256:61fc8a896b0a4fbbbdc063bc4b0dbc25ce98e02b5050c24aeb7830ac02039b14",
    drains=True,
)
"""Built for CUDA 13, whose driver branch 580 the nodes' images carry. It lies at Docker's hub,
which limits pulls without an account: https://docs.docker.com/docker-hub/usage/pulls/
"""

TRAINIUM2_IMAGE: Final = VllmImage(
    "public.ecr.aws/neuron/pytorch-inference-vllm-neuronx"
    ":0.24.0.1.1.0-neuronx-py313-sdk2.32.0-ubuntu24.04",
    drains=True,
)
"""For Trainium2 alone, pinned by version.

https://awsdocs-neuron.readthedocs-hosted.com/en/latest/deploy/environments/quickstart-deploy-dlc.html
"""

NEURON_IMAGE: Final = VllmImage(
    "public.ecr.aws/neuron/pytorch-inference-vllm-neuronx"
    ":0.16.0-neuronx-py312-sdk2.30.0-ubuntu24.04",
    drains=False,
)
"""The last one for Inferentia2 and Trainium1, pinned by version; same source."""


def image_of(server: ModelServer) -> VllmImage:
    """Return the image that ``server`` names, or the platform's for its devices."""
    if server.image is not None:
        return VllmImage(server.image, drains=True)
    return _platform_image(server.row)


def _platform_image(row: InstanceType) -> VllmImage:
    if row.device_kind is not DeviceKind.NEURON:
        return NVIDIA_IMAGE
    return TRAINIUM2_IMAGE if row.family.startswith("trn2") else NEURON_IMAGE


def script(server: ModelServer, *, headless: bool = False) -> str:
    """Return the shell script that starts vLLM with the arguments that it is given.

    The API key is read from its file into the process's environment, so that neither the object in
    the cluster nor the list of processes shows it. Over several nodes, LeaderWorkerSet tells each
    pod its place (https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/).
    """
    parts = ["vllm", "serve", '"$@"']
    if server.nodes > 1:
        parts += ["--node-rank", '"$LWS_WORKER_INDEX"', "--master-addr", '"$LWS_LEADER_ADDRESS"']
    if headless:
        parts.append("--headless")
    return f'VLLM_API_KEY="$(cat {SECRETS}/api-key)"\nexport VLLM_API_KEY\nexec {" ".join(parts)}\n'


def arguments(
    server: ModelServer, *, models_uri: str, mounted: MountedFolder | None = None
) -> list[str]:
    """Return vLLM's arguments; ``models_uri`` is where the lake keeps models, with a slash, and
    ``mounted`` the folder of it that is mounted at :data:`WEIGHTS`.

    https://docs.vllm.ai/en/stable/configuration/engine_args/
    """
    parallelism = server.parallelism
    values: dict[str, str] = {
        "--served-model-name": server.name,
        "--host": "0.0.0.0",  # noqa: S104 - the pod's own network
        "--port": str(PORT),
        "--tensor-parallel-size": str(parallelism.tensor),
        "--max-model-len": str(server.max_model_tokens),
        "--max-num-seqs": str(server.max_sequences),
        **_loading(server),
    }
    if server.row.device_kind is DeviceKind.NVIDIA:
        values["--gpu-memory-utilization"] = str(USABLE_SHARE)
    if image_of(server).drains:
        values["--shutdown-timeout"] = str(server.drain_seconds)
    if server.nodes > 1:
        values |= {
            "--distributed-executor-backend": "mp",
            "--pipeline-parallel-size": str(server.nodes),
            "--nnodes": str(server.nodes),
        }
    if server.reasoning_parser is not None:
        values["--reasoning-parser"] = server.reasoning_parser
    # Callers pay less for what the cache held, so that they must be told.
    switches = ["--enable-prompt-tokens-details"]
    if server.tool_parser is not None:
        values["--tool-call-parser"] = server.tool_parser
        switches.append("--enable-auto-tool-choice")
    pairs = (part for pair in values.items() for part in pair)
    return [_model(server, models_uri, mounted), *pairs, *switches]


def variables(server: ModelServer) -> dict[str, str]:
    """Return vLLM's environment: a writable home, nothing sent to its makers, no other way out."""
    names = {
        "HOME": HOME,
        # torch asks for the user's name, which not every image has for the number.
        "USER": "vllm",
        "LOGNAME": "vllm",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": str(server.idle_timeout_seconds + KEPT_LONGER),
    }
    if server.source.store == WeightStore.HUB:
        if server.source.token_secret_arn is not None:
            names["HF_TOKEN_PATH"] = f"{SECRETS}/hub-token"
    else:
        names["HF_HUB_OFFLINE"] = "1"
    if server.row.device_kind is DeviceKind.NEURON:
        # The first is the plugin's for Trainium2, the others that of NxD Inference before it.
        names |= {
            "VLLM_CACHE_ROOT": COMPILED,
            "NEURON_COMPILED_ARTIFACTS": f"{COMPILED}/artifacts",
            "NEURON_COMPILE_CACHE_URL": f"{COMPILED}/neff",
        }
    if server.efa:
        # Huge pages would have to be requested, and Karpenter launches no node for a pod that does:
        # https://github.com/aws/karpenter-provider-aws/issues/3315
        names |= {"FI_PROVIDER": "efa", "FI_EFA_USE_HUGE_PAGE": "0", "NCCL_DEBUG": "INFO"}
    return names


def _model(server: ModelServer, models_uri: str, mounted: MountedFolder | None) -> str:
    match server.source.store:
        case WeightStore.LAKE:
            return f"{models_uri}{server.source.path}"
        case WeightStore.MOUNTPOINT:
            place = mounted.place_of(server.source.path) if mounted else ""
            return f"{WEIGHTS}/{place}".rstrip("/")
        case WeightStore.LUSTRE:
            return WEIGHTS
        case WeightStore.HUB:
            return server.source.path


def _loading(server: ModelServer) -> dict[str, str]:
    match server.source.store:
        case WeightStore.LAKE:
            # Ranks share the reading, so that each byte leaves S3 once.
            extra = {**STREAMER, "distributed": server.parallelism.tensor > 1}
            return {
                "--load-format": "runai_streamer",
                "--model-loader-extra-config": json.dumps(extra, sort_keys=True),
            }
        case WeightStore.HUB:
            return {"--revision": server.source.revision or ""}
        case WeightStore.MOUNTPOINT if server.row.device_kind is DeviceKind.NVIDIA:
            # Whole files, from beginning to end, which Mountpoint reads ahead of; by default they
            # are mapped into memory. https://github.com/vllm-project/vllm/pull/24469
            return {"--safetensors-load-strategy": "eager"}
        case WeightStore.MOUNTPOINT | WeightStore.LUSTRE:
            return {}
