"""Whether a model fits, over all types and sizes."""

from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.instance_type import DeviceKind, InstanceType
from llm_constructs.specs.model_memory import (
    ModelShape,
    Parallelism,
    Weights,
    smallest_parallelism,
    tensor_sizes,
)
from tests.constructs.model_servers import LARGE, SMALL

ACCELERATED = [row for row in INSTANCE_TYPES.values() if row.ranks]
rows = st.sampled_from(ACCELERATED)
shapes = st.builds(
    lambda parameters, layers, groups, heads, weights: ModelShape(
        parameters_billions=parameters,
        layers=layers,
        attention_heads=groups * heads,
        key_value_heads=heads,
        weights=weights,
    ),
    st.floats(0.1, 2000),
    st.integers(1, 128),
    st.sampled_from([1, 2, 4, 8, 7]),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.sampled_from(list(Weights)),
)


@given(shape=shapes, row=rows, tokens=st.integers(1, 1_000_000), nodes=st.integers(1, 4))
def test_what_is_chosen_fits_divides_the_heads_and_is_the_smallest(
    shape: ModelShape, row: InstanceType, tokens: int, nodes: int
) -> None:
    chosen = smallest_parallelism(shape, row, tokens=tokens, nodes=nodes)
    smaller = [
        Parallelism(row=row, tensor=size, nodes=nodes)
        for size in tensor_sizes(row)
        if chosen is None or size < chosen.tensor
    ]
    if chosen is not None:
        assert shape.attention_heads % chosen.tensor == 0
        assert chosen.needed_gib(shape, tokens) <= chosen.rank_memory_gib
        assert row.ranks % chosen.tensor == 0
    for other in smaller if nodes == 1 else ():
        assert shape.attention_heads % other.tensor or not other.fits(shape, tokens)


@given(shape=shapes, row=rows, tokens=st.integers(1, 1_000_000))
def test_more_ranks_never_need_more_memory_each(
    shape: ModelShape, row: InstanceType, tokens: int
) -> None:
    needs = [
        Parallelism(row=row, tensor=size).needed_gib(shape, tokens) for size in tensor_sizes(row)
    ]
    assert needs == sorted(needs, reverse=True)


@given(row=rows)
def test_copies_share_a_node_without_taking_a_device_twice(row: InstanceType) -> None:
    for size in tensor_sizes(row):
        parallelism = Parallelism(row=row, tensor=size)
        assert parallelism.copies_per_node >= 1
        assert parallelism.copies_per_node * parallelism.devices <= row.accelerator_count


@given(row=st.sampled_from([r for r in ACCELERATED if r.device_kind is DeviceKind.NEURON]))
def test_pods_on_neuron_take_whole_devices(row: InstanceType) -> None:
    assert row.accelerator is not None
    assert tensor_sizes(row)
    for size in tensor_sizes(row):
        taken = Parallelism(row=row, tensor=size)
        assert taken.devices * row.accelerator.logical_cores == size
        assert taken.shares_node == (taken.devices < row.accelerator_count)


def test_the_weights_of_known_models_are_as_large_as_their_files() -> None:
    # https://huggingface.co/Qwen/Qwen3-8B: five files of 16.4 GB together.
    assert round(SMALL.weights_gib * 1024**3 / 1e9, 1) == 16.4
    # A token takes 144 KiB: 2 x 36 layers x 8 heads x 128 numbers x 2 bytes.
    assert SMALL.cache_gib(1, 1) * 1024**2 == 144


def test_a_compressed_cache_is_the_same_on_every_rank() -> None:
    assert LARGE.cache_gib(1000, 1) == LARGE.cache_gib(1000, 8)
    assert SMALL.cache_gib(1000, 8) == SMALL.cache_gib(1000, 1) / 8
    assert SMALL.cache_gib(1000, 16) == SMALL.cache_gib(1000, 8)
