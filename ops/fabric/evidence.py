"""What the logs of the proof's pods say, and whether it is a proof."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from ops.fabric.all_reduce import MARK

_CHANNEL = re.compile(r"\[(?:send|receive)\] via NET/([^/\s]+(?: [^/\s]+)*)/")
"""How NCCL names the transport of each channel to another node.

https://github.com/NVIDIA/nccl/blob/master/src/transport/net.cc
"""

_PROVIDER = re.compile(r"NET/OFI Selected [Pp]rovider is ([^\s,(]+)")
"""How the plugin between NCCL, or Neuron's collectives, and libfabric names the provider.

https://github.com/aws/aws-ofi-nccl/blob/master/src/nccl_ofi_net.cpp
"""

EFA_TRANSPORTS: Final = frozenset({"Libfabric", "AWS Libfabric"})
"""Names that the plugin has given itself."""

EFA_PROVIDERS: Final = frozenset({"efa", "efa-direct"})

LEAST_SHARE: Final = 0.9
"""Of the bytes that an all-reduce cannot do without, how many must be seen on EFA.

Counters are read a moment before and after, so that a little may be missing.
"""

MOST_TCP_SHARE: Final = 0.05
"""Of the bytes on EFA, how many may go over TCP: rendezvous, heartbeats, other talk."""


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """What the first rank of one node measured; the fields of ``ops.fabric.all_reduce``'s line."""

    node: int
    host: str
    nodes: int
    ranks: int
    bytes: int
    iterations: int
    seconds: float
    right: bool
    efa_devices: int
    efa_bytes: int
    tcp_bytes: int


@dataclass(frozen=True, kw_only=True)
class NodeLog:
    """What one pod's log holds: its report, if it came so far, and the transports it named."""

    report: NodeReport | None
    transports: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a proof must show: ``nodes`` with ``ranks`` and ``efa_devices`` each.

    ``bus_floor`` is the least bus bandwidth in GB/s, or ``None`` where none is asked for.
    """

    nodes: int
    ranks: int
    efa_devices: int
    bus_floor: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The figures of a run, and why it proves nothing, if it does not."""

    bus_bandwidth: float | None
    """GB/s as NCCL's tests count it: the bytes, by time, by 2 (n - 1) / n for n ranks.

    https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
    """
    efa_bytes: int
    tcp_bytes: int
    failures: tuple[str, ...]

    @property
    def proved(self) -> bool:
        """Whether the nodes reduced over EFA, all of them, rightly and fast enough."""
        return not self.failures

    def to_json(self) -> Mapping[str, object]:
        """Return it as data for other programs."""
        return {**asdict(self), "proved": self.proved}


def read_log(text: str) -> NodeLog:
    """Return what one pod's log says; lines that say nothing of the fabric are passed over."""
    report = None
    for line in text.splitlines():
        _, found, content = line.partition(MARK)
        if found:
            report = _report(content) or report
    return NodeLog(
        report=report,
        transports=frozenset(_CHANNEL.findall(text)),
        providers=frozenset(_PROVIDER.findall(text)),
    )


def _report(content: str) -> NodeReport | None:
    try:
        fields = json.loads(content)
        return NodeReport(**fields) if isinstance(fields, dict) else None
    except (ValueError, TypeError):
        # A line cut off by a crash is no report.
        return None


def judge(logs: Mapping[int, NodeLog], expected: Expectation) -> Verdict:
    """Return what ``logs``, by the index of their node, prove of what is ``expected``."""
    reports = [log.report for log in logs.values() if log.report]
    failures = [
        *_missing(logs, expected),
        *_wrong_nodes(reports, expected),
        *_wrong_transports(logs),
        *_wrong_traffic(reports, expected),
    ]
    bandwidth = _bus_bandwidth(reports)
    if bandwidth is not None and expected.bus_floor and bandwidth < expected.bus_floor:
        failures.append(
            f"The bus bandwidth is {bandwidth:.1f} GB/s, under the floor of "
            f"{expected.bus_floor:.1f}. Look for a node with fewer adapters or a wrong topology."
        )
    return Verdict(
        bus_bandwidth=bandwidth,
        efa_bytes=sum(report.efa_bytes for report in reports),
        tcp_bytes=sum(report.tcp_bytes for report in reports),
        failures=tuple(failures),
    )


def least_traffic(report: NodeReport) -> int:
    """Return the bytes that all nodes together must send in a run, whatever the algorithm.

    Each node's part must reach another before anybody has the sum, and the sum must come back to
    each: 2 (N - 1) times the tensor for N nodes.
    """
    return 2 * (report.nodes - 1) * report.bytes * report.iterations


def _missing(logs: Mapping[int, NodeLog], expected: Expectation) -> list[str]:
    missing = [
        str(node) for node in range(expected.nodes) if node not in logs or logs[node].report is None
    ]
    if not missing:
        return []
    return [f"Node {', '.join(missing)} did not report: its ranks crashed, hung or never started."]


def _wrong_nodes(reports: Sequence[NodeReport], expected: Expectation) -> list[str]:
    failures = []
    ranks = expected.nodes * expected.ranks
    for report in reports:
        name = f"Node {report.node} ({report.host})"
        if (report.nodes, report.ranks) != (expected.nodes, ranks):
            failures.append(
                f"{name} saw {report.ranks} ranks on {report.nodes} nodes instead of {ranks} on "
                f"{expected.nodes}."
            )
        if report.efa_devices < expected.efa_devices:
            failures.append(
                f"{name} has {report.efa_devices} EFA devices instead of {expected.efa_devices}: "
                "look at the device plugin and at the node's launch template."
            )
        if not report.right:
            failures.append(f"{name} got a wrong sum: its results cannot be trusted; replace it.")
    return failures


def _wrong_transports(logs: Mapping[int, NodeLog]) -> list[str]:
    failures = []
    for node, log in sorted(logs.items()):
        other = sorted(log.transports - EFA_TRANSPORTS) + sorted(log.providers - EFA_PROVIDERS)
        if other:
            failures.append(
                f"Node {node} used {', '.join(other)} instead of EFA: does the image have the OFI "
                "plugin, and does the security group let its members send to each other?"
            )
    return failures


def _wrong_traffic(reports: Sequence[NodeReport], expected: Expectation) -> list[str]:
    if len(reports) < expected.nodes:
        return []
    sent = sum(report.efa_bytes for report in reports)
    needed = least_traffic(reports[0])
    failures = []
    if sent < LEAST_SHARE * needed:
        failures.append(
            f"The EFA devices sent {sent / 1e9:.2f} GB, and the all-reduce cannot do with less "
            f"than {needed / 1e9:.2f}: the rest went another way."
        )
    failures += [
        f"Node {report.node} ({report.host}) sent nothing over EFA."
        for report in reports
        if not report.efa_bytes
    ]
    tcp = sum(report.tcp_bytes for report in reports)
    if tcp > MOST_TCP_SHARE * needed:
        failures.append(
            f"{tcp / 1e9:.2f} GB went over TCP, which is more than talk between processes."
        )
    return failures


def _bus_bandwidth(reports: Sequence[NodeReport]) -> float | None:
    """Return GB/s by the slowest node, or ``None`` without a report."""
    slowest = max(reports, key=lambda report: report.seconds, default=None)
    if slowest is None or slowest.seconds <= 0:
        return None
    rate = slowest.bytes * slowest.iterations / slowest.seconds
    return rate * 2 * (slowest.ranks - 1) / slowest.ranks / 1e9
