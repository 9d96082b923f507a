"""A model that vLLM serves on the cluster."""

import re
from dataclasses import dataclass, field
from typing import Final

from llm_constructs.specs.accelerators import known_types
from llm_constructs.specs.instance_type import DeviceKind, InstanceType
from llm_constructs.specs.model_memory import (
    ModelShape,
    Parallelism,
    Weights,
    smallest_parallelism,
    tensor_sizes,
)
from llm_constructs.specs.model_source import ModelSource, WeightStore
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.replica_scaling import ReplicaScaling

SHORTEST_IDLE_TIMEOUT: Final = 900
"""Seconds. A shorter one cuts answers of models that think before they speak.

https://github.com/defilantech/LLMKube/issues/734
"""

LONGEST_IDLE_TIMEOUT: Final = 4000
"""Seconds: the most that a load balancer takes.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
"""

LONGEST_DRAIN: Final = 3000
"""Seconds, with room for what comes before and after it in a load balancer's limit of 3600."""

TEMPORARY_GIB: Final = 10
"""GiB of a node's disk for a copy's temporary files."""

MOST_NODES: Final = 16
"""Nodes that share one copy of a model."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
_PARSER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_PINNED_IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?/[\w./-]+(:[\w.-]+)?@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ModelServer:
    """One model, its copies, and the nodes that they run on.

    Raises :class:`SpecificationError` with everything that would leave pods waiting, fail as vLLM
    starts, or cut users' answers.
    """

    name: str
    """The name that callers use, and the first part of the host name."""
    source: ModelSource
    """Where the weights lie."""
    shape: ModelShape
    """How large the model is."""
    pool: str
    """The pool or reserved group of `[eks]` whose nodes it runs on."""
    instance_type: str
    """The type of these nodes, which the pool or group must offer."""
    nodes: int = 1
    """Nodes that share one copy. More than one needs EFA."""
    tensor_parallel: int | None = None
    """Ranks that share each layer. Left out: the fewest that hold the model."""
    max_model_tokens: int = 8192
    """Tokens of a prompt and its answer together."""
    full_length_requests: int = 4
    """Requests of that length whose keys and values must fit at once; of shorter ones, more do."""
    max_sequences: int = 64
    """Requests that a copy works on at once; more wait in its queue."""
    efa: bool = False
    """Whether the nodes of a copy talk over the Elastic Fabric Adapter."""
    prefix_routing: bool = False
    """Whether a router sends requests that begin alike to the copy that has their beginning in its
    cache."""
    tool_parser: str | None = None
    """vLLM's parser of the calls of tools that this model writes, such as `hermes` for Qwen or
    `llama3_json`. Left out: calls come as plain text.
    https://docs.vllm.ai/en/stable/features/tool_calling/"""
    reasoning_parser: str | None = None
    """vLLM's parser of the model's reasoning, such as `qwen3`. Left out: it is part of the answer.
    https://docs.vllm.ai/en/stable/features/reasoning_outputs/"""
    scaling: ReplicaScaling = field(default_factory=ReplicaScaling)
    """How many copies run, and when."""
    startup_minutes: int = 30
    """Minutes that a pod may take from its start to its first answer: weights, compilation, graphs.
    Nodes come before that."""
    drain_seconds: int = 600
    """Seconds for which a copy that goes away finishes the answers that it has begun."""
    idle_timeout_seconds: int = SHORTEST_IDLE_TIMEOUT
    """Seconds for which a connection may be silent: 900 to 4000."""
    image: str | None = None
    """The image of vLLM, with its digest. Left out: the platform's. EFA needs one that carries
    libfabric and aws-ofi-nccl."""

    def __post_init__(self) -> None:
        problems = Problems(f"model {self.name}")
        self._check_name(problems)
        self._check_bounds(problems)
        self._check_image(problems)
        self._check_routing(problems)
        self._check_parsers(problems)
        for row in known_types([self.instance_type], problems, "instance_type"):
            self._check_type(problems, row)
            self._check_nodes(problems, row)
            if row.ranks:
                self._check_tensor(problems, row)
        problems.raise_if_any()

    def _check_name(self, problems: Problems) -> None:
        problems.require(
            _NAME.fullmatch(self.name) is not None,
            "name",
            self.name,
            "It names Kubernetes objects, a load balancer's target group and a host.",
            "Use up to 30 lower-case letters, digits and hyphens, starting with a letter.",
        )

    def _check_bounds(self, problems: Problems) -> None:
        bounds = {
            "max_model_tokens": (16, 10_000_000, "tokens"),
            "full_length_requests": (1, 10_000, "requests"),
            "max_sequences": (1, 4096, "requests"),
            "nodes": (1, MOST_NODES, "nodes"),
            "startup_minutes": (5, 240, "minutes"),
            "drain_seconds": (30, LONGEST_DRAIN, "seconds"),
        }
        for name, (least, most, unit) in bounds.items():
            value: int = getattr(self, name)
            problems.require(
                least <= value <= most,
                name,
                value,
                f"It must lie between {least} and {most} {unit}.",
                "Choose a number in between.",
            )
        problems.require(
            SHORTEST_IDLE_TIMEOUT <= self.idle_timeout_seconds <= LONGEST_IDLE_TIMEOUT,
            "idle_timeout_seconds",
            self.idle_timeout_seconds,
            "Load balancers cut a stream that is silent for longer, and none takes more than "
            f"{LONGEST_IDLE_TIMEOUT}.",
            f"Choose {SHORTEST_IDLE_TIMEOUT} to {LONGEST_IDLE_TIMEOUT} seconds.",
        )

    def _check_image(self, problems: Problems) -> None:
        problems.require(
            self.image is None or _PINNED_IMAGE.fullmatch(self.image) is not None,
            "image",
            self.image,
            "It is not pinned, so a pod could run other code than its neighbour.",
            "Write it as registry/name:tag@sha256:… with its 64 hexadecimal digits.",
        )
        problems.require(
            not self.efa or self.image is not None,
            "image",
            self.image,
            "The platform's image has no libfabric, and NCCL would use TCP without a word.",
            "Name an image with vLLM and the EFA libraries, such as AWS's Deep Learning Container.",
        )

    def _check_routing(self, problems: Problems) -> None:
        problems.require(
            not self.prefix_routing or self.scaling.maximum > 1,
            "prefix_routing",
            True,
            "With one copy there is nothing to choose between.",
            "Raise scaling.maximum, or set prefix_routing = false.",
        )
        problems.require(
            not self.prefix_routing or self.scaling.minimum > 0,
            "prefix_routing",
            True,
            "The router answers for a model that sleeps, with errors that would look like its own.",
            "Raise scaling.minimum, or set prefix_routing = false.",
        )
        problems.require(
            self.nodes == 1 or not self.prefix_routing,
            "prefix_routing",
            True,
            "The router would also find the pods of a copy that answer nothing.",
            "Set prefix_routing = false for a model on several nodes.",
        )

    def _check_parsers(self, problems: Problems) -> None:
        for name in ("tool_parser", "reasoning_parser"):
            parser: str | None = getattr(self, name)
            problems.require(
                parser is None or _PARSER.fullmatch(parser) is not None,
                name,
                parser,
                "It is not the name of a parser.",
                "Choose one of the list in vLLM's documentation, such as hermes or qwen3.",
            )

    def _check_type(self, problems: Problems, row: InstanceType) -> None:
        problems.require(
            row.device_kind is not DeviceKind.NONE,
            "instance_type",
            row.name,
            "It has no accelerator.",
            "Choose a type with one, such as g6e.2xlarge.",
        )
        problems.require(
            not row.ultraserver_sizes,
            "instance_type",
            row.name,
            "Its devices are allotted by dynamic resource allocation, which autoscaling does not "
            "see (https://github.com/aws/karpenter-provider-aws/issues/9519).",
            "Choose a type that device plugins count.",
        )
        neuron = row.device_kind is DeviceKind.NEURON
        problems.require(
            not neuron or self.source.store != WeightStore.LAKE,
            "source.store",
            str(self.source.store),
            "Neuron's image of vLLM reads files and streams nothing from S3.",
            'Link the models to the file system in [[lustre.repositories]] and say "lustre", or '
            'name their folder in mounted_models of [eks.controllers] and say "mountpoint".',
        )
        problems.require(
            not neuron or self.shape.weights != Weights.INT4,
            "shape.weights",
            str(self.shape.weights),
            "Neuron has no 4-bit integer formats.",
            "Use bf16 or fp8 weights, or an NVIDIA type.",
        )

    def _check_nodes(self, problems: Problems, row: InstanceType) -> None:
        problems.require(
            row.efa is not None or not self.efa,
            "efa",
            True,
            f"{row.name} has no EFA.",
            "Set efa = false, or choose a type that has it.",
        )
        problems.require(
            not self.efa or self.nodes > 1,
            "efa",
            True,
            "A copy on one node talks to no other.",
            "Set efa = false, or spread the copy over nodes.",
        )
        problems.require(
            self.nodes == 1 or self.efa,
            "nodes",
            self.nodes,
            "Over TCP, several nodes answer slower than one.",
            "Set efa = true, or choose a larger type and nodes = 1.",
        )
        problems.require(
            self.nodes <= self.shape.layers,
            "nodes",
            self.nodes,
            f"Nodes share the model by layers, and it has {self.shape.layers}.",
            "Use fewer nodes.",
        )
        problems.require(
            self.nodes == 1 or row.device_kind is not DeviceKind.NEURON,
            "nodes",
            self.nodes,
            "vLLM on Neuron runs a copy on one node.",
            "Choose trn2.48xlarge, or an NVIDIA type for several nodes.",
        )

    def _check_tensor(self, problems: Problems, row: InstanceType) -> None:
        sizes = tensor_sizes(row)
        if self.tensor_parallel is None:
            self._check_room(problems, row)
            return
        legal = sizes if self.nodes == 1 else (row.ranks,)
        problems.require(
            self.tensor_parallel in legal,
            "tensor_parallel",
            self.tensor_parallel,
            f"On {self.nodes} x {row.name} a copy takes {_either(legal)} ranks of a node.",
            "Choose one of these, or leave it out.",
        )
        problems.require(
            self.shape.attention_heads % max(1, self.tensor_parallel) == 0,
            "tensor_parallel",
            self.tensor_parallel,
            f"It does not divide the model's {self.shape.attention_heads} attention heads.",
            "Choose a size that does, or leave it out.",
        )
        if self.tensor_parallel in legal:
            chosen = Parallelism(row=row, tensor=self.tensor_parallel, nodes=self.nodes)
            if not chosen.fits(self.shape, self.cache_tokens):
                self._refuse_size(problems, "tensor_parallel", self.tensor_parallel, chosen)

    def _check_room(self, problems: Problems, row: InstanceType) -> None:
        if self._smallest(row) is None:
            sizes = [s for s in tensor_sizes(row) if self.shape.attention_heads % s == 0] or [1]
            most = Parallelism(row=row, tensor=sizes[-1], nodes=max(1, self.nodes))
            self._refuse_size(problems, "instance_type", row.name, most)

    def _refuse_size(
        self, problems: Problems, name: str, value: object, tried: Parallelism
    ) -> None:
        needed = tried.needed_gib(self.shape, self.cache_tokens)
        problems.add(
            name,
            value,
            f"On {tried.tensor} ranks of {tried.nodes} node(s) each would hold {needed:.1f} GiB of "
            f"weights and cache, and has {tried.rank_memory_gib:.1f}.",
            "Choose a type with more memory, a smaller weights format, fewer max_model_tokens or "
            "full_length_requests.",
        )

    def _smallest(self, row: InstanceType) -> Parallelism | None:
        return smallest_parallelism(
            self.shape, row, tokens=self.cache_tokens, nodes=max(1, self.nodes)
        )

    @property
    def cache_tokens(self) -> int:
        """Tokens whose keys and values must fit at once."""
        return self.max_model_tokens * self.full_length_requests

    @property
    def row(self) -> InstanceType:
        """The type's row of the catalogue."""
        (row,) = known_types([self.instance_type], Problems("model"), "instance_type")
        return row

    @property
    def parallelism(self) -> Parallelism:
        """The ranks of one copy, chosen or derived."""
        if self.tensor_parallel is not None:
            return Parallelism(row=self.row, tensor=self.tensor_parallel, nodes=self.nodes)
        found = self._smallest(self.row)
        assert found is not None, "the constructor refuses what does not fit"  # noqa: S101
        return found

    @property
    def scratch_gib(self) -> int:
        """GiB of a node's disk for compiled kernels and, from the hub, for weights as they come."""
        downloaded = self.source.store == WeightStore.HUB
        return 20 + (int(self.shape.weights_gib * 1.2) if downloaded else 0)

    @property
    def most_devices(self) -> int:
        """Devices that all copies together take under load, and in a rollout."""
        return self.scaling.maximum * self._copy_devices + self.rollout_devices

    @property
    def rollout_devices(self) -> int:
        """Devices of the new copy that a rollout starts beside the others.

        Copies on several nodes leave before their successors come.
        """
        return self._copy_devices if self.nodes == 1 else 0

    @property
    def least_devices(self) -> int:
        """Devices that the copies that always run take."""
        return self.scaling.minimum * self._copy_devices

    @property
    def _copy_devices(self) -> int:
        return self.parallelism.devices * self.nodes


def _either(sizes: tuple[int, ...]) -> str:
    return " or ".join(map(str, sizes))
