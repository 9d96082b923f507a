"""Where nodes keep their system, images and containers."""

from collections.abc import Mapping
from typing import Final

from llm_constructs.specs.instance_type import AmiType

BOTTLEROCKET_SYSTEM_GIB: Final = 10
"""Of Bottlerocket's own volume: more than its images have, for EC2 refuses less than that."""


def node_volumes(ami_type: AmiType, gib: int) -> Mapping[str, int]:
    """Return the GiB of each block device of a node with ``gib`` for images and containers.

    Amazon Linux has one volume; Bottlerocket has one for the system and one for data. A device that
    a launch template leaves out is made as the image says, and not encrypted:
    https://github.com/bottlerocket-os/bottlerocket#default-volumes
    """
    if ami_type.is_bottlerocket:
        return {"/dev/xvda": BOTTLEROCKET_SYSTEM_GIB, "/dev/xvdb": gib}
    return {"/dev/xvda": gib}
