"""Accelerators and network devices: counted and recorded, never changed.

A driver or SDK that is not what the cluster expects fails the node. Scripts that "fix" it have
downgraded whole clusters: https://github.com/awslabs/awsome-distributed-ai/issues/973
"""

from __future__ import annotations

import json
from typing import Any

from hyperpod_node.host import Host, NodeError, say
from hyperpod_node.node_identity import NodeIdentity
from hyperpod_node.packages import installed_packages, is_at_least
from hyperpod_node.settings import PackageFloor, Settings

RECORD = "/var/lib/llm-platform/accelerator.json"
"""What was found, for whoever compares nodes."""

PACKAGES = {
    "neuron": ("aws-neuronx-*",),
    "nvidia": ("nvidia-*", "libnccl*", "datacenter-gpu-manager*"),
    "none": (),
}
"""Packages of the SDKs, to be recorded."""


def check_accelerators(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """Raise :class:`NodeError` unless devices, EFA, drivers and packages are as expected."""
    expectation = identity.expectation
    found: dict[str, Any] = {"efa_interfaces": _efa_interfaces(host)}
    if expectation.accelerator == "neuron":
        found.update(_neuron(host))
    elif expectation.accelerator == "nvidia":
        found.update(_nvidia(host))
    floors = [
        floor
        for floor in settings.minimum_packages
        if floor.accelerator in (None, expectation.accelerator)
    ]
    patterns = (*PACKAGES[expectation.accelerator], *(floor.package for floor in floors))
    found["packages"] = installed_packages(host, *patterns) if patterns else {}
    host.write(RECORD, json.dumps(found, indent=2, sort_keys=True) + "\n")
    say(f"Found {json.dumps(found, sort_keys=True)}")
    _require_devices(identity, found)
    if expectation.accelerator == "nvidia":
        _require_nvidia(host, identity, found)
    for floor in floors:
        _require_package(found["packages"], floor)


def _efa_interfaces(host: Host) -> int:
    devices = host.path("/sys/class/infiniband")
    if not devices.is_dir():
        return 0
    drivers = [(device / "device" / "driver").resolve().name for device in devices.iterdir()]
    return drivers.count("efa")


def _neuron(host: Host) -> dict[str, Any]:
    """https://awsdocs-neuron.readthedocs-hosted.com/en/latest/tools/neuron-sys-tools/neuron-ls.html"""
    try:
        devices = host.run_json("neuron-ls", "--json-output")
        count = len([device["neuron_device"] for device in devices])
    except (KeyError, TypeError) as error:
        raise NodeError(f"neuron-ls does not list devices as it used to: {error!r}.") from None
    return {"devices": count, "driver": host.read("/sys/module/neuron/version").strip()}


def _nvidia(host: Host) -> dict[str, Any]:
    """https://docs.nvidia.com/deploy/nvidia-smi/"""
    lines = host.run(
        "nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"
    ).splitlines()
    rows = [[part.strip() for part in line.split(",")] for line in lines if line.strip()]
    return {
        "devices": len(rows),
        "driver": rows[0][-1] if rows else "none",
        "names": sorted({row[0] for row in rows}),
    }


def _require_devices(identity: NodeIdentity, found: dict[str, Any]) -> None:
    expected = identity.expectation
    devices = found.get("devices", 0)
    if devices != expected.devices:
        raise NodeError(
            f"This node has {devices} {expected.accelerator} devices and must have "
            f"{expected.devices}. Replace it: a device is missing, or the group's instance type is "
            "not the configured one."
        )
    if found["efa_interfaces"] < expected.efa_interfaces:
        raise NodeError(
            f"This node has {found['efa_interfaces']} EFA interfaces and must have "
            f"{expected.efa_interfaces}. See the group's network interface settings and the limit "
            "of network interfaces of the account, then replace the node."
        )


def _require_nvidia(host: Host, identity: NodeIdentity, found: dict[str, Any]) -> None:
    expected = identity.expectation
    floor = expected.driver_floor
    if floor is not None and not is_at_least(found["driver"], str(floor)):
        raise NodeError(
            f"The NVIDIA driver is {found['driver']} and must be {floor} or newer for these GPUs. "
            "Update the cluster's software; this script changes no driver."
        )
    if expected.fabric_manager and not host.succeeds(
        "systemctl", "is-active", "--quiet", "nvidia-fabricmanager"
    ):
        raise NodeError(
            "nvidia-fabricmanager does not run, and without it the GPUs of this node cannot reach "
            "each other. See `journalctl -u nvidia-fabricmanager`: its version is the driver's."
        )


def _require_package(packages: dict[str, str], floor: PackageFloor) -> None:
    version = packages.get(floor.package)
    if version is None:
        raise NodeError(
            f"{floor.package} is not installed, and the cluster expects {floor.version} or newer. "
            "Update the cluster's software, or take it out of minimum_packages."
        )
    if not is_at_least(version, floor.version):
        raise NodeError(
            f"{floor.package} is {version}, and the cluster expects {floor.version} or newer. "
            "Update the cluster's software; this script installs nothing."
        )
