"""What a node of Amazon Linux 2023 is told when it boots."""

import json
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import Final

_BOUNDARY: Final = "node-config"


def raid0_user_data() -> str:
    """Return user data with which a node joins its local disks into one volume for containers.

    EKS puts its own part of the configuration beside it:
    https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/examples/#configuring-instance-storage
    """
    config = {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        # JSON is YAML.
        "spec": {"instance": {"localStorage": {"strategy": "RAID0"}}},
    }
    message = MIMEMultipart(boundary=_BOUNDARY)
    part = MIMENonMultipart("application", "node.eks.aws")
    part.set_payload(json.dumps(config))
    message.attach(part)
    return message.as_string()
