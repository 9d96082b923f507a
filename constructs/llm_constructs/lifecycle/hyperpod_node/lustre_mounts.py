"""The Lustre file systems: mounted, written to, read back, and over EFA where they must be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hyperpod_node.host import CommandError, Host, NodeError, attempts, patiently, say
from hyperpod_node.lnet import lustre_interfaces, require_efa
from hyperpod_node.node_identity import NodeIdentity
from hyperpod_node.settings import Mount, Settings

OPTIONS = "flock,noatime,_netdev"
"""https://docs.aws.amazon.com/fsx/latest/LustreGuide/mount-fs-auto-mount-onreboot.html"""

PROBE_BYTES = 16 * 1024 * 1024
"""Enough for several bulk transfers: only these go over EFA, metadata always takes TCP.

https://github.com/awslabs/awsome-distributed-ai/pull/1202
"""


def ensure_mounts(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """Mount what these scripts mount, wait for what SageMaker mounts, and prove every one."""
    for mount in settings.mounts:
        await_mount(host, mount, settings.mount_timeout_seconds)
        prove(host, mount, identity, settings.mount_timeout_seconds)


def restore_mounts(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """After a start: mount whatever is not mounted, whoever did so first, and prove every one."""
    for mount in settings.mounts:
        if not is_mounted(host, mount):
            _mount_with_patience(host, mount, settings.mount_timeout_seconds)
        prove(host, mount, identity, settings.mount_timeout_seconds)


def is_mounted(host: Host, mount: Mount) -> bool:
    """Whether the right file system is at its place; raise :class:`NodeError` for a wrong one."""
    place = str(host.path(mount.path))
    # Looking into it makes systemd mount what it mounts on demand.
    host.path(f"{mount.path}/.lifecycle").exists()
    try:
        found = host.run(
            "findmnt", "--noheadings", "--types", "lustre", "--output", "SOURCE", "--mountpoint",
            place,
        )  # fmt: skip
    except CommandError as error:
        if error.status is None:
            raise
        return False
    sources = {line.strip() for line in found.splitlines()}
    # The kernel shows addresses instead of names, so only the file system's name can be compared.
    name = mount.source.rpartition(":")[2]
    if not all(source.rpartition(":")[2] == name for source in sources):
        raise NodeError(
            f"{mount.path} has {', '.join(sorted(sources))} on it and should have {mount.source}. "
            "Unmount it, and see what mounts it."
        )
    return bool(sources)


def await_mount(host: Host, mount: Mount, seconds: int) -> None:
    """Return once the file system is mounted; raise :class:`NodeError` if it never is."""
    if mount.mounted_by == "scripts":
        if not is_mounted(host, mount):
            _mount_with_patience(host, mount, seconds)
        return
    for attempt in attempts(seconds):
        if is_mounted(host, mount):
            say(f"{mount.path} is mounted (look {attempt})")
            return
    raise NodeError(
        f"{mount.path} was not mounted within {seconds} seconds. SageMaker mounts it from the "
        "group's FsxLustreConfig: see that the subnet is the file system's, that its security "
        "group lets the nodes in on TCP 988 and 1018-1023, and that the node resolves its name."
    )


def mount_now(host: Host, mount: Mount) -> None:
    """Mount a file system; raise :class:`CommandError` if that fails."""
    place = host.path(mount.path)
    place.mkdir(parents=True, exist_ok=True)
    host.change("modprobe", "lustre")
    host.change("mount", "-t", "lustre", "-o", OPTIONS, mount.source, str(place))


def prove(host: Host, mount: Mount, identity: NodeIdentity, seconds: int) -> None:
    """Write to the file system and read it back, until it works or ``seconds`` are over.

    Where the node must use EFA, the data must have moved EFA's counters.
    """
    least = identity.expectation.lustre_efa_interfaces
    before = require_efa(host, least) if least else None
    problem: OSError | None = None
    for attempt in attempts(seconds):
        problem = _written_and_read(host.path(mount.path), identity.instance)
        if problem is None:
            say(f"{mount.path} was written and read (attempt {attempt})")
            break
        say(f"{mount.path} cannot be written yet: {problem}")
    else:
        raise NodeError(
            f"{mount.path} is mounted but cannot be written and read: {problem}. See the file "
            "system's free capacity and its status in the FSx console."
        )
    if before is not None:
        sent = lustre_interfaces(host).efa_messages - before.efa_messages
        if sent <= 0:
            raise NodeError(
                f"{PROBE_BYTES >> 20} MiB were written to {mount.path} and none of it went over "
                "EFA: Lustre has fallen back to TCP. See that node and file system are in one zone "
                "and that their security groups let all traffic through both ways."
            )
        say(f"{mount.path} speaks EFA: {sent} messages")


def _mount_with_patience(host: Host, mount: Mount, seconds: int) -> None:
    patiently(seconds, lambda: mount_now(host, mount), f"{mount.path} cannot be mounted yet")
    if not is_mounted(host, mount):
        raise NodeError(f"{mount.path} is not there although `mount` ended well: see `dmesg`.")


def _written_and_read(place: Path, node: str) -> OSError | None:
    """Return what stood in the way, or nothing."""
    try:
        _write_and_read(place, node)
    except OSError as error:
        return error
    return None


def _write_and_read(place: Path, node: str) -> None:
    """Raise :class:`OSError` unless what is written comes back from the servers."""
    folder = place / ".lifecycle"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a directory of root's.")
    probe = folder / node
    content = os.urandom(64) * (PROBE_BYTES // 64)
    try:
        # No link is followed: root writes here, and others may write to the file system.
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = os.open(probe, flags, 0o600)
        with os.fdopen(descriptor, "r+b") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
            # Otherwise the page cache would answer, and nothing would be read from a server.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            stream.seek(0)
            if stream.read() != content:
                raise OSError(f"{probe} does not hold what was written to it.")
    finally:
        probe.unlink(missing_ok=True)
