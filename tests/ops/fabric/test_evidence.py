"""What logs prove: traffic decides, and every way to fail is named."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.fabric.evidence import Expectation, NodeLog, NodeReport, Verdict, judge, read_log
from tests.ops.fabric.node_logs import (
    EFA_DEVICES,
    EFA_LINES,
    NODES,
    RANKS,
    report_line,
    report_of,
)

EXPECTED = Expectation(nodes=NODES, ranks=RANKS, efa_devices=EFA_DEVICES)


def verdict_of(*reports: NodeReport | None, bus_floor: float | None = None) -> Verdict:
    logs = {node: NodeLog(report=report) for node, report in enumerate(reports)}
    return judge(logs, replace(EXPECTED, bus_floor=bus_floor))


def test_a_log_tells_its_report_transports_and_provider() -> None:
    log = read_log(report_line(report_of(0)))

    assert log.report == report_of(0)
    assert log.transports == {"Libfabric", "AWS Libfabric"}
    assert log.providers == {"efa"}


@pytest.mark.parametrize(
    "line",
    [
        "node:1:2 [0] NCCL INFO NET/OFI Selected Provider is efa (found 16 nics)",
        "node:1:2 [0] NCCL INFO NET/OFI Selected provider is efa, fabric is efa (found 4 nics)",
    ],
)
def test_providers_are_found_as_old_and_new_plugins_write_them(line: str) -> None:
    assert read_log(line).providers == {"efa"}


def test_a_healthy_run_is_a_proof() -> None:
    verdict = verdict_of(report_of(0), report_of(1), bus_floor=300)

    assert verdict.proved
    assert verdict.bus_bandwidth == pytest.approx(375)


FAULTS = {
    "a node that never reported": (None, "Node 1 did not report"),
    "an adapter too few": (
        replace(report_of(1), efa_devices=15),
        "has 15 EFA devices instead of 16",
    ),
    "a wrong sum": (replace(report_of(1), right=False), "got a wrong sum"),
    "a node alone": (replace(report_of(1), nodes=1, ranks=8), "saw 8 ranks on 1 nodes"),
    "no bytes on EFA": (replace(report_of(1), efa_bytes=0), "sent nothing over EFA"),
    "the tensor over TCP": (replace(report_of(1), tcp_bytes=10**10), "10.00 GB went over TCP"),
    "too few bytes": (replace(report_of(1), efa_bytes=10**9), "the rest went another way"),
    "slow": (replace(report_of(1), seconds=1.0), "under the floor of 300.0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named(fault: str) -> None:
    report, sentence = FAULTS[fault]
    verdict = verdict_of(report_of(0), report, bus_floor=300)

    assert not verdict.proved
    assert any(sentence in failure for failure in verdict.failures), verdict.failures


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("NCCL INFO Channel 00/0 : 0[0] -> 8[0] [send] via NET/Socket/0", "Socket"),
        ("NCCL INFO Channel 00/0 : 8[0] -> 0[0] [receive] via NET/IB/0", "IB"),
        ("NCCL INFO NET/OFI Selected provider is tcp, fabric is tcp (found 1 nics)", "tcp"),
    ],
)
def test_another_transport_is_a_failure_even_beside_efa(line: str, name: str) -> None:
    log = read_log(f"{line}\n{report_line(report_of(1))}")
    verdict = judge({0: NodeLog(report=report_of(0)), 1: log}, EXPECTED)

    assert any(f"Node 1 used {name}" in failure for failure in verdict.failures)


def test_nothing_at_all_is_no_proof() -> None:
    verdict = judge({}, EXPECTED)

    assert not verdict.proved
    assert verdict.bus_bandwidth is None


@given(st.integers(min_value=0))
def test_a_report_cut_off_anywhere_is_no_report(cut: int) -> None:
    line = report_line(report_of(0)).removeprefix(EFA_LINES).rstrip()
    shortened = line[: cut % len(line)]

    assert read_log(shortened).report is None


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    log = read_log(text)
    assert log.report is None or log.report.nodes >= 0


@given(
    efa=st.integers(min_value=0, max_value=10**12), tcp=st.integers(min_value=0, max_value=10**12)
)
def test_no_proof_has_more_bytes_on_tcp_than_on_efa(efa: int, tcp: int) -> None:
    reports = [replace(report_of(node), efa_bytes=efa, tcp_bytes=tcp) for node in range(NODES)]
    verdict = verdict_of(*reports)

    assert not verdict.proved or verdict.efa_bytes > verdict.tcp_bytes
