"""The data stacks: what must never be lost, and its copy in a second region."""

from collections.abc import Mapping

from constructs import Construct

from config import Environment
from config.tables import DataTable
from llm_constructs.data_lake import DataLake, LakeReplicaBucket
from llm_constructs.encryption import CustomerKey
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.network import Network
from llm_constructs.private_bucket import AccessLogsBucket
from llm_constructs.specs.data_lake import DataClass, LakeArea, LakeReplication
from llm_constructs.specs.lustre import LustreVolume
from llm_constructs.specs.problem import Problem, SpecificationError
from stacks.layer import Layer


class ReplicaStack(Layer):
    """The second region's copies of the lake, as ``buckets``."""

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        replication: LakeReplication,
        data: DataTable,
    ) -> None:
        super().__init__(
            scope,
            "replica",
            environment=environment,
            description="the data lake's copy in a second region",
            region=replication.region,
            holds_data=True,
        )
        access_logs = AccessLogsBucket(
            self,
            "AccessLogs",
            retention_days=data.retention.access_logs_days,
            removal_policy=self.removal_policy,
        )
        self.buckets: Mapping[DataClass, LakeReplicaBucket] = {
            data_class: LakeReplicaBucket(
                self,
                data_class.value.capitalize(),
                data_class=data_class,
                access_logs=access_logs,
                noncurrent_days=data.retention.noncurrent_days,
                removal_policy=self.removal_policy,
            )
            for data_class in replication.data_classes
        }


class DataStack(Layer):
    """The environment's lake and file system, as ``lake`` and ``file_system``.

    ``replicas`` are the copies of the lake, by class.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        data: DataTable | None,
        lustre: LustreVolume | None,
        replicas: Mapping[DataClass, LakeReplicaBucket] | None = None,
    ) -> None:
        super().__init__(
            scope,
            "data",
            environment=environment,
            description="S3 data lake and FSx for Lustre",
            holds_data=True,
        )
        self.replicas: Mapping[DataClass, LakeReplicaBucket] = replicas or {}
        self.lake: DataLake | None = None
        self.file_system: LustreFileSystem | None = None
        if data is not None:
            self.lake = DataLake(
                self,
                "Lake",
                retention=data.retention,
                replicas=replicas,
                removal_policy=self.removal_policy,
            )
        if lustre is not None:
            self.file_system = self._make_file_system(lustre, network)

    def _make_file_system(self, volume: LustreVolume, network: Network) -> LustreFileSystem:
        subnet = network.accelerator_subnet
        if subnet is None:
            # The environment's schema says so earlier, with the file's name.
            raise SpecificationError(
                "data stack",
                [
                    Problem(
                        "lustre",
                        None,
                        "The network has no accelerator subnet for the file system.",
                        "Give the network an accelerator zone.",
                    )
                ],
            )
        key = CustomerKey(
            self,
            "FileSystemKey",
            description="Encrypts the Lustre file system and its logs",
            removal_policy=self.removal_policy,
        )
        locations = {area.value: self.lake.location(area) for area in LakeArea} if self.lake else {}
        return LustreFileSystem(
            self,
            "FileSystem",
            vpc=network.vpc,
            subnet=subnet,
            volume=volume,
            encryption_key=key,
            repositories=locations,
            removal_policy=self.removal_policy,
        )
