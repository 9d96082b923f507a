"""An all-reduce over every accelerator of every node, with what it sent over which network.

It runs inside the proof's pods, once for each rank, started by ``torchrun``; nothing of this
project is there, so it needs the standard library and PyTorch only. The first rank of each node
prints one line of JSON, marked :data:`MARK`, for :mod:`ops.fabric.evidence` to judge.

The bytes come from the counters of the adapters themselves, not from what a library says it does:
``tx_bytes`` of each EFA device (https://github.com/amzn/amzn-drivers/tree/master/kernel/linux/efa)
and of each network interface but the loopback.
"""

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "FABRIC "
WARM_UP = 5


def main() -> None:
    """Reduce ``FABRIC_MEBIBYTES`` over all ranks, ``FABRIC_ITERATIONS`` times, and report."""
    import torch.distributed as dist

    tensor = _join()
    iterations = int(os.environ["FABRIC_ITERATIONS"])
    for _ in range(WARM_UP):
        _reduce(tensor)
    dist.barrier()
    before = sent_bytes()
    start = time.perf_counter()
    wrong = sum(not _reduce(tensor) for _ in range(iterations))
    seconds = time.perf_counter() - start
    # Nobody reads counters while others still send.
    dist.barrier()
    after = sent_bytes()
    if int(os.environ["LOCAL_RANK"]) == 0:
        print(  # noqa: T201  # The log is how it reports.
            MARK
            + json.dumps(
                {
                    "node": int(os.environ["GROUP_RANK"]),
                    "host": socket.gethostname(),
                    "nodes": int(os.environ["GROUP_WORLD_SIZE"]),
                    "ranks": int(os.environ["WORLD_SIZE"]),
                    "bytes": tensor.numel() * tensor.element_size(),
                    "iterations": iterations,
                    "seconds": seconds,
                    "right": not wrong,
                    "efa_devices": after["efa_devices"],
                    "efa_bytes": after["efa_bytes"] - before["efa_bytes"],
                    "tcp_bytes": after["tcp_bytes"] - before["tcp_bytes"],
                }
            ),
            flush=True,
        )
    dist.destroy_process_group()


def sent_bytes(root: Path = Path("/")) -> dict[str, int]:
    """Return how many EFA devices there are, and what they and the interfaces have sent so far."""
    devices = list(_efa_counters(root))
    return {
        "efa_devices": len(devices),
        "efa_bytes": sum(int(file.read_text()) for file in devices),
        "tcp_bytes": sum(_interface_counters(root)),
    }


def _efa_counters(root: Path) -> "Iterator[Path]":
    for device in sorted((root / "sys/class/infiniband").glob("*")):
        yield from sorted(device.glob("ports/*/hw_counters/tx_bytes"))


def _interface_counters(root: Path) -> "Iterator[int]":
    # Two lines of headings, then "name: " and 16 figures, of which the ninth is sent bytes:
    # https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
    for line in (root / "proc/net/dev").read_text().splitlines()[2:]:
        name, _, figures = line.partition(":")
        if name.strip() != "lo":
            yield int(figures.split()[8])


def _join() -> Any:
    """Join the process group, and return this rank's tensor on its device."""
    import torch
    import torch.distributed as dist

    backend = os.environ["FABRIC_BACKEND"]
    if backend == "neuron":
        import torch_neuronx  # noqa: F401  # It registers the device and the backend.

    dist.init_process_group(backend)
    device = {"nccl": "cuda", "gloo": "cpu"}.get(backend, backend)
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    count = (int(os.environ["FABRIC_MEBIBYTES"]) << 20) // 4
    return torch.ones(count, dtype=torch.float32, device=torch.device(device))


def _reduce(tensor: Any) -> bool:
    """Reduce once; return whether the sum is right, for which the device must have ended."""
    import torch.distributed as dist

    tensor.fill_(1)
    dist.all_reduce(tensor)
    expected = float(dist.get_world_size())
    return bool(tensor[0].item() == expected and tensor[-1].item() == expected)


if __name__ == "__main__":
    main()
