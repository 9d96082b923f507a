"""The machines of the curation pipeline: instances that Batch launches and ends."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import CfnResource, Duration, RemovalPolicy
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.nag import acknowledge
from llm_constructs.service_key import VolumeKey
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.instance_type import InstanceType

HTTPS = 443

METADATA = "169.254.169.254"
"""Where the instance tells its role's credentials. Jobs get their own elsewhere, at 169.254.170.2.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
"""

SPOT_WAIT = Duration.minutes(30)
"""How long a job waits for spot capacity before its stage is given to on-demand instances."""

MISFIT_WAIT = Duration.minutes(10)
"""How long a job waits that no instance can ever run: the least that Batch allows.

https://docs.aws.amazon.com/batch/latest/APIReference/API_JobStateTimeLimitAction.html
"""

# What the ECS agent does, without the creation of clusters, which is Batch's:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/instance_IAM_role.html
_AGENT = (
    "ec2:DescribeTags",
    "ecs:DeregisterContainerInstance",
    "ecs:DiscoverPollEndpoint",
    "ecs:Poll",
    "ecs:RegisterContainerInstance",
    "ecs:StartTelemetrySession",
    "ecs:SubmitAttachmentStateChanges",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitTaskStateChange",
    "ecs:UpdateContainerInstancesState",
)


class CurationCompute(Construct):
    """Compute environments in private subnets, scaled to nothing while there are no jobs.

    ``instance_role`` is what the ECS agent of an instance acts as; grant it what its images need.
    Only root reaches it: Batch gives containers the instance's own network, so that no limit of
    hops keeps the metadata service from them, but a rule of the instance does.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        volume_gib: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc = vpc
        self.instance_role = self._make_instance_role()
        self._security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            description="HTTPS to AWS, nothing inwards",
            allow_all_outbound=False,
        )
        # S3 is reached through a gateway endpoint, whose addresses are public ones.
        self._security_group.add_egress_rule(
            ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "HTTPS to AWS"
        )
        self._launch_template = self._make_launch_template(volume_gib, removal_policy)

    def make_environment(
        self,
        construct_id: str,
        *,
        rows: Sequence[InstanceType],
        max_vcpus: int,
        spot: bool,
        image_type: batch.EcsMachineImageType = batch.EcsMachineImageType.ECS_AL2023,
    ) -> batch.ManagedEc2EcsComputeEnvironment:
        """Return an environment of instances of these types."""
        environment = batch.ManagedEc2EcsComputeEnvironment(
            self,
            construct_id,
            vpc=self._vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=self._vpc.private_subnets),
            security_groups=[self._security_group],
            instance_role=self.instance_role,
            launch_template=self._launch_template,
            instance_types=[ec2.InstanceType(row.name) for row in rows],
            use_optimal_instance_classes=False,
            images=[batch.EcsMachineImage(image_type=image_type)],
            spot=spot,
            allocation_strategy=(
                batch.AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED
                if spot
                else batch.AllocationStrategy.BEST_FIT_PROGRESSIVE
            ),
            minv_cpus=0,
            maxv_cpus=max_vcpus,
            # A change of the template or of AWS's image replaces instances as jobs end.
            update_to_latest_image_version=True,
            terminate_on_update=False,
        )
        # The CDK names no version, and Batch then keeps to the first one there ever was.
        # https://docs.aws.amazon.com/batch/latest/APIReference/API_LaunchTemplateSpecification.html
        version = self._launch_template.latest_version_number
        cast("CfnResource", environment.node.default_child).add_property_override(
            "ComputeResources.LaunchTemplate.Version", version
        )
        return environment

    def make_queue(
        self,
        construct_id: str,
        environments: Sequence[batch.ManagedEc2EcsComputeEnvironment],
        *,
        gives_up: bool = False,
    ) -> batch.JobQueue:
        """Return a queue to the environments, the first of which is tried first.

        A job that no instance can run fails. One that waits for capacity does so too after
        ``SPOT_WAIT``, if the queue ``gives_up``.
        """
        reasons = [(batch.JobStateTimeLimitActionsReason.JOB_RESOURCE_REQUIREMENT, MISFIT_WAIT)]
        if gives_up:
            capacity = batch.JobStateTimeLimitActionsReason.INSUFFICIENT_INSTANCE_CAPACITY
            reasons.append((capacity, SPOT_WAIT))
        return batch.JobQueue(
            self,
            construct_id,
            compute_environments=[
                batch.OrderedComputeEnvironment(compute_environment=environment, order=order)
                for order, environment in enumerate(environments, start=1)
            ],
            job_state_time_limit_actions=[
                batch.JobStateTimeLimitAction(
                    action=batch.JobStateTimeLimitActionsAction.CANCEL,
                    state=batch.JobStateTimeLimitActionsState.RUNNABLE,
                    reason=reason,
                    max_time=wait,
                )
                for reason, wait in reasons
            ],
        )

    def _make_instance_role(self) -> ServiceRole:
        role = ServiceRole(
            self,
            "InstanceRole",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description="The ECS agent of curation instances",
        )
        # Batch names the cluster itself, and the actions on container instances know it only then.
        role.add_to_policy(iam.PolicyStatement(actions=[*_AGENT], resources=["*"]))
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="The agent registers its instance with a cluster that Batch makes and names "
            "after deployment, and ecr:GetAuthorizationToken and ec2:DescribeTags know no "
            "resources. Processes of containers reach this role only as root, which the job's own "
            "image is not.",
        )
        return role

    def _make_launch_template(
        self, volume_gib: int, removal_policy: RemovalPolicy
    ) -> ec2.LaunchTemplate:
        key = VolumeKey(
            self,
            "VolumeKey",
            description="Encrypts the volumes of curation instances",
            removal_policy=removal_policy,
        )
        return ec2.LaunchTemplate(
            self,
            "LaunchTemplate",
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        volume_gib,
                        encrypted=True,
                        kms_key=key,
                        volume_type=ec2.EbsDeviceVolumeType.GP3,
                        delete_on_termination=True,
                    ),
                )
            ],
            http_endpoint=True,
            http_put_response_hop_limit=1,
            require_imdsv2=True,
            user_data=_only_root_reaches_metadata(),
        )


def _only_root_reaches_metadata() -> ec2.MultipartUserData:
    # Simple jobs on EC2 have the network mode `host`, in which one hop is as far as they need:
    # https://docs.aws.amazon.com/batch/latest/userguide/networking-modes-jobs.html
    # Batch takes user data in parts alone, and adds its own:
    # https://docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
    script = ec2.UserData.for_linux()
    script.add_commands(
        f"iptables --wait --insert OUTPUT --destination {METADATA} "
        "--match owner ! --uid-owner 0 --jump REJECT"
    )
    parts = ec2.MultipartUserData()
    parts.add_user_data_part(script, ec2.MultipartBody.SHELL_SCRIPT, make_default=True)
    return parts
