"""What an environment's file may say about models, and how it is refused."""

from pathlib import Path

import pytest

from config import environment_names, load
from llm_constructs.specs.model_placement import ModelPlacement
from llm_constructs.specs.problem import Problems
from tests.minimal_environment import MINIMAL_WITH_ACCELERATORS, loaded, problems_of

HEAD = MINIMAL_WITH_ACCELERATORS

DOMAIN = """
[network.domain]
name = "llm.example.com"
hosted_zone_id = "Z1"
"""

DATA = "[data]\n"

POOL = """
[[eks.pools]]
name = "gpus"
workload = "serving"
instance_types = ["g6e.2xlarge", "g6e.8xlarge"]
max_devices = 4
ami_version = "v20261110"
"""

MODEL = """
[[serving.models]]
name = "qwen"
source = { path = "qwen/1" }
shape = { parameters_billions = 8.2, layers = 36, attention_heads = 32, key_value_heads = 8 }
pool = "gpus"
instance_type = "g6e.2xlarge"
"""

FILE = HEAD + DOMAIN + DATA + POOL + MODEL

HUB = f"""store = "hub", path = "Qwen/Qwen3-8B", revision = "{"0" * 40}", \
token_secret_arn = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:hub-AbCdEf\""""

FROM_S3 = FILE.replace('path = "qwen/1"', 'store = "mountpoint", path = "qwen/1"')


def test_a_model_needs_five_keys(tmp_path: Path) -> None:
    serving = loaded(tmp_path, FILE).serving
    assert serving is not None
    (model,) = serving.models
    assert (model.parallelism.tensor, model.scaling.fixed) == (1, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (FILE.replace(DOMAIN, ""), "Add [network.domain], or remove [serving]."),
        (FILE.replace(POOL, ""), "Add [eks], or remove [serving]."),
        (FILE.replace(DATA, ""), "serving.models.0.source.store = 'lake'"),
        (FILE.replace('path = "qwen/1"', 'store = "lustre", path = "qwen/1"'), "Add [lustre]"),
        (
            FILE.replace('path = "qwen/1"', HUB),
            "The secret lies in eu-west-1, and pods ask Secrets Manager in us-east-2.",
        ),
        (FROM_S3, "It lies in no folder of the lake that the cluster mounts (none)."),
        (
            FROM_S3 + '[eks.controllers]\nmounted_models = ["llama"]\n',
            "'qwen/1': It lies in no folder of the lake that the cluster mounts (llama).",
        ),
        (
            FROM_S3.replace(DATA, "") + '[eks.controllers]\nmounted_models = ["qwen"]\n',
            "They are folders of the lake, and this environment has no lake.",
        ),
        (FILE.replace('pool = "gpus"', 'pool = "gpu"'), "serving.models.0.pool = 'gpu'"),
        (FILE.replace("g6e.2xlarge", "g6e.4xlarge", 1), "add the type there"),
        (FILE + MODEL, "serving.models = 'qwen'"),
        (FILE.replace("[[serving", '[serving]\nnamespace = "web"\n[[serving'), "namespace = 'web'"),
        (FILE + "scaling = { minimum = 1, maximum = 9 }\n", "serving.models.0.scaling.maximum = 9"),
        (
            FILE + "scaling = { minimum = 1, maximum = 2 }\n[eks.prometheus]\nenabled = false\n",
            "enabled = true in [eks.prometheus]",
        ),
        (
            FILE + "scaling = { maximum = 2 }\n[eks.controllers]\nautoscaling = false\n",
            "autoscaling = true in [eks.controllers]",
        ),
        (
            FILE + "prefix_routing = true\nscaling = { minimum = 2, maximum = 2 }\n",
            "The router's image is built for amd64",
        ),
        (
            FILE.replace('name = "qwen"', 'name = "api"')
            + '[gateway]\n[[gateway.models]]\nalias = "fast"\n'
            + 'model_id = "us.amazon.nova-2-lite-v1:0"\n',
            "The host of this name is the gateway's",
        ),
    ],
)
def test_models_that_the_environment_cannot_run_are_refused(
    tmp_path: Path, text: str, told: str
) -> None:
    assert told in problems_of(tmp_path, text)


@pytest.mark.parametrize(
    "nodes",
    [
        (
            '[[eks.pools]]\nname = "x86"\ninstance_families = ["m7i"]\nmax_vcpus = 8\n'
            'ami_version = "v20261110"\n'
        ),
        '[eks.system_nodes]\ninstance_type = "m7i.large"\n',
    ],
)
def test_routers_run_on_any_node_of_their_architecture(tmp_path: Path, nodes: str) -> None:
    routed = "prefix_routing = true\nscaling = { minimum = 1, maximum = 2 }\n"
    assert loaded(tmp_path, FILE + routed + nodes).serving is not None


def test_a_copy_on_several_nodes_needs_its_controller(tmp_path: Path) -> None:
    many = (
        MODEL.replace("g6e.2xlarge", "g6e.8xlarge")
        + f'nodes = 2\nefa = true\nimage = "a/b:1@sha256:{"0" * 64}"\n'
    )
    pool = POOL + 'efa = true\nzones = ["us-east-2b"]\n'
    efa = pool.replace('"g6e.2xlarge", ', "")
    told = problems_of(tmp_path, HEAD + DOMAIN + DATA + efa + many)
    assert "Set leader_worker_set = true in [eks.controllers], or use one node." in told


def test_neuron_needs_a_file_system_for_what_it_compiles(tmp_path: Path) -> None:
    text = FILE.replace('["g6e.2xlarge", "g6e.8xlarge"]', '["inf2.8xlarge"]')
    text = text.replace("g6e.2xlarge", "inf2.8xlarge").replace(
        'path = "qwen/1"',
        'store = "hub", path = "Qwen/Qwen3-8B", '
        'revision = "0123456789abcdef0123456789abcdef01234567"',
    )
    assert "What Neuron compiles is kept on the file system" in problems_of(tmp_path, text)


def test_every_wrong_model_is_told_at_once(tmp_path: Path) -> None:
    other = MODEL.replace('"qwen"', '"other"').replace('"gpus"', '"none"')
    told = problems_of(
        tmp_path, FILE.replace("gpus", "some").replace('name = "some"', 'name = "gpus"') + other
    )
    assert "serving.models.0.pool = 'some'" in told
    assert "serving.models.1.pool = 'none'" in told


def test_every_environment_serves_models_that_its_pools_have_room_for() -> None:
    # An emulator has no Kubernetes API (docs/adr/0044).
    for name in set(environment_names()) - {"local"}:
        environment = load(name)
        assert environment.serving is not None
        assert environment.eks is not None
        problems = Problems(name)
        placement = ModelPlacement(pools=environment.eks.pools, groups=environment.eks.groups)
        for model in environment.serving.models:
            placement.check(problems, model, field=model.name)
        problems.raise_if_any()
