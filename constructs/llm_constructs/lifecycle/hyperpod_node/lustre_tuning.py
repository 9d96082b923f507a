"""AWS's recommended client settings, which are lost at every start and every mount.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/performance-tips.html
"""

from __future__ import annotations

import re

from hyperpod_node.host import Host, NodeError, say
from hyperpod_node.node_identity import NodeIdentity
from hyperpod_node.settings import Settings

LARGE_MEMORY_KIB = 64 * 1024 * 1024
"""Above it a client keeps locks longer, in a cache that fits its processors."""

MANY_CPUS = 64
"""Above it a client has more requests in flight."""

MODULE_OPTIONS = "/etc/modprobe.d/llm-lustre.conf"

_MEMORY = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


def tune(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """Set what AWS recommends for a client of this size."""
    if not settings.mounts:
        return
    cpus = int(host.run("nproc", "--all"))
    if _memory_kib(host) > LARGE_MEMORY_KIB:
        _set(host, "ldlm.namespaces.*.lru_max_age", 600_000)
        _set(host, "ldlm.namespaces.*.lru_size", 100 * cpus)
    if cpus <= MANY_CPUS:
        return
    if not identity.expectation.lustre_efa_interfaces:
        # With EFA, AWS's package sets these. They count from the next loading of the modules.
        options = "options ptlrpc ptlrpcd_per_cpt_max=32\noptions ksocklnd credits=2560\n"
        host.write(MODULE_OPTIONS, options)
    _set(host, "osc.*OST*.max_rpcs_in_flight", 32)
    _set(host, "mdc.*.max_rpcs_in_flight", 64)
    _set(host, "mdc.*.max_mod_rpcs_in_flight", 50)


def _memory_kib(host: Host) -> int:
    found = _MEMORY.search(host.read("/proc/meminfo"))
    if found is None:
        raise NodeError("/proc/meminfo does not tell MemTotal in kB.")
    return int(found[1])


def _set(host: Host, parameter: str, value: int) -> None:
    host.run("lctl", "set_param", f"{parameter}={value}")
    say(f"Set {parameter} to {value}")
