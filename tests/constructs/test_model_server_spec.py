"""What model servers refuse, each with a remedy."""

from datetime import UTC, datetime
from typing import Any

import pytest

from llm_constructs.specs.capacity_block import CapacityBlock
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.karpenter_pool import CapacityType, KarpenterPool, Workload
from llm_constructs.specs.model_memory import ModelShape, Weights
from llm_constructs.specs.model_placement import ModelPlacement
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.model_source import ModelSource, WeightStore
from llm_constructs.specs.node_group import ReservedNodeGroup
from llm_constructs.specs.problem import Problems, SpecificationError
from llm_constructs.specs.replica_scaling import BusinessHours, ReplicaScaling
from tests.constructs.model_servers import COMMIT, IMAGE, LARGE, SMALL, TOKEN, server_of

FILES = ModelSource(store=WeightStore.LUSTRE, path="model/1")
KEY = "arn:aws:kms:us-east-2:111111111111:key/1"
TWO_NODES = {"instance_type": "p5en.48xlarge", "shape": LARGE, "nodes": 2, "efa": True}


def refused(**settings: Any) -> str:
    with pytest.raises(SpecificationError) as caught:
        server_of(**settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "field", "remedy"),
    [
        ({"name": "Model_1"}, "name", "lower-case letters"),
        ({"name": "m" * 31}, "name", "up to 30"),
        ({"instance_type": "g6e.3xlarge"}, "instance_type", "g6e.2xlarge"),
        ({"instance_type": "m7g.large"}, "instance_type", "Choose a type with one"),
        ({"instance_type": "g6.xlarge", "max_model_tokens": 131072}, "instance_type", "smaller"),
        ({"shape": LARGE, "instance_type": "g6e.48xlarge"}, "instance_type", "more memory"),
        ({"tensor_parallel": 3, "instance_type": "g6e.12xlarge"}, "tensor_parallel", "leave it"),
        ({"tensor_parallel": 2}, "tensor_parallel", "Choose one of these"),
        (
            {
                "tensor_parallel": 4,
                "instance_type": "g6e.12xlarge",
                "shape": ModelShape(
                    parameters_billions=7, layers=28, attention_heads=14, key_value_heads=2
                ),
            },
            "tensor_parallel",
            "Choose a size that does",
        ),
        (
            {"tensor_parallel": 1, "instance_type": "g6e.48xlarge", "max_model_tokens": 131072},
            "tensor_parallel",
            "fewer max_model_tokens",
        ),
        ({**TWO_NODES, "image": IMAGE, "tensor_parallel": 4}, "tensor_parallel", "leave it out"),
        ({**TWO_NODES, "image": IMAGE, "efa": False}, "nodes", "Set efa = true"),
        ({**TWO_NODES, "image": IMAGE, "nodes": 62}, "nodes", "in between"),
        ({**TWO_NODES}, "image", "Deep Learning Container"),
        ({"efa": True, "image": IMAGE}, "efa", "g6e.2xlarge has no EFA"),
        ({"efa": True, "image": IMAGE, "instance_type": "g6e.8xlarge"}, "efa", "Set efa = false"),
        ({"nodes": 0}, "nodes", "in between"),
        ({"image": "vllm/vllm-openai:latest"}, "image", "@sha256:"),
        ({"prefix_routing": True}, "prefix_routing", "Raise scaling.maximum"),
        (
            {"prefix_routing": True, "scaling": ReplicaScaling(minimum=0, maximum=2)},
            "prefix_routing",
            "Raise scaling.minimum",
        ),
        (
            {
                **TWO_NODES,
                "image": IMAGE,
                "prefix_routing": True,
                "scaling": ReplicaScaling(maximum=2),
            },
            "prefix_routing",
            "several nodes",
        ),
        ({"idle_timeout_seconds": 60}, "idle_timeout_seconds", "900 to 4000"),
        ({"idle_timeout_seconds": 4001}, "idle_timeout_seconds", "900 to 4000"),
        ({"drain_seconds": 10}, "drain_seconds", "in between"),
        ({"drain_seconds": 3600}, "drain_seconds", "in between"),
        ({"startup_minutes": 1}, "startup_minutes", "in between"),
        ({"max_model_tokens": 0}, "max_model_tokens", "in between"),
        ({"full_length_requests": 0}, "full_length_requests", "in between"),
        ({"max_sequences": 0}, "max_sequences", "in between"),
        ({"instance_type": "inf2.8xlarge"}, "source.store", "lustre"),
        (
            {
                "source": FILES,
                "instance_type": "inf2.8xlarge",
                "shape": ModelShape(
                    parameters_billions=8,
                    layers=36,
                    attention_heads=32,
                    key_value_heads=8,
                    weights=Weights.INT4,
                ),
            },
            "shape.weights",
            "NVIDIA type",
        ),
        (
            {"source": FILES, "instance_type": "trn2.48xlarge", "tensor_parallel": 2},
            "tensor_parallel",
            "Choose one of these",
        ),
        (
            {**TWO_NODES, "source": FILES, "instance_type": "trn2.48xlarge", "image": IMAGE},
            "nodes",
            "one node",
        ),
    ],
)
def test_a_model_server_that_cannot_work_is_refused_with_a_remedy(
    settings: dict[str, Any], field: str, remedy: str
) -> None:
    told = refused(**settings)
    assert f": {field} = " in told
    assert remedy in told


