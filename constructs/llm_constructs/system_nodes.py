"""The managed nodes that run a cluster's own controllers."""

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_kms as kms
from constructs import Construct, IDependable

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.node_role import NodeRole
from llm_constructs.node_volume import node_volumes
from llm_constructs.specs.node_group import SystemNodes


class SystemNodeGroup(Construct):
    """A small node group for what must run before, and without, any other node.

    It has no taint: charts that know nothing of one would stay pending on a new cluster, and
    accelerator nodes keep others away by their own taints. Nodes that fail are replaced by EKS.
    The nodes wait for ``after``, for without a network plugin they would never be ready.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        nodes: SystemNodes,
        volume_key: kms.IKey,
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        template = self._make_launch_template(cluster, nodes, volume_key)
        self.node_group = eks.Nodegroup(
            self,
            "NodeGroup",
            cluster=cluster.cluster,
            instance_types=[ec2.InstanceType(nodes.instance_type)],
            ami_type=eks.NodegroupAmiType[nodes.effective_ami_type.upper()],
            release_version=nodes.ami_release,
            node_role=NodeRole(self, "Role", description=f"System nodes of {cluster.name}"),
            subnets=ec2.SubnetSelection(subnets=cluster.vpc.private_subnets),
            min_size=nodes.minimum,
            desired_size=nodes.minimum,
            max_size=nodes.maximum,
            max_unavailable=1,
            enable_node_auto_repair=True,
            # Updates wait for disruption budgets instead of overriding them.
            force_update=False,
            launch_template_spec=eks.LaunchTemplateSpec(
                id=template.launch_template_id or "", version=template.latest_version_number
            ),
        )
        self.node_group.node.add_dependency(*after)

    def _make_launch_template(
        self, cluster: EksCluster, nodes: SystemNodes, volume_key: kms.IKey
    ) -> ec2.LaunchTemplate:
        template = ec2.LaunchTemplate(
            self,
            "LaunchTemplate",
            security_group=cluster.cluster.cluster_security_group,
            # One hop: the node reaches its credentials, and pods do not.
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            detailed_monitoring=True,
            block_devices=[
                ec2.BlockDevice(
                    device_name=device,
                    volume=ec2.BlockDeviceVolume.ebs(
                        gib,
                        volume_type=ec2.EbsDeviceVolumeType.GP3,
                        encrypted=True,
                        kms_key=volume_key,
                    ),
                )
                for device, gib in node_volumes(nodes.effective_ami_type, nodes.volume_gib).items()
            ],
        )
        template.add_security_group(cluster.node_security_group)
        return template
