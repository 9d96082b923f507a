"""The storage class that claims get when they name none."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.kubectl import KubernetesObject

DEFAULT_CLASS_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
"""https://kubernetes.io/docs/tasks/administer-cluster/change-default-storage-class/"""

EBS_PROVISIONER = "ebs.csi.aws.com"
AUTO_MODE_PROVISIONER = "ebs.csi.eks.amazonaws.com"
"""https://docs.aws.amazon.com/eks/latest/userguide/create-storage-class.html"""


class DefaultStorageClass(Construct):
    """Block storage for single pods: encrypted gp3 volumes in the zone of the pod.

    EKS clusters have had no default since Kubernetes 1.30, so claims without a class would wait for
    ever. Volumes are deleted with their claim.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, cluster: EksCluster, volume_key: kms.IKey
    ) -> None:
        super().__init__(scope, construct_id)
        provisioner = AUTO_MODE_PROVISIONER if cluster.is_automatic else EBS_PROVISIONER
        cluster.kubectl.apply(self, "Gp3", gp3_class(volume_key.key_arn, provisioner=provisioner))


def gp3_class(key_arn: str, *, provisioner: str = EBS_PROVISIONER) -> KubernetesObject:
    """Return the class, whose volumes are encrypted with the key of ``key_arn``.

    https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/parameters.md
    """
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "gp3", "annotations": {DEFAULT_CLASS_ANNOTATION: "true"}},
        "provisioner": provisioner,
        # Strings, all of them: Kubernetes takes no other values here.
        "parameters": {"type": "gp3", "encrypted": "true", "kmsKeyId": key_arn},
        # A volume lies in one zone, which the pod that waits for it decides.
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
    }
