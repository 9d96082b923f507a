"""What a node of Amazon Linux 2023 is told when it boots."""

import json
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import Any, Final

_BOUNDARY: Final = "node-config"


def node_user_data(*, joins_disks: bool, fast_image_pull: bool) -> str | None:
    """Return user data for what a node does differently from the image's defaults, if anything.

    ``joins_disks`` makes one volume for containers of all local disks; ``fast_image_pull`` pulls
    and unpacks the layers of an image at the same time. EKS and Karpenter put their own parts of
    the configuration beside it.

    https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/examples/
    """
    spec: dict[str, Any] = {}
    if joins_disks:
        spec["instance"] = {"localStorage": {"strategy": "RAID0"}}
    if fast_image_pull:
        spec["featureGates"] = {"FastImagePull": True}
    if not spec:
        return None
    config = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": spec}
    message = MIMEMultipart(boundary=_BOUNDARY)
    part = MIMENonMultipart("application", "node.eks.aws")
    # JSON is YAML.
    part.set_payload(json.dumps(config))
    message.attach(part)
    return message.as_string()
