"""Which steps make a node, in which order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperpod_node.accelerators import check_accelerators
from hyperpod_node.boot_service import enable_boot_service, install_scripts
from hyperpod_node.container_storage import move_container_storage
from hyperpod_node.efa_lustre import configure_efa
from hyperpod_node.host import Host, NodeError, say
from hyperpod_node.kernel_hold import hold_kernel
from hyperpod_node.lustre_mounts import ensure_mounts, restore_mounts
from hyperpod_node.lustre_tuning import tune
from hyperpod_node.node_identity import NodeIdentity, check_legacy_role, identify
from hyperpod_node.observability import configure_agent
from hyperpod_node.settings import Settings, read_settings
from hyperpod_node.slurm_accounts import ensure_accounts
from hyperpod_node.unix_users import ensure_users

FOLDER = Path(__file__).parent.parent

COMPLETE = "/var/lib/llm-platform/lifecycle-complete.json"
"""Exists from the end of a provisioning that succeeded to the beginning of the next."""


@dataclass(frozen=True)
class Node:
    """What every step works with."""

    host: Host
    settings: Settings
    identity: NodeIdentity


STEPS: dict[str, Callable[[Node], None]] = {
    "legacy-role": lambda node: check_legacy_role(FOLDER, node.identity),
    "kernel": lambda node: hold_kernel(node.host, node.settings),
    "accelerators": lambda node: check_accelerators(node.host, node.settings, node.identity),
    "efa-lustre": lambda node: configure_efa(node.host, node.settings, node.identity),
    "mounts": lambda node: ensure_mounts(node.host, node.settings, node.identity),
    "restore-mounts": lambda node: restore_mounts(node.host, node.settings, node.identity),
    "tuning": lambda node: tune(node.host, node.settings, node.identity),
    "users": lambda node: ensure_users(node.host, node.settings),
    "accounts": lambda node: ensure_accounts(node.host, node.settings, node.identity),
    "observability": lambda node: configure_agent(node.host, node.settings, node.identity),
    "scripts": lambda node: install_scripts(node.host, FOLDER),
    "boot-service": lambda node: enable_boot_service(node.host, node.settings),
    "container-storage": lambda node: move_container_storage(
        node.host, node.settings, node.identity
    ),
}
"""Every step; each may be run again at any time."""

_SLURM = (
    # Logs first: whatever fails from here on can be read without the node.
    "observability",
    "kernel",
    "accelerators",
    "efa-lustre",
    "mounts",
    "tuning",
    "users",
    "accounts",
    "scripts",
    "boot-service",
)

PROVISIONING = {
    "slurm": _SLURM,
    "legacy-slurm": ("legacy-role", *_SLURM),
    "eks": ("container-storage", "kernel", "accelerators"),
}
"""Sequences that make a node and leave :data:`COMPLETE` behind."""

BOOT = ("restore-mounts", "tuning")
"""What ``boot`` repeats at every start."""


def main(arguments: Sequence[str]) -> int:
    """Run a sequence or one step by its name; return the status to end with."""
    names = [*PROVISIONING, "boot", *STEPS]
    if len(arguments) != 1 or arguments[0] not in names:
        say(f"FAILED: name one of {', '.join(names)}")
        return 2
    chosen = arguments[0]
    host = Host(os.environ.get("LIFECYCLE_ROOT", ""))
    step = "settings"
    try:
        if chosen in PROVISIONING:
            host.path(COMPLETE).unlink(missing_ok=True)
        settings = read_settings(FOLDER)
        step = "identity"
        node = Node(host, settings, identify(host, settings))
        for step in _steps(chosen):
            say(f"Step {step}")
            STEPS[step](node)
        step = "completion"
        if chosen in PROVISIONING:
            _complete(node, chosen)
    except (NodeError, OSError) as error:
        say(f"FAILED {step}: {error}")
        return 1
    say(f"{chosen} is done")
    return 0


def _steps(chosen: str) -> tuple[str, ...]:
    return BOOT if chosen == "boot" else PROVISIONING.get(chosen, (chosen,))


def _complete(node: Node, chosen: str) -> None:
    record = {
        "sequence": chosen,
        "cluster": node.identity.cluster,
        "group": node.identity.group,
        "instance": node.identity.instance,
        "role": node.identity.role,
    }
    node.host.write(COMPLETE, json.dumps(record, indent=2, sort_keys=True) + "\n")
