"""Lustre's client over EFA, with AWS's package out of a bucket of the cluster's owner."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import zipfile
from pathlib import Path

from hyperpod_node.host import CommandError, Host, NodeError, patiently, say
from hyperpod_node.lnet import lustre_interfaces, require_efa
from hyperpod_node.lustre_mounts import await_mount, is_mounted, mount_now
from hyperpod_node.node_identity import NodeIdentity
from hyperpod_node.settings import LustreClient, Mount, Settings

PACKAGE = "/opt/llm-platform/efa-lustre-client"
"""Where the package stays, so that running a step again fetches nothing."""

SETUP = "configure-efa-fsx-lustre-client/setup.sh"
"""Entry point in the package.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/configure-efa-clients.html
"""

FINAL_ANSWERS = ("AccessDenied", "403", "404", "NoSuchBucket", "NoSuchKey")
"""In what S3 says when asking again would not help."""


def configure_efa(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """Make Lustre use EFA, unless it already does or this group need not."""
    least = identity.expectation.lustre_efa_interfaces
    if not least or not settings.mounts:
        say("Lustre may use TCP on this node")
        return
    for mount in settings.mounts:
        if mount.mounted_by == "hyperpod":
            # A mount that comes while the modules are being exchanged would keep the old ones.
            await_mount(host, mount, settings.mount_timeout_seconds)
    if lustre_interfaces(host).efa >= least:
        say("Lustre has its EFA interfaces already")
        return
    if settings.lustre_client is None:
        raise NodeError(
            "Lustre must use EFA on this node, LNet has too few EFA interfaces, and the settings "
            "name no lustre_client to configure them with. Put AWS's package into a bucket and set "
            "lustre_client."
        )
    setup = _fetch(host, settings.lustre_client, settings.mount_timeout_seconds)
    _set_up(host, settings, setup)
    require_efa(host, least)


def _set_up(host: Host, settings: Settings, setup: Path) -> None:
    """Run the package between unmounting and mounting again."""
    mounted = [mount for mount in settings.mounts if is_mounted(host, mount)]
    for mount in mounted:
        host.change("umount", str(host.path(mount.path)))
    try:
        # The package sets options that modules read only as they are loaded.
        host.change("lustre_rmmod")
        host.change("bash", str(setup))
    except CommandError:
        # The node fails, but whoever repairs it can run the step again.
        with contextlib.suppress(NodeError):
            _mount_again(host, mounted)
        raise
    _mount_again(host, mounted)


def _mount_again(host: Host, mounts: list[Mount]) -> None:
    for mount in mounts:
        # systemd mounts again by itself what it mounts on demand.
        if not is_mounted(host, mount):
            mount_now(host, mount)


def _fetch(host: Host, client: LustreClient, seconds: int) -> Path:
    """Return the package's entry point, downloaded only if it is not here yet."""
    target = host.path(PACKAGE) / client.sha256[:16]
    setup = target / SETUP
    if setup.is_file():
        return setup
    draft = target.with_name(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        archive = draft / "client.zip"
        _download(host, client.source, archive, seconds)
        _check(archive, client)
        with zipfile.ZipFile(archive) as package:
            package.extractall(draft)
        archive.unlink()
        if not (draft / SETUP).is_file():
            raise NodeError(f"{client.source} has no {SETUP}: it is another archive.")
        draft.rename(target)
    except (OSError, zipfile.BadZipFile) as error:
        raise NodeError(f"{client.source} cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return setup


def _download(host: Host, source: str, archive: Path, seconds: int) -> None:
    try:
        patiently(
            seconds,
            lambda: host.change("aws", "s3", "cp", "--only-show-errors", source, str(archive)),
            f"{source} cannot be read yet",
            is_final=lambda error: any(code in error.output for code in FINAL_ANSWERS),
        )
    except CommandError as error:
        raise NodeError(
            f"{source} cannot be read: {error}. See that the object exists, that the nodes' role "
            "may read it and decrypt with its key, and that the subnet has an S3 endpoint."
        ) from None


def _check(archive: Path, client: LustreClient) -> None:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != client.sha256:
        raise NodeError(
            f"{client.source} has the SHA-256 {found}, and the settings expect {client.sha256}. "
            "Nothing of it was run. If AWS has published a new one, look at it and pin it."
        )
