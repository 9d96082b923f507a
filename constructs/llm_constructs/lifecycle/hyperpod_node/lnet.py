"""Which networks Lustre speaks, and how much it said on them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hyperpod_node.host import CommandError, Host, NodeError, say

_NID = re.compile(r"- nid: \S+@(?P<network>[a-z0-9]+)$")
_STATUS = re.compile(r"status: (?P<status>\S+)$")
_SENT = re.compile(r"send_count: (?P<count>\d+)$")


@dataclass(frozen=True)
class LustreInterfaces:
    """EFA interfaces of LNet that are up, and the messages that all of them have sent."""

    efa: int
    efa_messages: int


def lustre_interfaces(host: Host) -> LustreInterfaces:
    """Return what ``lnetctl net show`` tells; no EFA where LNet is not even loaded."""
    try:
        return parse_networks(host.run("lnetctl", "net", "show", "--verbose"))
    except CommandError as error:
        if error.status is None:
            raise
        say(f"LNet is not up: {error}")
        return LustreInterfaces(0, 0)


def parse_networks(text: str) -> LustreInterfaces:
    """Read the YAML of ``lnetctl net show --verbose``, for which the standard library has nothing.

    https://doc.lustre.org/lustre_manual.xhtml#lnet_config.lnetshow
    """
    network = ""
    efa = messages = 0
    for line in text.splitlines():
        stripped = line.strip()
        nid = _NID.match(stripped)
        if nid:
            network = nid["network"]
        # Networks are numbered from the second one on: efa, efa1.
        if not network.startswith("efa"):
            continue
        status = _STATUS.match(stripped)
        if status:
            efa += status["status"] == "up"
        sent = _SENT.match(stripped)
        if sent:
            messages += int(sent["count"])
    return LustreInterfaces(efa, messages)


def require_efa(host: Host, least: int) -> LustreInterfaces:
    """Return the interfaces, or raise :class:`NodeError` if fewer than ``least`` speak EFA."""
    interfaces = lustre_interfaces(host)
    if interfaces.efa < least:
        raise NodeError(
            f"LNet has {interfaces.efa} EFA interfaces that are up and must have {least}: Lustre "
            "would fall back to TCP without a word. See that the nodes' security group lets all "
            "traffic through to itself and the file system's, both ways, and read "
            "`journalctl -u configure-efa-fsx-lustre-client`."
        )
    return interfaces
