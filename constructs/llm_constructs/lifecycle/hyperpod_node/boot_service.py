"""What a node does again at every start, because a restart undoes it without running HyperPod's
scripts: mounts, tuning, and the proof that Lustre still uses EFA.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from hyperpod_node.host import Host, NodeError, say
from hyperpod_node.settings import Settings

INSTALLED = "/opt/llm-platform/lifecycle"
"""Where scripts and settings stay; SageMaker's own copy is not there to stay."""

UNIT = "llm-lifecycle-boot.service"

CLEARANCE_SECONDS = 600
"""Beyond what mounts may take: loading modules and configuring EFA before them."""


def install_scripts(host: Host, folder: Path) -> None:
    """Keep a copy of the scripts on the node, whole or not at all."""
    target = host.path(INSTALLED)
    if target.exists() and target.samefile(folder):
        return
    draft = target.with_name(".lifecycle.draft")
    previous = target.with_name(".lifecycle.previous")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)
        shutil.copytree(folder, draft, ignore=shutil.ignore_patterns("__pycache__"))
        if target.exists():
            target.rename(previous)
        draft.rename(target)
        shutil.rmtree(previous, ignore_errors=True)
    except OSError as error:
        raise NodeError(f"The scripts cannot be kept in {INSTALLED}: {error}") from None
    say(f"Kept the scripts in {INSTALLED}")


def enable_boot_service(host: Host, settings: Settings) -> None:
    """Let systemd run the ``boot`` sequence before Slurm at every start.

    Slurm's daemon needs the service, so that a node which lost its file systems or fell back to TCP
    stays down instead of taking jobs.
    """
    if not settings.mounts:
        say("No file systems are expected, so nothing has to be done at a start")
        return
    timeout = len(settings.mounts) * 2 * settings.mount_timeout_seconds + CLEARANCE_SECONDS
    unit = f"""\
[Unit]
Description=Lustre as this cluster expects it: mounted, tuned, and over EFA where it must be
Wants=network-online.target
After=network-online.target remote-fs.target configure-efa-fsx-lustre-client.service
Before=slurmd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 -I -S -B {INSTALLED} boot
TimeoutStartSec={timeout}

[Install]
WantedBy=multi-user.target
RequiredBy=slurmd.service
"""
    if host.write(f"/etc/systemd/system/{UNIT}", unit):
        host.change("systemctl", "daemon-reload")
    host.change("systemctl", "enable", UNIT)
