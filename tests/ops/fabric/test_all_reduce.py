"""The counters that the program reads on a node."""

import ast
import sys
from pathlib import Path

from ops.fabric.all_reduce import sent_bytes
from ops.fabric.objects import PROGRAM

NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo: 9999 1 0 0 0 0 0 0 8888 1 0 0 0 0 0 0
  eth0: 1000 5 0 0 0 0 0 0 250 5 0 0 0 0 0 0
"""


def make_node(root: Path, *sent: int) -> None:
    (root / "proc/net").mkdir(parents=True)
    (root / "proc/net/dev").write_text(NET_DEV)
    for index, count in enumerate(sent):
        counters = root / f"sys/class/infiniband/rdmap{index}s27/ports/1/hw_counters"
        counters.mkdir(parents=True)
        (counters / "tx_bytes").write_text(f"{count}\n")
        (counters / "rx_bytes").write_text("7\n")


def test_all_adapters_are_added_up_and_loopback_is_not(tmp_path: Path) -> None:
    make_node(tmp_path, 100, 20)
    assert sent_bytes(tmp_path) == {"efa_devices": 2, "efa_bytes": 120, "tcp_bytes": 250}


def test_a_node_without_adapters_has_sent_nothing_over_them(tmp_path: Path) -> None:
    make_node(tmp_path)
    assert sent_bytes(tmp_path) == {"efa_devices": 0, "efa_bytes": 0, "tcp_bytes": 250}


def test_the_program_needs_nothing_but_pytorch() -> None:
    roots = set()
    for node in ast.walk(ast.parse(PROGRAM.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            roots.add(node.module.split(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"torch", "torch_neuronx"}