def test_ultraservers_are_refused_for_they_do_not_scale() -> None:
    told = refused(instance_type="p6e-gb200.36xlarge")
    assert "dynamic resource allocation" in told


def test_every_problem_is_told_at_once() -> None:
    told = refused(name="A", image="vllm:latest", drain_seconds=1, idle_timeout_seconds=1)
    assert all(
        f": {field} = " in told
        for field in ("name", "image", "drain_seconds", "idle_timeout_seconds")
    )


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"path": "/model"}, "path"),
        ({"path": "model/"}, "path"),
        ({"path": "../secrets"}, "path"),
        ({"path": "model", "revision": COMMIT}, "revision"),
        ({"path": "model", "token_secret_arn": TOKEN}, "token_secret_arn"),
        ({"store": WeightStore.HUB, "path": "Qwen3", "revision": COMMIT}, "path"),
        ({"store": WeightStore.HUB, "path": "Qwen/Qwen3-8B"}, "revision"),
        ({"store": WeightStore.HUB, "path": "Qwen/Qwen3-8B", "revision": "main"}, "revision"),
        (
            {
                "store": WeightStore.HUB,
                "path": "Qwen/Qwen3-8B",
                "revision": COMMIT,
                "token_secret_arn": "hub-token",
            },
            "token_secret_arn",
        ),
        ({"path": "model", "token_key_arn": KEY}, "token_key_arn"),
        (
            {
                "store": WeightStore.HUB,
                "path": "Qwen/Qwen3-8B",
                "revision": COMMIT,
                "token_secret_arn": TOKEN,
                "token_key_arn": "arn:aws:kms:us-east-2:111111111111:alias/hub",
            },
            "token_key_arn",
        ),
    ],
)
def test_weights_that_would_not_be_found_are_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError, match=f"model source: {field} = "):
        ModelSource(**settings)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"parameters_billions": 0}, "parameters_billions"),
        ({"layers": 0}, "layers"),
        ({"attention_heads": 30}, "key_value_heads"),
        ({"cache_bytes_per_token": 0}, "cache_bytes_per_token"),
    ],
)
def test_shapes_that_no_model_has_are_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError, match=f"model shape: {field} = "):
        ModelShape(
            **{
                "parameters_billions": 8,
                "layers": 32,
                "attention_heads": 32,
                "key_value_heads": 8,
                **settings,
            }
        )


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"minimum": 3, "maximum": 2}, "minimum"),
        ({"minimum": -1}, "minimum"),
        ({"minimum": 0, "maximum": 0}, "maximum"),
        ({"maximum": 101}, "maximum"),
        ({"waiting_requests": 0}, "waiting_requests"),
        ({"first_token_seconds": 0}, "first_token_seconds"),
        ({"idle_minutes": 5}, "idle_minutes"),
        ({"minimum": 1, "maximum": 2, "business_hours": BusinessHours(replicas=1)}, "business"),
        ({"minimum": 1, "maximum": 2, "business_hours": BusinessHours(replicas=3)}, "business"),
    ],
)
def test_scaling_that_makes_no_sense_is_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError, match=f"scaling: {field}"):
        ReplicaScaling(**settings)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"start": "8:00"}, "start"),
        ({"end": "24:00"}, "end"),
        ({"start": "18:00", "end": "08:00"}, "end"),
        ({"first_day": "fri", "last_day": "mon"}, "last_day"),
        ({"last_day": "friday"}, "last_day"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"replicas": 0}, "replicas"),
    ],
)
def test_hours_that_are_none_are_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecificationError, match=f"business hours: {field} = "):
        BusinessHours(**{"replicas": 1, **settings})


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (("mon", "fri"), "30 7 * * 1-5"),
        (("mon", "sun"), "30 7 * * 1-6,0"),
        (("sat", "sat"), "30 7 * * 6"),
        (("sun", "sun"), "30 7 * * 0"),
    ],
)
def test_hours_are_told_as_cron_reads_them(days: tuple[str, str], expected: str) -> None:
    hours = BusinessHours(replicas=1, start="07:30", first_day=days[0], last_day=days[1])
    assert hours.cron(hours.start) == expected


