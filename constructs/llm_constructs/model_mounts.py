"""Models of the lake as files, by Mountpoint for Amazon S3."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct, IDependable

from llm_constructs.cluster_addons import ClusterAddons
from llm_constructs.data_lake import DataLake
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.nag import acknowledge
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.specs.cluster_addon import S3_CSI_DRIVER
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.mounted_folder import MountedFolder
from llm_constructs.static_volume import StaticVolume

SERVICE_ACCOUNT: Final = "s3-csi-driver-sa"
"""https://github.com/awslabs/mountpoint-s3-csi-driver/blob/main/docs/CONFIGURATION.md"""


CAPACITY_GIB: Final = 1200
"""GiB of a volume: Kubernetes asks for a number, and the driver ignores it.

https://github.com/awslabs/mountpoint-s3-csi-driver/blob/main/examples/kubernetes/static_provisioning/static_provisioning.yaml
"""


class ModelMounts(Construct):
    """The CSI driver, with permission to read ``folders`` of the lake's models and nothing else.

    Pods mount them through :meth:`volumes`, read-only. The role has an association of its own
    rather than the add-on's: it must exist before the driver's pods do.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        lake: DataLake,
        folders: Sequence[MountedFolder],
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self._models = lake.location(LakeArea.MODELS)
        self._folders = folders
        role = PodIdentityRole(
            self,
            "Role",
            cluster=cluster,
            namespace=S3_CSI_DRIVER.namespace,
            service_account=SERVICE_ACCOUNT,
            description=f"Models that pods of {cluster.name} mount from S3",
        )
        role.allow(*_statements(lake, folders))
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::.../*]",
            reason="`/*` is every object below the folders that the environment names; a model is "
            "many files, whose names are not known here.",
        )
        self.addon = ClusterAddons(
            self,
            "Driver",
            cluster=cluster,
            addons=[S3_CSI_DRIVER],
            after=[*after, role, role.associate()],
        )

    def volumes(self, namespace: str) -> list[StaticVolume]:
        """Return what pods of ``namespace`` mount the folders by, each by its claim.

        https://github.com/awslabs/mountpoint-s3-csi-driver/blob/main/docs/CONFIGURATION.md
        """
        return [
            StaticVolume(
                name=folder.claim,
                namespace=namespace,
                driver="s3.csi.aws.com",
                # Of two volumes with the same handle a pod would get one.
                handle=f"{namespace}-{folder.claim}",
                attributes={"bucketName": self._models.bucket.bucket_name},
                mount_options=(
                    "read-only",
                    # Mountpoint runs as another user than the pods.
                    "allow-other",
                    # It would ask the node's metadata, which no pod reaches.
                    f"region {Stack.of(self).region}",
                    f"prefix {self._models.prefix}{folder.path}/",
                ),
                capacity_gib=CAPACITY_GIB,
                read_only=True,
            )
            for folder in self._folders
        ]


def _statements(lake: DataLake, folders: Sequence[MountedFolder]) -> Sequence[iam.PolicyStatement]:
    """Return what Mountpoint needs to read.

    https://github.com/awslabs/mountpoint-s3/blob/main/doc/CONFIGURATION.md#iam-permissions
    """
    models = lake.location(LakeArea.MODELS)
    prefixes = [f"{models.prefix}{folder.path}/" for folder in folders]
    return (
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[models.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
        ),
        iam.PolicyStatement(
            actions=["s3:GetObject"],
            resources=[models.bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes],
        ),
        iam.PolicyStatement(
            actions=["kms:Decrypt"],
            resources=[lake.keys[LakeArea.MODELS.data_class].key_arn],
        ),
    )
