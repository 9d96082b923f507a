"""FSx for Lustre, joined to the data lake.

The construct is made of L1 resources: the L2 file system has no EFA, no metadata configuration and
no logging, and there is no L2 for data repository associations
(https://github.com/aws/aws-cdk/issues/34649).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Final

from aws_cdk import ArnFormat, CfnTag, Duration, Names, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_fsx as fsx
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.alarm import AlarmDescription
from llm_constructs.encryption import CustomerKey
from llm_constructs.lustre_alarms import Publisher, describe_alarms
from llm_constructs.lustre_key_access import admit_data_repositories
from llm_constructs.lustre_signals import describe_queries, describe_signals
from llm_constructs.nag import acknowledge
from llm_constructs.s3_location import S3Location
from llm_constructs.signal import LogQuery, Signal
from llm_constructs.specs.data_repository import DataRepository
from llm_constructs.specs.lustre import LustreVolume
from llm_constructs.specs.problem import Problems
from llm_constructs.static_volume import StaticVolume

MOUNT_OPTIONS: Final = ("flock", "noatime", "_netdev")
"""``flock`` for programs that lock files, ``noatime`` because a read should not write metadata,
``_netdev`` so that a booting client waits for the network.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/mount-fs-auto-mount-onreboot.html
"""

LUSTRE_PORTS: Final = (ec2.Port.tcp(988), ec2.Port.tcp_range(1018, 1023))
"""https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html"""

_READ_ACTIONS = (
    "fsx:DescribeFileSystems",
    "fsx:DescribeDataRepositoryAssociations",
    "fsx:DescribeDataRepositoryTasks",
)


class LustreFileSystem(Construct):
    """A Lustre file system in one subnet whose directories mirror areas of the data lake.

    Only security groups given to :meth:`allow_clients` reach it. A persistent file system is
    encrypted with ``encryption_key``; FSx encrypts scratch ones with a key of its own. What fails
    between it and S3 is logged to ``log_group`` for ``log_retention``.

    ``repositories`` says where each lake area that ``volume`` links lies. FSx reads and writes
    there through a service-linked role, which the key of the bucket is made to admit
    (:func:`admit_data_repositories`); a bucket policy must not deny requests from outside the VPC.

    The file system, its links and logs outlive the stack unless ``removal_policy`` says otherwise.

    Raises :class:`SpecificationError` when an area has no location or two locations overlap.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        subnet: ec2.ISubnet,
        volume: LustreVolume,
        encryption_key: CustomerKey,
        repositories: Mapping[str, S3Location],
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_YEAR,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self.volume = volume
        _check_locations(volume.repositories, repositories)
        self.security_group = self._make_security_group(vpc)
        self.log_group = self._make_log_group(encryption_key, log_retention, removal_policy)
        self._file_system = self._make_file_system(subnet, encryption_key)
        self._file_system.apply_removal_policy(removal_policy)
        self.file_system_id = self._file_system.ref
        self.file_system_arn = self._file_system.attr_resource_arn
        self.dns_name = self._file_system.attr_dns_name
        self.mount_name = self._file_system.attr_lustre_mount_name
        self._link(volume.repositories, repositories, removal_policy)

    @property
    def mount_source(self) -> str:
        """What a client mounts, as in ``mount -t lustre -o flock,… <this> /fsx``."""
        return f"{self.dns_name}@tcp:/{self.mount_name}"

    def mount_command(self, directory: str) -> str:
        """Return the shell command with which a client mounts the file system."""
        return f"mount -t lustre -o {','.join(MOUNT_OPTIONS)} {self.mount_source} {directory}"

    def allow_clients(self, security_group: ec2.ISecurityGroup) -> None:
        """Let members of ``security_group`` mount the file system.

        The rules are made in the stack of ``security_group``, both ways. With EFA they must name
        it, so it cannot be one with ``allow_all_outbound``, from which the CDK drops them; such a
        group raises :class:`SpecificationError`.
        """
        problems = Problems(self.node.path)
        problems.require(
            not (self.volume.efa and security_group.allow_all_outbound),
            "clients",
            security_group.node.path,
            "EFA needs an outbound rule that names the file system's group, and the CDK drops it "
            "from a group that allows all outbound traffic.",
            "Make the group with allow_all_outbound=False.",
        )
        problems.raise_if_any()
        before = {rule.node.path for rule in security_group.node.children}
        for port in self._ports:
            self.security_group.add_ingress_rule(
                security_group, port, "Lustre from clients", remote_rule=True
            )
            self.security_group.add_egress_rule(
                security_group, port, "Lustre to clients", remote_rule=True
            )
            security_group.add_ingress_rule(self.security_group, port, "Lustre from file servers")
            if not security_group.allow_all_outbound:
                security_group.add_egress_rule(self.security_group, port, "Lustre to file servers")
        if self.volume.efa:
            for rule in security_group.node.children:
                if rule.node.path not in before and isinstance(rule, ec2.CfnSecurityGroupIngress):
                    _acknowledge_all_traffic(rule)

    def grant_describe(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` see file systems, their links to S3 and the tasks that move data.

        Lustre clients need it to find out whether EFA is on: without it they use TCP silently.
        """
        _acknowledge_on(
            grantee,
            "AwsSolutions-IAM5[Resource::*]",
            reason="FSx supports no resource-level permission for its Describe actions; they "
            "return configuration and never data.",
        )
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=list(_READ_ACTIONS), resource_arns=["*"]
        )

    def grant_repository_tasks(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` start and cancel tasks that import, export or release files.

        Pair it with :meth:`grant_describe` to follow them.
        """
        tasks = Stack.of(self).format_arn(service="fsx", resource="task", resource_name="*")
        _acknowledge_on(
            grantee,
            "AwsSolutions-IAM5[Resource::...fsx...:task/*]",
            reason="A task's id does not exist before it is created; creating one also needs this "
            "file system, which is named.",
        )
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["fsx:CreateDataRepositoryTask", "fsx:CancelDataRepositoryTask"],
            resource_arns=[self.file_system_arn, tasks],
        )

    def metric_free_capacity(self) -> cloudwatch.Metric:
        """Return the bytes that are free: ``FreeDataStorageCapacity``, summed over the disks.

        FSx emits one value per disk and minute, so the sum is only right over one minute.
        """
        return self._metric("FreeDataStorageCapacity", "Sum", Duration.minutes(1))

    def metric_read_bytes(self) -> cloudwatch.Metric:
        """Return the bytes that clients read: ``DataReadBytes``."""
        return self._metric("DataReadBytes", "Sum", Duration.minutes(5))

    def metric_written_bytes(self) -> cloudwatch.Metric:
        """Return the bytes that clients wrote: ``DataWriteBytes``."""
        return self._metric("DataWriteBytes", "Sum", Duration.minutes(5))

    def metric_operations(self, name: str) -> cloudwatch.Metric:
        """Return the operations of clients in a minute, of one kind such as ``DataReadOperations``.

        https://docs.aws.amazon.com/fsx/latest/LustreGuide/fs-metrics.html
        """
        return self._metric(name, "Sum", Duration.minutes(1))

    def metric_queue_age(self, publisher: Publisher) -> cloudwatch.Metric:
        """Return the seconds that the oldest change has waited: ``AgeOfOldestQueuedMessage``.

        https://docs.aws.amazon.com/fsx/latest/LustreGuide/fs-metrics.html#auto-import-export-metrics
        """
        return self._metric(
            "AgeOfOldestQueuedMessage", "Maximum", Duration.minutes(5), Publisher=publisher.value
        )

    def metric_repository_events(self) -> cloudwatch.Metric:
        """Return how many warnings and errors FSx logged about the links to S3.

        It is the count of log events, for the log group receives nothing else.
        """
        return cloudwatch.Metric(
            namespace="AWS/Logs",
            metric_name="IncomingLogEvents",
            dimensions_map={"LogGroupName": self.log_group.log_group_name},
            statistic="Sum",
            period=Duration.minutes(5),
        ).attach_to(self)

    @property
    def alarms(self) -> tuple[AlarmDescription, ...]:
        """What to watch; links are watched only in the directions that are automatic."""
        return describe_alarms(self)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What boards show of it."""
        return describe_signals(self)

    @property
    def queries(self) -> tuple[LogQuery, ...]:
        """What people ask of its log."""
        return describe_queries(self)

    def static_volume(self, name: str, *, namespace: str) -> StaticVolume:
        """Return the Kubernetes objects with which pods of ``namespace`` mount the file system.

        They need the ``aws-fsx-csi-driver`` add-on:
        https://docs.aws.amazon.com/eks/latest/userguide/fsx-csi.html
        """
        return StaticVolume(
            name=name,
            namespace=namespace,
            driver="fsx.csi.aws.com",
            handle=self.file_system_id,
            attributes={"dnsname": self.dns_name, "mountname": self.mount_name},
            # `_netdev` is for /etc/fstab; when a pod starts, the network is up.
            mount_options=tuple(option for option in MOUNT_OPTIONS if option != "_netdev"),
            capacity_gib=self.volume.capacity_gib,
        )

    @property
    def _ports(self) -> tuple[ec2.Port, ...]:
        # EFA is no TCP: its traffic passes only rules for everything between named groups.
        return (ec2.Port.all_traffic(),) if self.volume.efa else LUSTRE_PORTS

    def _make_security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            # Another description would replace the group, and with it the file system.
            description="File servers of FSx for Lustre",
            allow_all_outbound=False,
        )
        for port in self._ports:
            group.add_ingress_rule(group, port, "Lustre between file servers")
            group.add_egress_rule(group, port, "Lustre between file servers")
        if self.volume.efa:
            _acknowledge_all_traffic(group)
        return group

    def _make_log_group(
        self, key: CustomerKey, retention: logs.RetentionDays, removal_policy: RemovalPolicy
    ) -> logs.LogGroup:
        key.allow_log_groups()
        return logs.LogGroup(
            self,
            "LogGroup",
            # FSx takes only groups under /aws/fsx/:
            # https://docs.aws.amazon.com/fsx/latest/LustreGuide/cw-event-logging.html
            log_group_name=f"/aws/fsx/lustre/{Names.unique_resource_name(self, separator='-')}",
            encryption_key=key,
            retention=retention,
            removal_policy=removal_policy,
        )

    def _make_file_system(self, subnet: ec2.ISubnet, key: kms.IKey) -> fsx.CfnFileSystem:
        volume = self.volume
        return fsx.CfnFileSystem(
            self,
            "FileSystem",
            file_system_type="LUSTRE",
            file_system_type_version=str(volume.lustre_version),
            storage_type="SSD",
            storage_capacity=volume.capacity_gib,
            subnet_ids=[subnet.subnet_id],
            security_group_ids=[self.security_group.security_group_id],
            kms_key_id=key.key_arn if volume.is_persistent else None,
            lustre_configuration=self._lustre_configuration(),
            tags=[CfnTag(key="Name", value=self.node.path)],
        )

    def _lustre_configuration(self) -> fsx.CfnFileSystem.LustreConfigurationProperty:
        volume = self.volume
        return fsx.CfnFileSystem.LustreConfigurationProperty(
            deployment_type=str(volume.deployment_type),
            per_unit_storage_throughput=volume.throughput if volume.is_persistent else None,
            data_compression_type=str(volume.compression),
            efa_enabled=volume.efa or None,
            metadata_configuration=self._metadata_configuration(),
            weekly_maintenance_start_time=volume.weekly_maintenance,
            automatic_backup_retention_days=(
                volume.backup_retention_days if volume.is_persistent else None
            ),
            copy_tags_to_backups=True if volume.backup_retention_days else None,
            log_configuration=fsx.CfnFileSystem.LogConfigurationProperty(
                level="WARN_ERROR", destination=self._log_destination
            ),
        )

    def _metadata_configuration(
        self,
    ) -> fsx.CfnFileSystem.MetadataConfigurationProperty | None:
        mode = self.volume.metadata_mode
        if mode is None:
            return None
        return fsx.CfnFileSystem.MetadataConfigurationProperty(
            mode=mode.value, iops=self.volume.metadata_iops
        )

    @property
    def _log_destination(self) -> str:
        # The log group's own ARN ends in `:*`, with which FSx would not find the group.
        return Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=self.log_group.log_group_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _link(
        self,
        repositories: Sequence[DataRepository],
        locations: Mapping[str, S3Location],
        removal_policy: RemovalPolicy,
    ) -> None:
        links = [
            self._make_association(repository, locations[repository.data])
            for repository in repositories
        ]
        for link in links:
            link.apply_removal_policy(removal_policy)
        # FSx refuses to create a second association of a file system while one is being created.
        for earlier, later in pairwise(links):
            later.add_resource_dependency(earlier)
        keys = {
            key.node.path: key
            for repository in repositories
            if (key := locations[repository.data].bucket.encryption_key)
        }
        for key in keys.values():
            admit_data_repositories(key)

    def _make_association(
        self, repository: DataRepository, location: S3Location
    ) -> fsx.CfnDataRepositoryAssociation:
        association = fsx.CfnDataRepositoryAssociation
        imports = [str(event) for event in repository.import_events]
        exports = [str(event) for event in repository.export_events]
        return association(
            self,
            f"Repository-{repository.data}",
            file_system_id=self.file_system_id,
            file_system_path=repository.path,
            data_repository_path=location.uri,
            batch_import_meta_data_on_create=True,
            s3=association.S3Property(
                auto_import_policy=association.AutoImportPolicyProperty(events=imports)
                if imports
                else None,
                auto_export_policy=association.AutoExportPolicyProperty(events=exports)
                if exports
                else None,
            ),
        )

    def _metric(
        self, name: str, statistic: str, period: Duration, **dimensions: str
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/FSx",
            metric_name=name,
            dimensions_map={"FileSystemId": self.file_system_id, **dimensions},
            statistic=statistic,
            period=period,
        ).attach_to(self)


