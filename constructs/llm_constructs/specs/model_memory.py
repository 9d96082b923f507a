"""How much accelerator memory a model needs, and how it is spread over devices."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llm_constructs.specs.instance_type import InstanceType
from llm_constructs.specs.problem import Problems

GIB: Final = 1024**3

USABLE_SHARE: Final = 0.9
"""Of a device's memory, that vLLM fills with weights and cache.

It is told to vLLM as ``--gpu-memory-utilization``:
https://docs.vllm.ai/en/stable/configuration/engine_args/
"""

WORKSPACE_GIB: Final = 2.0
"""GiB of each rank for activations, captured graphs and communication: an estimate.

vLLM measures it as it starts: https://docs.vllm.ai/en/stable/configuration/conserving_memory/
"""

CACHE_BYTES: Final = 2
"""Bytes of one key or value in the cache, which is kept in 16 bits."""


class Weights(StrEnum):
    """The numbers that the weights are stored as, which decides how large they are."""

    BF16 = "bf16"
    FP8 = "fp8"
    INT4 = "int4"
    """AWQ, GPTQ and the like, with their scales."""

    @property
    def bytes(self) -> float:
        """Bytes for each parameter; 4-bit formats carry about half a bit of scales."""
        return {Weights.BF16: 2.0, Weights.FP8: 1.0, Weights.INT4: 0.5625}[self]


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What the ``config.json`` of a model says about its size.

    Raises :class:`SpecificationError` for what no model is.
    """

    parameters_billions: float
    """Parameters, in billions; of a mixture of experts all of them, not the active ones."""
    layers: int
    """`num_hidden_layers`."""
    attention_heads: int
    """`num_attention_heads`."""
    key_value_heads: int
    """`num_key_value_heads`."""
    head_dimension: int = 128
    """`head_dim`, or `hidden_size` divided by the attention heads."""
    weights: Weights = Weights.BF16
    """`bf16`, `fp8` or `int4`, as the weights are stored."""
    cache_bytes_per_token: int | None = None
    """Bytes that a token takes in the key-value cache of all layers. Left out: computed from the
    heads; architectures that compress the cache, such as multi-head latent attention, need less."""

    def __post_init__(self) -> None:
        problems = Problems("model shape")
        problems.require(
            self.parameters_billions > 0,
            "parameters_billions",
            self.parameters_billions,
            "A model has parameters.",
            "Give them in billions, such as 8.2.",
        )
        for field in ("layers", "attention_heads", "key_value_heads", "head_dimension"):
            value: int = getattr(self, field)
            problems.require(
                value >= 1, field, value, "A model has at least one.", "See its config.json."
            )
        problems.require(
            self.key_value_heads < 1 or self.attention_heads % self.key_value_heads == 0,
            "key_value_heads",
            self.key_value_heads,
            f"{self.attention_heads} attention heads cannot share them evenly.",
            "See num_key_value_heads in the model's config.json.",
        )
        problems.require(
            self.cache_bytes_per_token is None or self.cache_bytes_per_token >= 1,
            "cache_bytes_per_token",
            self.cache_bytes_per_token,
            "A token takes room in the cache.",
            "Leave it out, and it is computed from the heads.",
        )
        problems.raise_if_any()

    @property
    def weights_gib(self) -> float:
        """GiB of all weights."""
        return self.parameters_billions * 1e9 * self.weights.bytes / GIB

    def cache_gib(self, tokens: int, ranks: int) -> float:
        """Return GiB that ``tokens`` take on each of ``ranks`` that share the heads.

        Ranks beyond the key-value heads hold copies, and those of a compressed cache all do.
        """
        if self.cache_bytes_per_token is not None:
            return tokens * self.cache_bytes_per_token / GIB
        per_head = 2 * self.layers * self.head_dimension * CACHE_BYTES
        heads = max(1, -(-self.key_value_heads // ranks))
        return tokens * per_head * heads / GIB


@dataclass(frozen=True, kw_only=True)
class Parallelism:
    """One copy of a model on ``nodes`` of one type, with ``tensor`` ranks on each of them."""

    row: InstanceType
    tensor: int
    nodes: int = 1

    @property
    def devices(self) -> int:
        """Devices of each node that the copy takes."""
        accelerator = self.row.accelerator
        cores = accelerator.logical_cores if accelerator else 1
        return -(-self.tensor // cores)

    @property
    def shares_node(self) -> bool:
        """Whether the copy leaves devices of its node to others."""
        return self.devices < self.row.accelerator_count

    @property
    def copies_per_node(self) -> int:
        """Copies that fit onto a node; 0 where a copy takes more than one."""
        return self.row.accelerator_count // self.devices if self.nodes == 1 else 0

    @property
    def rank_memory_gib(self) -> float:
        """GiB that vLLM may fill on each rank."""
        per_rank = self.row.device_memory_gib / self.row.ranks
        return per_rank * USABLE_SHARE - WORKSPACE_GIB

    def needed_gib(self, shape: ModelShape, tokens: int) -> float:
        """Return GiB that each rank needs for its weights and the cache of ``tokens``."""
        weights = shape.weights_gib / (self.tensor * self.nodes)
        return weights + shape.cache_gib(tokens, self.tensor) / self.nodes

    def fits(self, shape: ModelShape, tokens: int) -> bool:
        """Whether weights and the cache of ``tokens`` fit."""
        return self.needed_gib(shape, tokens) <= self.rank_memory_gib


def tensor_sizes(row: InstanceType) -> tuple[int, ...]:
    """Return the sizes of tensor parallelism that pods on ``row`` can have, in ascending order.

    On Neuron they are whole devices, for a pod cannot share one with another model.
    """
    cores = row.accelerator.logical_cores if row.accelerator else 1
    return tuple(size for size in row.tensor_parallel_sizes if size % cores == 0)


def smallest_parallelism(
    shape: ModelShape, row: InstanceType, *, tokens: int, nodes: int = 1
) -> Parallelism | None:
    """Return the fewest ranks that hold ``shape`` and the cache of ``tokens``, or ``None``.

    Over several nodes a copy takes all ranks of each.
    """
    sizes = tensor_sizes(row) if nodes == 1 else (row.ranks,)
    for size in sizes:
        found = Parallelism(row=row, tensor=size, nodes=nodes)
        if shape.attention_heads % size == 0 and found.fits(shape, tokens):
            return found
    return None
