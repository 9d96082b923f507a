"""Kernel and Lustre client kept as the image has them: each is built for the other."""

from __future__ import annotations

from hyperpod_node.host import Host, NodeError, say
from hyperpod_node.packages import installed_packages
from hyperpod_node.settings import Settings

UBUNTU_PACKAGES = ("linux-image-*", "linux-headers-*", "linux-modules-*", "linux-aws*", "lustre-*")
"""https://manpages.ubuntu.com/manpages/jammy/en/man8/apt-mark.8.html"""

DNF_CONFIGURATION = "/etc/dnf/dnf.conf"
DNF_EXCLUDED = "excludepkgs=kernel*,lustre-client*"
"""https://dnf.readthedocs.io/en/latest/conf_ref.html"""


def hold_kernel(host: Host, settings: Settings) -> None:
    """Keep package managers from upgrading them; raise :class:`NodeError` if that has no effect."""
    if not settings.hold_kernel:
        say("The kernel may be upgraded")
    elif host.is_ubuntu:
        _hold_with_apt(host)
    else:
        _exclude_from_dnf(host)


def _hold_with_apt(host: Host) -> None:
    packages = set(installed_packages(host, *UBUNTU_PACKAGES))
    missing = packages - _held(host)
    if missing:
        host.change("apt-mark", "hold", *sorted(missing))
    still = packages - _held(host)
    if still:
        raise NodeError(f"apt-mark does not hold {', '.join(sorted(still))}.")
    say(f"{len(packages)} packages of kernel and Lustre are held")


def _held(host: Host) -> set[str]:
    return set(host.run("apt-mark", "showhold").split())


def _exclude_from_dnf(host: Host) -> None:
    lines = host.read(DNF_CONFIGURATION).splitlines()
    if DNF_EXCLUDED in lines:
        return
    others = [line for line in lines if line.split("=")[0].strip() in ("exclude", "excludepkgs")]
    if others or "[main]" not in lines:
        raise NodeError(
            f"{DNF_CONFIGURATION} has {'; '.join(others) or 'no [main] section'}, so that the "
            "kernel cannot be excluded beside it. Use an image without, or set hold_kernel = false."
        )
    lines.insert(lines.index("[main]") + 1, DNF_EXCLUDED)
    host.write(DNF_CONFIGURATION, "\n".join(lines) + "\n")
