"""Which image boots a type with its driver."""

import re
from collections.abc import Iterable
from typing import Final

from llm_constructs.specs.instance_type import AmiType, DeviceKind, InstanceType
from llm_constructs.specs.problem import Problems

_RELEASE = re.compile(r"\d+\.(?P<minor>\d+)\.\d+-\d{8}")

_BOTTLEROCKET_RELEASE = re.compile(r"\d+\.\d+\.\d+-(?!20\d{6}$)[0-9a-f]{8}")
"""Of Bottlerocket's own versions, which say nothing about Kubernetes', and a commit.

https://bottlerocket.dev/en/os/latest/concepts/variants/
"""

OLDEST_KUBELET: Final = 3
"""Minor versions by which a node may be older than the control plane, and never newer.

https://kubernetes.io/releases/version-skew-policy/#kubelet
"""


def check_ami_release(
    problems: Problems, release: str, ami_type: AmiType | str | None = None
) -> None:
    """Note a problem unless ``release`` pins one release of the image ``ami_type``.

    Amazon Linux and Bottlerocket number theirs differently, and EKS refuses the other's.
    """
    bottlerocket = (ami_type or "").startswith("BOTTLEROCKET")
    pattern = _BOTTLEROCKET_RELEASE if bottlerocket else _RELEASE
    problems.require(
        pattern.fullmatch(release) is not None,
        "ami_release",
        release,
        "It does not pin one release of the image, so that the next node could get another driver.",
        "Give a version of Bottlerocket with its commit, such as 1.50.0-1a2b3c4d."
        if bottlerocket
        else "Give a release such as 1.36.2-20261110 of "
        "https://github.com/awslabs/amazon-eks-ami/releases.",
    )


def check_kubelet(problems: Problems, field: str, release: str, version: str) -> None:
    """Note a problem unless nodes of ``release`` can join a control plane of ``version``."""
    match = _RELEASE.fullmatch(release)
    if match is None:
        return
    minor, control_plane = int(match["minor"]), int(version.partition(".")[2])
    problems.require(
        control_plane - OLDEST_KUBELET <= minor <= control_plane,
        field,
        release,
        f"Nodes of a cluster of version {version} are of 1.{control_plane - OLDEST_KUBELET} to "
        f"{version}.",
        f"Give a release of {version}.",
    )


def check_fast_image_pull(
    problems: Problems, rows: Iterable[InstanceType], *, wanted: bool, joins_disks: bool
) -> None:
    """Note a problem if images would be pulled in parallel to a disk that is too slow for it.

    Below 600 MiB/s it takes longer than one layer after the other, and a gp3 volume has 125 by
    default. https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/examples/
    """
    if not wanted:
        return
    without = [row.name for row in rows if not row.local_nvme_gb]
    problems.require(
        joins_disks and not without,
        "fast_image_pull",
        True,
        f"Images would lie on the root volume{_of(without)}, which is too slow for it: pulls would "
        "take longer than without.",
        "Choose types with local disks and join them, or set fast_image_pull = false.",
    )


def _of(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f" of {listed}" if listed else ""


def check_ami(problems: Problems, row: InstanceType, ami_type: AmiType | str | None) -> None:
    """Note every reason why ``ami_type`` does not boot ``row`` with its driver."""
    if ami_type is None:
        return
    if ami_type not in tuple(AmiType):
        problems.add("ami_type", str(ami_type), *_unknown_ami(str(ami_type)))
        return
    ami = AmiType(ami_type)
    problems.require(
        ami.architecture is row.architecture,
        "ami_type",
        str(ami),
        f"It is an {ami.architecture} image, and {row.name} has {row.architecture} processors.",
        f"Choose {row.ami_type}, or leave it out.",
    )
    problems.require(
        ami.device_kind is row.device_kind,
        "ami_type",
        str(ami),
        _wrong_driver(ami, row),
        f"Choose {row.ami_type}, or leave it out.",
    )


def _unknown_ami(ami_type: str) -> tuple[str, str]:
    if ami_type.startswith("AL2_"):
        return "EKS publishes no more images of Amazon Linux 2.", "Choose its AL2023 counterpart."
    if ami_type == "CUSTOM":
        return (
            "Nothing is known of the drivers of an image of your own, and EKS does not patch it.",
            "Leave it out, and put what you need into the pods' images.",
        )
    if ami_type.startswith("WINDOWS"):
        return "No accelerator plugin here runs on Windows.", "Leave it out."
    return "The platform builds on no such image.", f"Choose from {', '.join(AmiType)}."


def _wrong_driver(ami: AmiType, row: InstanceType) -> str:
    if row.device_kind is DeviceKind.NONE:
        return f"Its {ami.device_kind} driver finds no device on {row.name} and fails to start."
    return f"It has no driver for the {row.device_kind} devices of {row.name}."