def _check_locations(
    repositories: Sequence[DataRepository], locations: Mapping[str, S3Location]
) -> None:
    problems = Problems("lustre")
    areas = [repository.data for repository in repositories]
    for area in areas:
        problems.require(
            area in locations,
            "repositories",
            area,
            "The lake has no such area.",
            f"Choose from {', '.join(sorted(locations)) or 'none'}.",
        )
    # https://docs.aws.amazon.com/fsx/latest/LustreGuide/create-linked-dra.html
    for first, second in combinations([area for area in areas if area in locations], 2):
        problems.require(
            not locations[first].overlaps(locations[second]),
            "repositories",
            (first, second),
            "Their prefixes in S3 lie in one another, and FSx links a prefix once.",
            "Give each area a prefix of its own.",
        )
    problems.raise_if_any()


def _acknowledge_all_traffic(scope: Construct) -> None:
    acknowledge(
        scope,
        "HIPAA.Security-EC2RestrictedCommonPorts",
        "NIST.800.53.R5-EC2RestrictedCommonPorts",
        "PCI.DSS.321-EC2RestrictedCommonPorts",
        reason="EFA works only between security groups that allow each other all traffic "
        "(https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html). "
        "The rules name the file system's and its clients' groups, never an address range.",
    )


def _acknowledge_on(grantee: iam.IGrantable, rule: str, *, reason: str) -> None:
    principal = grantee.grant_principal
    # Service principals and the like hold no policy of ours, so nothing is found on them.
    if isinstance(principal, Construct):
        acknowledge(principal, rule, reason=reason)
