"""Model servers for tests, and what judges the objects that are made of them."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from llm_constructs.model_server_pod import PodSite
from llm_constructs.specs.model_memory import ModelShape, Weights
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.model_source import ModelSource, WeightStore
from llm_constructs.specs.mounted_folder import MountedFolder
from llm_constructs.specs.replica_scaling import BusinessHours, ReplicaScaling
from ops.kubernetes.object_schemas import schemas_of

CRDS = os.environ.get("KUBERNETES_CRDS")
"""A folder with the CustomResourceDefinitions of KEDA and LeaderWorkerSet."""

KUBERNETES = "1.36"
BUILT_IN = {
    *("apps/v1", "policy/v1", "v1"),
    *("networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"),
}

IMAGE = f"registry.example.com/vllm:0.28.0@sha256:{'0' * 64}"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "arn:aws:secretsmanager:us-east-2:111111111111:secret:hub-AbCdEf"

SMALL = ModelShape(parameters_billions=8.2, layers=36, attention_heads=32, key_value_heads=8)
LARGE = ModelShape(
    parameters_billions=671, layers=61, attention_heads=128, key_value_heads=128,
    weights=Weights.FP8, cache_bytes_per_token=70_272,
)  # fmt: skip

SITE = PodSite(
    namespace="serving",
    models_uri="s3://models-bucket/models/",
    api_key_arn="arn:aws:secretsmanager:us-east-2:111111111111:secret:key-AbCdEf",
    node_labels={"karpenter.sh/nodepool": "gpus"},
    mounted=MountedFolder("team"),
    readiness_gate="target-health.elbv2.k8s.aws/model",
)


def server_of(**settings: Any) -> ModelServer:
    """Return an 8-billion model on one L40S, with ``settings`` in the place of its own."""
    defaults: dict[str, Any] = {
        "name": "model",
        "source": ModelSource(path="model/1"),
        "shape": SMALL,
        "pool": "gpus",
        "instance_type": "g6e.2xlarge",
    }
    return ModelServer(**{**defaults, **settings})


def hub(**settings: Any) -> ModelSource:
    """Return a model of the hub."""
    return ModelSource(
        **{"store": WeightStore.HUB, "path": "Qwen/Qwen3-8B", "revision": COMMIT, **settings}
    )


def variants() -> dict[str, ModelServer]:
    """Return a server of each kind that renders differently."""
    elastic = ReplicaScaling(minimum=0, maximum=4, business_hours=BusinessHours(replicas=2))
    lustre = ModelSource(store=WeightStore.LUSTRE, path="models/model/1")
    mountpoint = ModelSource(store=WeightStore.MOUNTPOINT, path="team/model/1")
    return {
        "streamed": server_of(),
        "mounted": server_of(source=lustre),
        "mounted-from-s3": server_of(source=mountpoint),
        "downloaded": server_of(source=hub(token_secret_arn=TOKEN)),
        "scaled": server_of(scaling=elastic),
        "routed": server_of(scaling=ReplicaScaling(minimum=2, maximum=8), prefix_routing=True),
        "sharded": server_of(instance_type="g6e.12xlarge", tensor_parallel=4),
        "across-nodes": server_of(
            instance_type="p5en.48xlarge",
            shape=LARGE,
            nodes=2,
            efa=True,
            image=IMAGE,
            scaling=ReplicaScaling(minimum=1, maximum=2),
        ),
        "inferentia": server_of(source=mountpoint, instance_type="inf2.8xlarge"),
        "trainium": server_of(source=lustre, instance_type="trn2.48xlarge", tensor_parallel=4),
    }


def judge(made: Any) -> None:
    """Validate one object strictly, by its CRD where it is none of Kubernetes's own.

    Kinds whose CRD is not there are let through; the test of those says that it is skipped.
    """
    if made["apiVersion"] in BUILT_IN:
        kubernetes_validate.validate(made, KUBERNETES, strict=True)
        return
    schema = _schemas().get(made["kind"])
    if schema is not None:
        jsonschema.Draft202012Validator(schema).validate(made)


@cache
def _schemas() -> dict[str, Any]:
    return {
        kind: schema
        for file in (Path(CRDS).glob("*.yaml") if CRDS else ())
        for (_, kind, _), schema in schemas_of(yaml.safe_load(file.read_text(encoding="utf-8")))
    }
