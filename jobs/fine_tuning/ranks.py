"""The processes of a run under torchrun, each with a device of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.distributed as dist

from fine_tuning.errors import FineTuningError

BACKENDS: Final = {"cuda": "nccl", "neuron": "neuron", "cpu": "gloo"}
"""Of ``torch.distributed``, by the device's type.

https://awsdocs-neuron.readthedocs-hosted.com/en/latest/torch/guides/torch-distributed.html
"""


@dataclass(frozen=True)
class ProcessGroup:
    """All ranks of the run: tensors on ``device``, and a group over TCP for what they tell."""

    device: Any
    index: int
    count: int
    _talk: Any

    @property
    def first(self) -> bool:
        """Whether this rank writes checkpoints."""
        return self.index == 0

    def told_by_first(self, value: str | None) -> str | None:
        """Return what the first rank passed."""
        told = [value]
        dist.broadcast_object_list(told, src=0, group=self._talk)
        return told[0]

    def any(self, flag: bool) -> bool:
        """Return whether any rank passed ``True``."""
        flags = torch.tensor([int(flag)])
        dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=self._talk)
        return bool(flags.item())


@contextmanager
def process_group(*, on_cpu: bool = False) -> Iterator[ProcessGroup]:
    """Join the ranks that torchrun started, and leave them in the end.

    Raises :class:`FineTuningError` where there is no accelerator, unless ``on_cpu`` asks for none:
    a node whose driver is gone must not train a thousand times slower in silence.
    """
    device = torch.device("cpu") if on_cpu else _accelerator()
    dist.init_process_group(BACKENDS[device.type])
    try:
        yield ProcessGroup(
            device, dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo")
        )
    finally:
        dist.destroy_process_group()


def _accelerator() -> Any:
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None or found.type not in BACKENDS:
        raise FineTuningError(
            "PyTorch finds no GPU and no NeuronCore: look at the node's driver and at the image's "
            "PyTorch. To try a run on processors, say --on-cpu."
        )
    device = torch.device(found.type, int(os.environ["LOCAL_RANK"]))
    torch.accelerator.set_device_index(device.index)
    return device
