"""containerd and kubelet on the node's own volume, because images of models fill a root volume.

Their directories are moved and bound back to where they were, so that containerd's configuration
stays the image's, with the runtime that fits the accelerator.
"""

from __future__ import annotations

import re

from hyperpod_node.host import Host, NodeError, attempts, say
from hyperpod_node.node_identity import NodeIdentity
from hyperpod_node.settings import Settings

DIRECTORIES = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet"}
"""What is moved, by the service that owns it."""

SERVICES = ("kubelet", "containerd")
"""In the order in which they are stopped."""

CONFIGURATION = "/etc/containerd/config.toml"

_NVIDIA_DEFAULT = re.compile(r"^\s*default_runtime_name\s*=\s*[\"']nvidia[\"']", re.MULTILINE)


def move_container_storage(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """Move both, once; raise :class:`NodeError` if the volume never comes."""
    _check_runtime(host, identity)
    volume = settings.container_storage
    if volume is None:
        say("containerd and kubelet stay on the root volume")
        return
    _await_volume(host, volume, settings.mount_timeout_seconds)
    pending = [name for name in DIRECTORIES if not _is_bound(host, name)]
    if not pending:
        say(f"containerd and kubelet are on {volume} already")
        return
    stopped = [
        service
        for service in SERVICES
        if host.succeeds("systemctl", "is-active", "--quiet", service)
    ]
    for service in stopped:
        host.change("systemctl", "stop", service)
    for name in pending:
        _move(host, name, volume)
    for service in reversed(stopped):
        host.change("systemctl", "start", service)


def _check_runtime(host: Host, identity: NodeIdentity) -> None:
    """NVIDIA's runtime as the default lets no container start on a node without NVIDIA devices."""
    configuration = host.path(CONFIGURATION)
    if identity.expectation.accelerator == "nvidia" or not configuration.is_file():
        return
    if _NVIDIA_DEFAULT.search(host.read(CONFIGURATION)):
        raise NodeError(
            f"{CONFIGURATION} makes nvidia the default runtime, and this node has "
            f"{identity.expectation.accelerator} accelerators: no container would start. Use the "
            "image of this accelerator."
        )


def _await_volume(host: Host, volume: str, seconds: int) -> None:
    place = str(host.path(volume))
    for _ in attempts(seconds):
        if host.succeeds("mountpoint", "--quiet", place):
            return
    raise NodeError(
        f"{volume} was not mounted within {seconds} seconds. Give the instance group a volume of "
        "its own (EbsVolumeConfig), or leave container_storage out."
    )


def _is_bound(host: Host, name: str) -> bool:
    return host.succeeds("mountpoint", "--quiet", str(host.path(DIRECTORIES[name])))


def _move(host: Host, name: str, volume: str) -> None:
    """Copy what is there, then bind the copy over it, now and at every start."""
    directory = DIRECTORIES[name]
    target = f"{volume}/{name}"
    unit = f"{directory.strip('/').replace('/', '-')}.mount"
    try:
        host.path(directory).mkdir(parents=True, exist_ok=True)
        host.path(target).mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise NodeError(f"{target} cannot be made: {error}") from None
    # The dot copies what is in the directory, hidden files too, and again does no harm.
    host.change("cp", "--archive", f"{host.path(directory)}/.", str(host.path(target)))
    text = f"""\
[Unit]
Description={name} of this node on {volume}
RequiresMountsFor={volume}
Before={name}.service

[Mount]
What={target}
Where={directory}
Type=none
Options=bind

[Install]
WantedBy=multi-user.target
RequiredBy={name}.service
"""
    if host.write(f"/etc/systemd/system/{unit}", text):
        host.change("systemctl", "daemon-reload")
    host.change("systemctl", "enable", "--now", unit)
    if not _is_bound(host, name):
        raise NodeError(f"{directory} is not on {volume} although {unit} has started.")
