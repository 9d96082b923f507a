"""Logs as nodes of a healthy p5en proof write them, to be spoiled by tests."""

import json

from ops.fabric.all_reduce import MARK
from ops.fabric.evidence import NodeReport

NODES = 2
RANKS = 8
EFA_DEVICES = 16
GIBIBYTE = 1 << 30
ITERATIONS = 20

EFA_LINES = """\
node:81:81 [0] NCCL INFO NET/OFI Selected provider is efa, fabric is efa-direct (found 16 nics)
node:81:90 [0] NCCL INFO Channel 00/0 : 0[0] -> 8[0] [send] via NET/Libfabric/0(8)/GDRDMA
node:81:90 [0] NCCL INFO Channel 01/0 : 8[0] -> 0[0] [receive] via NET/AWS Libfabric/1/GDRDMA
node:81:90 [0] NCCL INFO Channel 02/0 : 0[0] -> 1[1] via P2P/CUMEM
"""


def report_of(node: int) -> NodeReport:
    """Return what a node of a healthy run reports: 375 GB/s of bus bandwidth, all of it on EFA."""
    return NodeReport(
        node=node,
        host=f"node-{node}",
        nodes=NODES,
        ranks=NODES * RANKS,
        bytes=GIBIBYTE,
        iterations=ITERATIONS,
        seconds=GIBIBYTE * ITERATIONS * 2 * 15 / 16 / 375e9,
        right=True,
        efa_devices=EFA_DEVICES,
        efa_bytes=GIBIBYTE * ITERATIONS,
        tcp_bytes=200_000,
    )


def report_line(report: NodeReport) -> str:
    """Return the log of a node with ``report``, as the program prints it."""
    return f"{EFA_LINES}{MARK}{json.dumps(vars(report))}\n"
