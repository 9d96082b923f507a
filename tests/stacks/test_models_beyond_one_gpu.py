"""A model over two reserved nodes, and one on Inferentia, in an environment of their own."""

import json
from typing import Any

import pytest

from tests.constructs.model_servers import judge
from tests.minimal_environment import MINIMAL_WITH_ACCELERATORS
from tests.team_environment import TeamEnvironment

pytestmark = pytest.mark.slow

ENVIRONMENT = f"""{MINIMAL_WITH_ACCELERATORS}
[network.domain]
name = "llm.example.com"
hosted_zone_id = "Z0000000000000000TEAM"

[data]

[lustre]
repositories = [{{ path = "/models", data = "models" }}]

[eks.system_nodes]
ami_release = "1.36.3-20260903"

[eks.controllers]
leader_worker_set = true

[[eks.pools]]
name = "inferentia"
workload = "serving"
instance_types = ["inf2.24xlarge"]
capacity_types = ["on-demand"]
max_devices = 12
volume_gib = 300
ami_version = "v20260903"

[[eks.groups]]
name = "p5en"
instance_type = "p5en.48xlarge"
nodes = 2
zone = "us-east-2b"
ami_release = "1.36.3-20260903"
reservation_group_arn = "arn:aws:resource-groups:us-east-2:111111111111:group/p5en"

[[serving.models]]
name = "deepseek"
source = {{ path = "deepseek-v3.1/2026-11-01" }}
pool = "p5en"
instance_type = "p5en.48xlarge"
nodes = 2
efa = true
image = "registry.example.com/vllm-efa:0.28.0@sha256:{"0" * 64}"
startup_minutes = 90

[serving.models.shape]
parameters_billions = 671
layers = 61
attention_heads = 128
key_value_heads = 128
weights = "fp8"
cache_bytes_per_token = 70272

[[serving.models]]
name = "llama"
source = {{ store = "lustre", path = "models/llama-3.1-8b/2026-11-01" }}
shape = {{ parameters_billions = 8.0, layers = 32, attention_heads = 32, key_value_heads = 8 }}
pool = "inferentia"
instance_type = "inf2.24xlarge"
startup_minutes = 120
scaling = {{ minimum = 1, maximum = 4 }}
"""


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "".join(part if isinstance(part, str) else "x" for part in value["Fn::Join"][1])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> TeamEnvironment:
    return TeamEnvironment(ENVIRONMENT, tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="module")
def objects(environment: TeamEnvironment) -> dict[tuple[str, str], Any]:
    """The objects by kind and name, of an environment that synthesises without a finding."""
    assert environment.findings == []
    template = environment.template("serving")
    made = [
        json.loads(text(body["Manifest"]))[0]
        for body in template.properties("Custom::AWSCDK-EKS-KubernetesResource")
    ]
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def test_every_object_is_what_its_schema_says(objects: dict[tuple[str, str], Any]) -> None:
    assert len(objects) > 10
    for made in objects.values():
        judge(made)


def test_a_model_that_begins_to_spread_over_nodes_leaves_no_deployment_behind(
    environment: TeamEnvironment,
) -> None:
    """What is applied under the id of something else would leave that in the cluster."""
    ids = {
        (made.kind, made.name): made.logical_id.removeprefix("Models")
        for made in environment.contents.of_kind("Deployment", "LeaderWorkerSet", "Service")
    }
    assert ids["Deployment", "llama"].startswith("LlamaWorkload")
    assert ids["Service", "llama"].startswith("LlamaService")
    assert ids["LeaderWorkerSet", "deepseek"].startswith("DeepseekGroup")
    assert ids["Service", "deepseek-leaders"].startswith("DeepseekLeaderService")


def test_ranks_find_their_leader_before_it_is_ready(
    objects: dict[tuple[str, str], Any],
) -> None:
    """By a headless service that LeaderWorkerSet makes, unless its name is taken."""
    assert ("LeaderWorkerSet", "deepseek") in objects
    assert ("Service", "deepseek") not in objects
    binding = objects["TargetGroupBinding", "deepseek"]["spec"]
    leaders = objects["Service", binding["serviceRef"]["name"]]["spec"]["selector"]
    assert leaders["leaderworkerset.sigs.k8s.io/worker-index"] == "0"


def test_a_copy_over_nodes_runs_on_the_reserved_group_and_fills_it(
    objects: dict[tuple[str, str], Any],
) -> None:
    group = objects["LeaderWorkerSet", "deepseek"]["spec"]["leaderWorkerTemplate"]
    assert group["size"] == 2
    for template in (group["leaderTemplate"], group["workerTemplate"]):
        selector = template["spec"]["nodeSelector"]
        assert selector["eks.amazonaws.com/nodegroup"] == "llm-team-p5en"
        (container,) = template["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
        assert container["resources"]["limits"]["vpc.amazonaws.com/efa"] == "16"


def test_a_model_on_inferentia_reads_and_compiles_on_the_file_system(
    objects: dict[tuple[str, str], Any],
) -> None:
    spec = objects["Deployment", "llama"]["spec"]["template"]["spec"]
    assert spec["nodeSelector"]["karpenter.sh/nodepool"] == "inferentia"
    assert spec["schedulerName"] == "neuron-scheduler"
    (container,) = spec["containers"]
    mounted = {mount["mountPath"]: mount["subPath"] for mount in container["volumeMounts"]
               if mount["name"] == "lustre"}  # fmt: skip
    assert mounted == {
        "/models/weights": "models/llama-3.1-8b/2026-11-01",
        "/models/compiled": "serving/compiled/llama",
    }
    assert container["image"].startswith("public.ecr.aws/neuron/")


def test_only_the_model_that_can_grow_is_scaled(objects: dict[tuple[str, str], Any]) -> None:
    scaled = {name for kind, name in objects if kind == "ScaledObject"}
    assert scaled == {"llama"}
