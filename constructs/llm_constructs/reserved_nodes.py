"""Managed nodes on Capacity Blocks and On-Demand Capacity Reservations.

L1 node groups and launch templates: the L2 node group refuses the images of most accelerator types
(https://github.com/aws/aws-cdk/issues/37854), and the L2 launch template has neither network
interfaces nor reservations.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Aws, CfnTag, Duration, Fn
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct, IDependable

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.node_config import node_user_data
from llm_constructs.node_role import NodeRole
from llm_constructs.node_volume import node_volumes
from llm_constructs.service_role import ServiceRole
from llm_constructs.signal import Signal
from llm_constructs.specs.capacity_block import ScheduledSize
from llm_constructs.specs.node_group import ReservedNodeGroup
from llm_constructs.specs.observability import Audience

_Template = ec2.CfnLaunchTemplate

_UNUSED_HOURS: Final = 3
"""Longer than nodes take to start, and than a broken one takes to be replaced."""


class ReservedNodes(Construct):
    """One managed node group on reserved accelerators, in the accelerator subnet.

    On a Capacity Block the group has no nodes until the block starts; EventBridge Scheduler raises
    it then, and takes it down before EC2 reclaims the instances. An update replaces nodes without
    a surplus, for the reservation has none. No placement group is ever asked for: reserved capacity
    lies together already, and asking fails
    (https://github.com/terraform-aws-modules/terraform-aws-eks/pull/3730).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        group: ReservedNodeGroup,
        subnet: ec2.ISubnet,
        volume_key: kms.IKey,
        tags: Mapping[str, str],
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster = cluster
        self._group = group
        self.node_group_name = f"{cluster.name}-{group.name}"
        template = self._make_launch_template(volume_key, tags)
        self.node_group = self._make_node_group(template, subnet, tags)
        self.node_group.node.add_dependency(*after)
        self.alarms: tuple[AlarmDescription, ...] = ()
        """What to watch: a block that is paid for and has no nodes, or fewer than it could."""
        if group.schedule is not None:
            self.alarms = (self._schedule(group.schedule.sizes()),)
        self.signals: tuple[Signal, ...] = ()
        """What boards show: how much of what is paid for is used."""
        if group.capacity_block is not None:
            reservation = group.capacity_block.reservation_id
            self.signals = self._describe_signals(reservation)
            self.alarms += (self._describe_unused(reservation),)

    def _make_launch_template(
        self, volume_key: kms.IKey, tags: Mapping[str, str]
    ) -> ec2.CfnLaunchTemplate:
        group = self._group
        block = group.capacity_block
        interfaces = self._interfaces()
        user_data = node_user_data(
            joins_disks=group.joins_disks, fast_image_pull=group.fast_image_pull
        )
        return _Template(
            self,
            "LaunchTemplate",
            launch_template_data=_Template.LaunchTemplateDataProperty(
                instance_type=group.instance_type,
                instance_market_options=_Template.InstanceMarketOptionsProperty(
                    market_type="capacity-block"
                )
                if block
                else None,
                capacity_reservation_specification=self._reservation(),
                network_interfaces=interfaces or None,
                # EC2 takes groups from the interfaces or from here, never from both.
                security_group_ids=None if interfaces else self._security_groups(),
                metadata_options=_Template.MetadataOptionsProperty(
                    http_tokens="required", http_put_response_hop_limit=1
                ),
                monitoring=_Template.MonitoringProperty(enabled=True),
                block_device_mappings=self._volumes(volume_key),
                user_data=Fn.base64(user_data) if user_data else None,
                tag_specifications=[
                    _Template.TagSpecificationProperty(
                        resource_type=kind,
                        tags=[
                            CfnTag(key=key, value=value)
                            for key, value in {**tags, "Name": self.node_group_name}.items()
                        ],
                    )
                    for kind in ("instance", "volume")
                ],
            ),
        )

    def _describe_unused(self, reservation_id: str) -> AlarmDescription:
        return AlarmDescription(
            name="ReservationUnused",
            summary=f"Instances of {reservation_id}, reserved for {self.node_group_name}, have run "
            f"no node for {_UNUSED_HOURS} hours. They are paid for.",
            # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservation-cw-metrics.html
            metric=cloudwatch.Metric(
                namespace="AWS/EC2CapacityReservations",
                metric_name="AvailableInstanceCount",
                dimensions_map={"CapacityReservationId": reservation_id},
                statistic="Minimum",
                period=Duration.hours(1),
            ),
            threshold=0,
            comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            severity=Severity.TICKET,
            runbook="idle-reservation",
            evaluation_periods=_UNUSED_HOURS,
            datapoints_to_alarm=_UNUSED_HOURS,
            missing_data_reason="EC2 emits it while the reservation is active; before and after, "
            "there is nothing to use.",
        )

    def _describe_signals(self, reservation_id: str) -> tuple[Signal, ...]:
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservation-cw-metrics.html
        instances = [
            cloudwatch.Metric(
                namespace="AWS/EC2CapacityReservations",
                metric_name=name,
                dimensions_map={"CapacityReservationId": reservation_id},
                statistic="Maximum",
                period=Duration.minutes(5),
                label=label,
            )
            for name, label in (("TotalInstanceCount", "reserved"), ("UsedInstanceCount", "used"))
        ]
        return tuple(
            Signal(
                title=f"Instances of {self._group.name}",
                audience=audience,
                section=section,
                metrics=instances,
                unit="instances",
            )
            for audience, section in (
                (Audience.TRAINING, "Nodes of the cluster"),
                (Audience.CAPACITY, "Reserved capacity"),
            )
        )

    def _reservation(self) -> ec2.CfnLaunchTemplate.CapacityReservationSpecificationProperty:
        block = self._group.capacity_block
        return _Template.CapacityReservationSpecificationProperty(
            capacity_reservation_target=_Template.CapacityReservationTargetProperty(
                capacity_reservation_id=block.reservation_id if block else None,
                capacity_reservation_resource_group_arn=self._group.reservation_group_arn,
            )
        )

    def _interfaces(self) -> list[ec2.CfnLaunchTemplate.NetworkInterfaceProperty]:
        # Without a subnet each: EKS chooses it, and refuses a template that does.
        return [
            _Template.NetworkInterfaceProperty(
                network_card_index=interface.network_card_index,
                device_index=interface.device_index,
                interface_type=str(interface.interface_type),
                groups=self._security_groups(),
                delete_on_termination=True,
            )
            for interface in self._group.network_interfaces()
        ]

    def _security_groups(self) -> list[str]:
        return [
            self._cluster.security_group_id,
            self._cluster.node_security_group.security_group_id,
        ]

    def _volumes(self, key: kms.IKey) -> list[ec2.CfnLaunchTemplate.BlockDeviceMappingProperty]:
        volumes = node_volumes(self._group.effective_ami_type, self._group.volume_gib)
        return [
            _Template.BlockDeviceMappingProperty(
                device_name=device,
                ebs=_Template.EbsProperty(
                    volume_size=gib,
                    volume_type="gp3",
                    encrypted=True,
                    kms_key_id=key.key_arn,
                    delete_on_termination=True,
                ),
            )
            for device, gib in volumes.items()
        ]

    def _make_node_group(
        self,
        template: ec2.CfnLaunchTemplate,
        subnet: ec2.ISubnet,
        tags: Mapping[str, str],
    ) -> eks.CfnNodegroup:
        group = self._group
        role = NodeRole(self, "Role", description=f"Nodes of {self.node_group_name}")
        return eks.CfnNodegroup(
            self,
            "NodeGroup",
            cluster_name=self._cluster.cluster.cluster_name,
            nodegroup_name=self.node_group_name,
            node_role=role.role_arn,
            subnets=[subnet.subnet_id],
            ami_type=str(group.effective_ami_type),
            release_version=group.ami_release,
            capacity_type="CAPACITY_BLOCK" if group.capacity_block else "ON_DEMAND",
            launch_template=eks.CfnNodegroup.LaunchTemplateSpecificationProperty(
                id=template.ref, version=template.attr_latest_version_number
            ),
            scaling_config=eks.CfnNodegroup.ScalingConfigProperty(
                min_size=0, desired_size=group.desired_nodes, max_size=group.nodes
            ),
            # The L2 has no such strategy; the default one starts a new node before an old one goes.
            update_config=eks.CfnNodegroup.UpdateConfigProperty(
                max_unavailable=1, update_strategy="MINIMAL"
            ),
            node_repair_config=eks.CfnNodegroup.NodeRepairConfigProperty(enabled=True),
            labels=dict(group.labels()),
            taints=[
                eks.CfnNodegroup.TaintProperty(
                    key=taint.key, value=taint.value, effect=_api_effect(taint.effect)
                )
                for taint in group.taints()
            ],
            tags=dict(tags),
        )

    def _schedule(self, sizes: Sequence[ScheduledSize]) -> AlarmDescription:
        # A group of its own, because Scheduler counts failures by group.
        schedules = scheduler.CfnScheduleGroup(self, "Schedules")
        role = ServiceRole(
            self,
            "SchedulerRole",
            assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"),
            description=f"Sets the size of {self.node_group_name} as its Capacity Block begins "
            "and ends",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["eks:UpdateNodegroupConfig"], resources=[self.node_group.attr_arn]
            )
        )
        for size in sizes:
            schedule = scheduler.CfnSchedule(
                self,
                "ScaleUp" if size.desired else "ScaleDown",
                description=f"{self.node_group_name} to {size.desired} nodes",
                group_name=schedules.ref,
                schedule_expression=f"at({size.at:%Y-%m-%dT%H:%M:%S})",
                schedule_expression_timezone="UTC",
                flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
                target=scheduler.CfnSchedule.TargetProperty(
                    arn=f"arn:{Aws.PARTITION}:scheduler:::aws-sdk:eks:updateNodegroupConfig",
                    role_arn=role.role_arn,
                    # In the names of the service's model, which begin with a capital:
                    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
                    input=json.dumps(
                        {
                            "ClusterName": self._cluster.name,
                            "NodegroupName": self.node_group_name,
                            "ScalingConfig": {
                                "MinSize": 0,
                                "DesiredSize": size.desired,
                                "MaxSize": self._group.nodes,
                            },
                        }
                    ),
                ),
            )
            schedule.node.add_dependency(role)
        return AlarmDescription(
            name="CapacityBlockNotScaled",
            summary=f"{self.node_group_name} could not be set to the size that its Capacity Block "
            "asks for.",
            metric=_metric_failures(schedules),
            threshold=0,
            comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            severity=Severity.PAGE,
            runbook="eks-capacity-block",
            evaluation_periods=1,
            datapoints_to_alarm=1,
            momentary=True,
        )


def _metric_failures(schedules: scheduler.CfnScheduleGroup) -> cloudwatch.Metric:
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
    return cloudwatch.Metric(
        namespace="AWS/Scheduler",
        metric_name="TargetErrorCount",
        dimensions_map={"ScheduleGroup": schedules.ref},
        statistic="Sum",
        period=Duration.minutes(1),
    ).attach_to(schedules)


def _api_effect(effect: str) -> str:
    """Return a taint's effect as the EKS API writes it."""
    return {
        "NoSchedule": "NO_SCHEDULE",
        "NoExecute": "NO_EXECUTE",
        "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    }[effect]
