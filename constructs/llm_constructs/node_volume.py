"""Where nodes keep images and containers."""

from llm_constructs.specs.instance_type import AmiType


def container_volume_device(ami_type: AmiType) -> str:
    """Return the block device that holds images and containers.

    Amazon Linux has one volume; Bottlerocket has a second one for data:
    https://github.com/bottlerocket-os/bottlerocket#default-volumes
    """
    return "/dev/xvdb" if ami_type.is_bottlerocket else "/dev/xvda"
