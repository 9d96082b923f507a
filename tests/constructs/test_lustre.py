"""The Lustre file system as CloudFormation will see it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cdk_nag
import pytest
from aws_cdk import App, Environment, RemovalPolicy, Stack, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from llm_constructs.alarm import Severity
from llm_constructs.encryption import CustomerKey
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.lustre_alarms import Publisher
from llm_constructs.nag import Acknowledgements
from llm_constructs.s3_location import S3Location
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.data_repository import DataRepository, FileEvent
from llm_constructs.specs.lustre import DeploymentType, LustreVersion, LustreVolume
from llm_constructs.specs.problem import SpecificationError

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
HOME = Environment(account="111122223333", region="us-east-2")

PLAIN = LustreVolume(capacity_gib=4800)
EFA = LustreVolume(
    capacity_gib=4800,
    throughput_mbps_per_tib=1000,
    metadata_iops=12000,
    efa=True,
    repositories=(
        DataRepository(path="/datasets", data="datasets", import_events=(FileEvent.NEW,)),
        DataRepository(path="/checkpoints", data="checkpoints", export_events=(FileEvent.NEW,)),
        DataRepository(path="/models", data="models"),
    ),
)
SCRATCH = LustreVolume(deployment_type=DeploymentType.SCRATCH_2, repositories=())


@dataclass
class Site:
    """A stack with what a file system needs."""

    stack: Stack
    key: CustomerKey
    lake_key: kms.Key
    vpc: ec2.Vpc
    locations: dict[str, S3Location]

    def file_system(self, volume: LustreVolume, name: str = "Lustre", **kwargs: Any) -> Any:
        return LustreFileSystem(
            self.stack,
            name,
            vpc=self.vpc,
            subnet=self.vpc.isolated_subnets[0],
            volume=volume,
            encryption_key=self.key,
            **{"repositories": self.locations, **kwargs},
        )


def site(app: App | None = None) -> Site:
    stack = Stack(app or App(), "Data", env=HOME)
    lake_key = kms.Key(stack, "LakeKey")
    bucket = s3.Bucket(stack, "Lake", encryption_key=lake_key)
    return Site(
        stack=stack,
        key=CustomerKey(stack, "Key", description="Encrypts the file system"),
        lake_key=lake_key,
        vpc=ec2.Vpc(
            stack,
            "Vpc",
            availability_zones=["us-east-2a"],
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED
                )
            ],
        ),
        locations={
            area: S3Location(bucket, f"{area}/") for area in ("datasets", "checkpoints", "models")
        },
    )


@dataclass
class Synthesised:
    """Several file systems of one stack, and its template as plain dictionaries."""

    resources: dict[str, Any]
    plain: Any
    clients_template: dict[str, Any]

    def of_type(self, kind: str, under: str) -> dict[str, Any]:
        """Resources of ``kind`` whose logical id begins with ``under``."""
        return {
            name: body
            for name, body in self.resources.items()
            if body["Type"] == kind and name.startswith(under)
        }

    def file_system(self, under: str) -> dict[str, Any]:
        (body,) = self.of_type("AWS::FSx::FileSystem", under).values()
        return dict(body)

    def associations(self, under: str) -> dict[str, Any]:
        return self.of_type("AWS::FSx::DataRepositoryAssociation", under)


@pytest.fixture(scope="module")
def synthesised() -> Synthesised:
    app = App()
    home = site(app)
    plain = home.file_system(PLAIN, "Plain")
    efa = home.file_system(EFA, "Efa")
    home.file_system(SCRATCH, "Scratch", removal_policy=RemovalPolicy.DESTROY)
    old = LustreVolume(lustre_version=LustreVersion.V2_12, backup_retention_days=7, repositories=())
    home.file_system(old, "Old")
    nodes = Stack(app, "Nodes", env=HOME)
    vpc = ec2.Vpc.from_vpc_attributes(
        nodes, "Vpc", vpc_id="vpc-1", availability_zones=["us-east-2a"]
    )
    closed = ec2.SecurityGroup(nodes, "Closed", vpc=vpc, allow_all_outbound=False)
    opened = ec2.SecurityGroup(nodes, "Open", vpc=vpc)
    plain.allow_clients(closed)
    plain.allow_clients(opened)
    efa.allow_clients(closed)
    role = iam.Role(home.stack, "Role", assumed_by=iam.AccountRootPrincipal())
    plain.grant_describe(role)
    plain.grant_repository_tasks(role)
    template = Template.from_stack(home.stack).to_json()
    return Synthesised(
        template["Resources"], plain, Template.from_stack(nodes).to_json()["Resources"]
    )


def configuration(body: dict[str, Any]) -> dict[str, Any]:
    return dict(body["Properties"]["LustreConfiguration"])


def test_the_default_is_persistent_compressed_ssd_with_automatic_metadata(
    synthesised: Synthesised,
) -> None:
    body = synthesised.file_system("Plain")
    properties = body["Properties"]
    assert properties["FileSystemType"] == "LUSTRE"
    assert properties["FileSystemTypeVersion"] == "2.15"
    assert properties["StorageType"] == "SSD"
    assert properties["StorageCapacity"] == 4800
    assert len(properties["SubnetIds"]) == 1
    lustre = configuration(body)
    assert lustre["DeploymentType"] == "PERSISTENT_2"
    assert lustre["PerUnitStorageThroughput"] == 125
    assert lustre["DataCompressionType"] == "LZ4"
    assert lustre["MetadataConfiguration"] == {"Mode": "AUTOMATIC"}
    assert "EfaEnabled" not in lustre


def test_a_persistent_file_system_is_encrypted_with_the_key_given(
    synthesised: Synthesised,
) -> None:
    key = synthesised.file_system("Plain")["Properties"]["KmsKeyId"]
    assert key["Fn::GetAtt"][0] in synthesised.of_type("AWS::KMS::Key", "Key")


def test_a_scratch_file_system_is_given_nothing_that_fsx_refuses_for_scratch(
    synthesised: Synthesised,
) -> None:
    body = synthesised.file_system("Scratch")
    assert "KmsKeyId" not in body["Properties"]
    refused = {
        "PerUnitStorageThroughput",
        "MetadataConfiguration",
        "AutomaticBackupRetentionDays",
        "EfaEnabled",
    }
    assert not refused & configuration(body).keys()


def test_backups_keep_the_tags_and_need_no_metadata_configuration(
    synthesised: Synthesised,
) -> None:
    lustre = configuration(synthesised.file_system("Old"))
    assert lustre["AutomaticBackupRetentionDays"] == 7
    assert lustre["CopyTagsToBackups"] is True
    assert "MetadataConfiguration" not in lustre


def test_efa_comes_with_provisioned_metadata_iops(synthesised: Synthesised) -> None:
    lustre = configuration(synthesised.file_system("Efa"))
    assert lustre["EfaEnabled"] is True
    assert lustre["MetadataConfiguration"] == {"Iops": 12000, "Mode": "USER_PROVISIONED"}
    assert lustre["PerUnitStorageThroughput"] == 1000


def test_datasets_are_imported_and_checkpoints_exported_but_never_deleted(
    synthesised: Synthesised,
) -> None:
    associations = {
        body["Properties"]["FileSystemPath"]: body["Properties"]
        for body in synthesised.associations("Plain").values()
    }
    assert associations["/datasets"]["S3"] == {
        "AutoImportPolicy": {"Events": ["NEW", "CHANGED", "DELETED"]}
    }
    assert associations["/checkpoints"]["S3"] == {
        "AutoExportPolicy": {"Events": ["NEW", "CHANGED"]}
    }


def test_a_link_names_the_prefix_of_its_area_and_lists_what_is_there(
    synthesised: Synthesised,
) -> None:
    for body in synthesised.associations("Plain").values():
        properties = body["Properties"]
        start, _bucket, end = properties["DataRepositoryPath"]["Fn::Join"][1]
        assert (start, end) == ("s3://", f"{properties['FileSystemPath']}/")
        assert properties["BatchImportMetaDataOnCreate"] is True


def test_links_are_created_one_after_the_other(synthesised: Synthesised) -> None:
    links = synthesised.associations("Efa")
    predecessors = {
        name: set(body.get("DependsOn", ())) & set(links) for name, body in links.items()
    }
    assert sorted(len(names) for names in predecessors.values()) == [0, 1, 1]
    assert len(set().union(*predecessors.values())) == 2


@pytest.mark.parametrize(
    ("under", "policy"), [("Plain", "Retain"), ("Efa", "Retain"), ("Scratch", "Delete")]
)
def test_file_systems_links_and_logs_are_kept_unless_told_otherwise(
    synthesised: Synthesised, under: str, policy: str
) -> None:
    kept = [
        synthesised.file_system(under),
        *synthesised.associations(under).values(),
        *synthesised.of_type("AWS::Logs::LogGroup", under).values(),
    ]
    assert {body["DeletionPolicy"] for body in kept} == {policy}
    assert {body["UpdateReplacePolicy"] for body in kept} == {policy}


def test_warnings_and_errors_go_to_an_encrypted_log_group_that_fsx_accepts(
    synthesised: Synthesised,
) -> None:
    ((name, group),) = synthesised.of_type("AWS::Logs::LogGroup", "Plain").items()
    assert group["Properties"]["LogGroupName"].startswith("/aws/fsx/")
    assert "KmsKeyId" in group["Properties"]
    logging = configuration(synthesised.file_system("Plain"))["LogConfiguration"]
    assert logging["Level"] == "WARN_ERROR"
    parts = logging["Destination"]["Fn::Join"][1]
    assert parts[-1] == {"Ref": name}
    assert parts[-2].endswith(":log-group:")


def test_log_groups_of_two_file_systems_have_different_names(synthesised: Synthesised) -> None:
    groups = synthesised.of_type("AWS::Logs::LogGroup", "").values()
    names = [group["Properties"]["LogGroupName"] for group in groups]
    assert len(set(names)) == len(names) == 4


def rules(resources: dict[str, Any], kind: str, under: str) -> set[tuple[str, int | None]]:
    return {
        (body["Properties"]["IpProtocol"], body["Properties"].get("FromPort"))
        for name, body in resources.items()
        if body["Type"] == f"AWS::EC2::SecurityGroup{kind}" and name.startswith(under)
    }


@pytest.mark.parametrize("kind", ["Ingress", "Egress"])
def test_file_servers_speak_lustre_among_themselves_and_nothing_else(
    synthesised: Synthesised, kind: str
) -> None:
    assert rules(synthesised.resources, kind, "Plain") == {("tcp", 988), ("tcp", 1018)}
    assert rules(synthesised.resources, kind, "Efa") == {("-1", None)}


def test_no_rule_names_an_address_range(synthesised: Synthesised) -> None:
    groups = synthesised.of_type("AWS::EC2::SecurityGroup", "Plain")
    assert not any("SecurityGroupIngress" in group["Properties"] for group in groups.values())
    assert "0.0.0.0/0" not in json.dumps(groups)


def client_rules(synthesised: Synthesised, under: str) -> list[dict[str, Any]]:
    return [
        body["Properties"]
        for name, body in synthesised.clients_template.items()
        if body["Type"] in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
        and name.startswith(under)
    ]


def test_clients_get_rules_both_ways_on_both_groups_in_their_own_stack(
    synthesised: Synthesised,
) -> None:
    # Two ports and both ways on both groups, and all traffic likewise for EFA.
    closed = client_rules(synthesised, "Closed")
    assert len([rule for rule in closed if rule["IpProtocol"] == "tcp"]) == 8
    assert len([rule for rule in closed if rule["IpProtocol"] == "-1"]) == 4
    assert not any("CidrIp" in rule for rule in closed)


def test_a_client_that_may_speak_to_anyone_needs_no_outbound_rule(
    synthesised: Synthesised,
) -> None:
    assert len(client_rules(synthesised, "Open")) == 6


def test_the_file_systems_stack_does_not_depend_on_its_clients(
    synthesised: Synthesised,
) -> None:
    assert rules(synthesised.resources, "Ingress", "Plain") == {("tcp", 988), ("tcp", 1018)}
    assert "Closed" not in json.dumps(synthesised.resources)


def test_clients_over_efa_must_be_named_in_outbound_rules() -> None:
    home = site()
    file_system = home.file_system(EFA)
    clients = ec2.SecurityGroup(home.stack, "Clients", vpc=home.vpc)
    with pytest.raises(SpecificationError, match="allow_all_outbound=False"):
        file_system.allow_clients(clients)


def test_the_lakes_key_admits_only_fsx_and_only_through_s3(synthesised: Synthesised) -> None:
    (key,) = synthesised.of_type("AWS::KMS::Key", "LakeKey").values()
    statements = [
        statement
        for statement in key["Properties"]["KeyPolicy"]["Statement"]
        if statement.get("Sid") == "AdmitLustreDataRepositories"
    ]
    (statement,) = statements
    assert statement["Condition"]["StringEquals"] == {
        "kms:CallerAccount": "111122223333",
        "kms:ViaService": "s3.us-east-2.amazonaws.com",
    }
    role = json.dumps(statement["Condition"]["ArnLike"]["aws:PrincipalArn"])
    assert (
        "iam::111122223333:role/aws-service-role/s3.data-source.lustre.fsx.amazonaws.com/"
        "AWSServiceRoleForFSxS3Access_fs-*" in role
    )


def test_an_imported_key_that_cannot_be_changed_is_mentioned() -> None:
    home = site()
    key = kms.Key.from_key_arn(
        home.stack, "Theirs", "arn:aws:kms:us-east-2:111122223333:key/00000000"
    )
    bucket = s3.Bucket.from_bucket_attributes(
        home.stack, "TheirLake", bucket_name="their-lake", encryption_key=key
    )
    home.file_system(
        replace(PLAIN, repositories=(DataRepository(path="/raw", data="raw"),)),
        repositories={"raw": S3Location(bucket, "raw/")},
    )
    assert any("AWSServiceRoleForFSxS3Access" in str(entry.data) for entry in key.node.metadata)


def test_grants_name_the_file_system_where_fsx_allows_it(synthesised: Synthesised) -> None:
    (policy,) = synthesised.of_type("AWS::IAM::Policy", "Role").values()
    describe, tasks = policy["Properties"]["PolicyDocument"]["Statement"]
    assert describe["Resource"] == "*"
    assert all(action.startswith("fsx:Describe") for action in describe["Action"])
    assert tasks["Action"] == ["fsx:CreateDataRepositoryTask", "fsx:CancelDataRepositoryTask"]
    (file_system,) = synthesised.of_type("AWS::FSx::FileSystem", "Plain")
    assert tasks["Resource"][0] == {"Fn::GetAtt": [file_system, "ResourceARN"]}


def test_an_area_without_a_location_is_refused() -> None:
    home = site()
    with pytest.raises(SpecificationError, match="no such area") as refused:
        home.file_system(PLAIN, repositories={"models": home.locations["models"]})
    assert len(refused.value.problems) == 2


def test_locations_that_lie_in_one_another_are_refused() -> None:
    home = site()
    lake = home.locations["datasets"].bucket
    with pytest.raises(SpecificationError, match="lie in one another"):
        home.file_system(
            PLAIN,
            repositories={
                "datasets": S3Location(lake, "all/datasets/"),
                "checkpoints": S3Location(lake, "all/"),
            },
        )


@pytest.mark.parametrize("prefix", ["datasets", "/datasets/", "/"])
def test_a_prefix_must_be_a_folder(prefix: str) -> None:
    lake = s3.Bucket.from_bucket_name(Stack(), "Lake", "lake")
    with pytest.raises(SpecificationError, match="Write it as"):
        S3Location(lake, prefix)


def test_metrics_have_the_names_and_dimensions_that_fsx_documents(
    synthesised: Synthesised,
) -> None:
    plain = synthesised.plain
    age = plain.metric_queue_age(Publisher.AUTO_EXPORT)
    assert (age.namespace, age.metric_name) == ("AWS/FSx", "AgeOfOldestQueuedMessage")
    assert age.dimensions == {"FileSystemId": plain.file_system_id, "Publisher": "AutoExport"}
    metrics = {
        plain.metric_free_capacity().metric_name,
        plain.metric_read_bytes().metric_name,
        plain.metric_written_bytes().metric_name,
    }
    assert metrics == {"FreeDataStorageCapacity", "DataReadBytes", "DataWriteBytes"}


def test_errors_are_counted_by_the_log_events_of_the_group(synthesised: Synthesised) -> None:
    plain = synthesised.plain
    metric = plain.metric_repository_events()
    assert (metric.namespace, metric.metric_name) == ("AWS/Logs", "IncomingLogEvents")
    assert metric.dimensions == {"LogGroupName": plain.log_group.log_group_name}


def test_free_capacity_is_summed_over_the_disks_of_a_single_minute(
    synthesised: Synthesised,
) -> None:
    metric = synthesised.plain.metric_free_capacity()
    assert metric.statistic == "Sum"
    assert metric.period.to_seconds() == 60


def test_alarms_watch_the_directions_that_are_automatic(synthesised: Synthesised) -> None:
    assert [alarm.name for alarm in synthesised.plain.alarms] == [
        "LustreCapacityLow",
        "LustreCapacityCritical",
        "LustreIdle",
        "LustreExportLag",
        "LustreImportLag",
        "LustreRepositoryErrors",
    ]


def test_a_file_system_without_links_has_no_alarms_about_them() -> None:
    alarms = site().file_system(SCRATCH).alarms
    assert [alarm.name for alarm in alarms] == [
        *("LustreCapacityLow", "LustreCapacityCritical", "LustreIdle"),
    ]


def test_a_file_system_is_idle_after_a_week_without_a_byte(synthesised: Synthesised) -> None:
    (idle,) = [alarm for alarm in synthesised.plain.alarms if alarm.name == "LustreIdle"]
    assert idle.evaluation_periods == idle.datapoints_to_alarm == 7
    assert idle.threshold == 0
    assert idle.comparison.name == "LESS_THAN_OR_EQUAL_TO_THRESHOLD"


def test_capacity_alarms_are_shares_of_the_capacity_in_bytes(synthesised: Synthesised) -> None:
    low, critical = synthesised.plain.alarms[:2]
    assert low.threshold == 960 * 1024**3
    assert critical.threshold == 240 * 1024**3
    assert (low.severity, critical.severity) == (Severity.TICKET, Severity.PAGE)


def test_every_alarm_has_a_runbook(synthesised: Synthesised) -> None:
    missing = [
        alarm.runbook
        for alarm in synthesised.plain.alarms
        if not (RUNBOOKS / f"{alarm.runbook}.md").is_file()
    ]
    assert not missing


def test_clients_mount_with_file_locks_and_without_access_times(
    synthesised: Synthesised,
) -> None:
    plain = synthesised.plain
    assert plain.mount_command("/fsx") == (
        f"mount -t lustre -o flock,noatime,_netdev {plain.dns_name}@tcp:/{plain.mount_name} /fsx"
    )


def test_pods_claim_the_whole_file_system_and_cannot_delete_it(
    synthesised: Synthesised,
) -> None:
    plain = synthesised.plain
    objects = plain.static_volume("lake", namespace="training")
    volume: Any = objects.persistent_volume
    claim: Any = objects.persistent_volume_claim
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["csi"] == {
        "driver": "fsx.csi.aws.com",
        "volumeHandle": plain.file_system_id,
        "volumeAttributes": {"dnsname": plain.dns_name, "mountname": plain.mount_name},
    }
    assert volume["spec"]["mountOptions"] == ["flock", "noatime"]
    assert volume["spec"]["capacity"]["storage"] == "4800Gi"
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["claimRef"] == claim["metadata"]
    assert claim["spec"]["storageClassName"] == volume["spec"]["storageClassName"] == ""
    assert claim["spec"]["accessModes"] == volume["spec"]["accessModes"] == ["ReadWriteMany"]


def test_no_rule_pack_finds_anything(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    packs = (
        cdk_nag.AwsSolutionsChecks(),
        cdk_nag.HIPAASecurityChecks(),
        cdk_nag.NIST80053R5Checks(),
        cdk_nag.PCIDSS321Checks(),
        cdk_nag.ServerlessChecks(),
    )
    Validations.of(app).add_plugins(*packs, Acknowledgements(packs))
    stack = Stack(app, "Data", env=HOME)
    vpc = ec2.Vpc.from_vpc_attributes(
        stack, "Vpc", vpc_id="vpc-0123456789abcdef0", availability_zones=["us-east-2a"]
    )
    bucket = s3.Bucket.from_bucket_name(stack, "Lake", "lake")
    clients = ec2.SecurityGroup(stack, "Clients", vpc=vpc, allow_all_outbound=False)
    for name, volume in {"Plain": PLAIN, "Efa": EFA, "Scratch": SCRATCH}.items():
        file_system = LustreFileSystem(
            stack,
            name,
            vpc=vpc,
            subnet=ec2.Subnet.from_subnet_id(stack, f"{name}Subnet", "subnet-0123456789abcdef0"),
            volume=volume,
            encryption_key=CustomerKey(stack, f"{name}Key", description="Encrypts it"),
            repositories={
                area: S3Location(bucket, f"{area}/")
                for area in ("datasets", "checkpoints", "models")
            },
        )
        file_system.allow_clients(clients)
        for grant in (file_system.grant_describe, file_system.grant_repository_tasks):
            grant(
                ServiceRole(
                    stack,
                    f"{name}{grant.__name__}",
                    assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
                    description="Uses the file system",
                )
            )
    app.synth()
    report = json.loads((tmp_path / "validation-report.json").read_text())
    suppressed = {
        violation["ruleName"]
        for plugin in report["pluginReports"]
        for violation in plugin.get("suppressedViolations", ())
    }
    assert "AwsSolutions-IAM5[Resource::*]" in suppressed