def pool(**settings: Any) -> KarpenterPool:
    return KarpenterPool(
        **{
            "name": "gpus",
            "instance_types": ("g6e.2xlarge",),
            "capacity_types": (CapacityType.ON_DEMAND,),
            "max_devices": 4,
            "ami_version": "v20261110",
            **settings,
        }
    )


def group(**settings: Any) -> ReservedNodeGroup:
    return ReservedNodeGroup(
        **{
            "name": "gpus",
            "instance_type": "p5en.48xlarge",
            "nodes": 2,
            "zone": "us-east-2b",
            "ami_release": "1.36.2-20261110",
            "reservation_group_arn": "arn:aws:resource-groups:us-east-2:111111111111:group/p5en",
            **settings,
        }
    )


ON_BLOCK: dict[str, Any] = {
    "reservation_group_arn": None,
    "capacity_block": CapacityBlock(
        reservation_id="cr-0123456789abcdef0",
        start=datetime(2027, 1, 11, 11, 30, tzinfo=UTC),
        end=datetime(2027, 2, 8, 11, 30, tzinfo=UTC),
    ),
}


def told_of(placement: ModelPlacement, *servers: ModelServer) -> str:
    problems = Problems("environment")
    for server in servers:
        placement.check(problems, server, field="model")
    placement.check_together(problems, servers, field="models")
    try:
        problems.raise_if_any()
    except SpecificationError as error:
        return str(error)
    return ""


def test_a_pool_with_the_type_and_room_for_a_rollout_is_enough() -> None:
    assert told_of(ModelPlacement(pools=[pool()]), server_of()) == ""
    spread = server_of(**TWO_NODES, image=IMAGE)
    assert told_of(ModelPlacement(groups=[group()]), spread) == ""


def whole_node(name: str, **settings: Any) -> ModelServer:
    settings = {"instance_type": "p5en.48xlarge", "tensor_parallel": 8, **settings}
    return server_of(name=name, **settings)


def test_models_on_one_reserved_group_have_room_together() -> None:
    """Each of them fits the group by itself."""
    one, other = whole_node("one"), whole_node("other")
    assert told_of(ModelPlacement(groups=[group()]), one) == ""
    assert "and a rollout 8 more" in told_of(ModelPlacement(groups=[group()]), one, other)
    assert told_of(ModelPlacement(groups=[group(nodes=3)]), one, other) == ""
    two = whole_node("two", scaling=ReplicaScaling(minimum=2, maximum=2))
    message = told_of(ModelPlacement(groups=[group(nodes=3)]), two, whole_node("three"), other)
    assert "always run take 32 devices, and there are 24 at most" in message


def test_answers_end_before_a_block_does() -> None:
    assert told_of(ModelPlacement(groups=[group(**ON_BLOCK)]), whole_node("one")) == ""


def test_copies_over_nodes_need_no_room_beside_them() -> None:
    spread = server_of(**TWO_NODES, image=IMAGE)
    assert told_of(ModelPlacement(groups=[group(nodes=4)]), spread, whole_node("one")) == ""
    assert "a rollout 8 more" in told_of(
        ModelPlacement(groups=[group(nodes=3)]), spread, whole_node("one")
    )


def test_the_limit_of_a_pool_is_counted_in_whole_nodes() -> None:
    def told(devices: int) -> str:
        nodes = pool(instance_types=("p5en.48xlarge",), max_devices=devices)
        return told_of(ModelPlacement(pools=[nodes]), whole_node("one"))

    assert told(16) == ""
    assert "whole nodes below the pool's limit of 15 have 8" in told(15)


@pytest.mark.parametrize(
    ("placement", "server", "expected"),
    [
        (ModelPlacement(), {}, "model.pool = 'gpus'"),
        (ModelPlacement(pools=[pool(name="other")]), {}, "Choose one of other."),
        (
            ModelPlacement(pools=[pool(instance_types=("g6e.4xlarge",))]),
            {},
            "Choose g6e.4xlarge, or add the type there.",
        ),
        (ModelPlacement(pools=[pool(workload=Workload.TRAINING)]), {}, 'workload = "serving"'),
        (ModelPlacement(pools=[pool(max_devices=1)]), {}, "raise the pool's max_devices"),
        (
            ModelPlacement(pools=[pool()]),
            {"scaling": ReplicaScaling(minimum=5, maximum=5)},
            "models = 'gpus'",
        ),
        (
            ModelPlacement(groups=[group(efa=False)]),
            {**TWO_NODES, "image": IMAGE},
            "have no EFA interfaces",
        ),
        (
            ModelPlacement(groups=[group()]),
            {**TWO_NODES, "image": IMAGE, "scaling": ReplicaScaling(maximum=2)},
            "reserve more nodes",
        ),
        (
            ModelPlacement(groups=[group(**ON_BLOCK, drain_minutes=10)]),
            {"instance_type": "p5en.48xlarge"},
            "model.drain_seconds = 600: Nodes of gpus leave its Capacity Block 10 minutes before",
        ),
        (
            ModelPlacement(pools=[pool(instance_types=("inf2.24xlarge",), max_devices=12)]),
            {"instance_type": "inf2.24xlarge", "source": FILES},
            "Files and images of 6 copies need 230 GiB",
        ),
    ],
)
def test_pods_that_no_node_would_take_are_refused(
    placement: ModelPlacement, server: dict[str, Any], expected: str
) -> None:
    assert expected in told_of(placement, server_of(**server))


def test_a_server_chooses_the_fewest_devices_that_hold_it() -> None:
    chosen = server_of(instance_type="g6e.48xlarge", max_model_tokens=65536)
    assert (chosen.parallelism.tensor, chosen.parallelism.copies_per_node) == (2, 4)
    assert server_of(instance_type="g6e.48xlarge").parallelism.copies_per_node == 8
    assert server_of(shape=SMALL).row.device_kind is DeviceKind.NVIDIA
