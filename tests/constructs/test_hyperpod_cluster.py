"""HyperPod clusters as CloudFormation will see them."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.data_lake import DataLake
from llm_constructs.encryption import CustomerKey
from llm_constructs.hyperpod_cluster import HyperPodCluster
from llm_constructs.hyperpod_neighbours import HyperPodNeighbours
from llm_constructs.hyperpod_settings import LEGACY_FILE
from llm_constructs.lifecycle_scripts import LifecycleScripts
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.node_permission import NodeKind
from llm_constructs.private_bucket import AccessLogsBucket
from llm_constructs.s3_location import S3Location
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.image_updates import ImageUpdates, PatchingStrategy
from llm_constructs.specs.instance_group import DeepHealthCheck, EfaInterface, InstanceGroup
from llm_constructs.specs.lifecycle import EfaLustreClient, Lifecycle
from llm_constructs.specs.lifecycle_settings import EntryPoint, NodeRole
from llm_constructs.specs.lustre import LustreVolume
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.slurm import AccountingDatabase, SlurmConfigStrategy, SlurmSettings
from llm_constructs.specs.training_plan import TrainingPlan
from llm_constructs.watched import watched
from tests.constructs.eks import cluster_in
from tests.constructs.references import predecessors
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
SECRET = "arn:aws:secretsmanager:us-east-2:111111111111:secret:slurm-AbCdEf"
KEY = "arn:aws:kms:us-east-2:111111111111:key/01234567-89ab-cdef-0123-456789abcdef"
PLAN = TrainingPlan(
    arn="arn:aws:sagemaker:us-east-2:111111111111:training-plan/trn2",
    zone="us-east-2b",
    nodes=8,
    end=datetime(2027, 3, 8, 11, 30, tzinfo=UTC),
)

CONTROLLER = InstanceGroup(
    name="controller", role=NodeRole.CONTROLLER, instance_type="m7i.2xlarge", count=1
)
LOGIN = InstanceGroup(
    name="login", role=NodeRole.LOGIN, instance_type="m7i.2xlarge", count=2, zone="us-east-2a"
)
TRN2 = InstanceGroup(
    name="trn2",
    instance_type="trn2.48xlarge",
    count=8,
    minimum=4,
    partition="train",
    training_plan=PLAN,
    threads_per_core=1,
    volume_gb=500,
    efa=EfaInterface.EFA_ONLY,
    updates=ImageUpdates(
        schedule="cron(0 3 ? * SUN *)",
        batch_percent=25,
        wait_seconds=60,
        rollback_alarms=("BadImage",),
    ),
)
SLURM = HyperPod(
    groups=(CONTROLLER, LOGIN, TRN2),
    mount_path="/shared",
    lifecycle=Lifecycle(
        lustre_client=EfaLustreClient(
            source="s3://tools/efa/client.zip", sha256="0" * 64, key_arn=KEY
        )
    ),
    slurm=SlurmSettings(
        strategy=SlurmConfigStrategy.MERGE,
        accounting=AccountingDatabase(endpoint="db.internal", secret_arn=SECRET, key_arn=KEY),
    ),
)
P5 = InstanceGroup(
    name="p5",
    instance_type="p5.48xlarge",
    fallback_types=("p5en.48xlarge",),
    count=2,
    spot=True,
    image_release="1.2.3",
    deep_health_checks=(DeepHealthCheck.INSTANCE_STRESS,),
    updates=ImageUpdates(patching=PatchingStrategy.WHEN_ALL_IDLE),
)
CPU = InstanceGroup(
    name="cpu", instance_type="m7i.2xlarge", count=1, ami_id="ami-0123456789abcdef0"
)
ON_EKS = HyperPod(
    orchestrator=Orchestrator.EKS,
    groups=(P5, CPU),
    node_recovery=False,
    auto_scaling=True,
    tiered_storage_percent=20,
)
LEGACY = HyperPod(groups=(CONTROLLER, LOGIN, TRN2), slurm=SlurmSettings(legacy_file=True))


def vpc_of(stack: cdk.Stack) -> ec2.IVpc:
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Network",
        vpc_id="vpc-0123456789abcdef0",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=["us-east-2a"],
        private_subnet_ids=["subnet-0123456789abcdefa"],
        private_subnet_route_table_ids=["rtb-0123456789abcdef0"],
    )


def neighbours_in(stack: cdk.Stack, *, eks: bool = False) -> HyperPodNeighbours:
    vpc = vpc_of(stack)
    subnet = ec2.Subnet.from_subnet_attributes(
        stack,
        "Accelerators",
        subnet_id="subnet-0123456789abcdefb",
        availability_zone="us-east-2b",
        route_table_id="rtb-0123456789abcdef0",
    )
    lake = DataLake(stack, "Lake")
    file_system = LustreFileSystem(
        stack,
        "Lustre",
        vpc=vpc,
        subnet=subnet,
        volume=LustreVolume(capacity_gib=4800, throughput_mbps_per_tib=1000, efa=True),
        encryption_key=CustomerKey(stack, "LustreKey", description="Encrypts it"),
        repositories={area.value: lake.location(area) for area in LakeArea},
    )
    return HyperPodNeighbours(
        vpc=vpc,
        accelerator_subnet=subnet,
        file_system=file_system,
        lake=lake,
        eks=cluster_in(stack) if eks else None,
    )


def cluster_of(stack: cdk.Stack, spec: HyperPod, neighbours: HyperPodNeighbours) -> HyperPodCluster:
    return HyperPodCluster(
        stack,
        "HyperPod",
        name="test",
        spec=spec,
        neighbours=neighbours,
        access_logs=AccessLogsBucket(stack, "AccessLogs", retention_days=400),
    )


@pytest.fixture(scope="module")
def slurm() -> Template:
    return synthesised(lambda stack: cluster_of(stack, SLURM, neighbours_in(stack)))


@pytest.fixture(scope="module")
def on_eks() -> Template:
    return synthesised(lambda stack: cluster_of(stack, ON_EKS, neighbours_in(stack, eks=True)))


@pytest.fixture(scope="module")
def legacy() -> Template:
    return synthesised(lambda stack: cluster_of(stack, LEGACY, neighbours_in(stack)))


def properties_of(template: Template) -> dict[str, Any]:
    return template.only("AWS::SageMaker::Cluster")


def groups_of(template: Template) -> dict[str, dict[str, Any]]:
    return {
        group["InstanceGroupName"]: group for group in properties_of(template)["InstanceGroups"]
    }


def written(value: Any) -> str:
    """Return a string of a template with its intrinsics in angle brackets."""
    if isinstance(value, dict):
        if "Fn::Join" in value:
            return "".join(written(part) for part in value["Fn::Join"][1])
        if "Ref" in value:
            return f"<{re.sub('[0-9A-F]{8}$', '', value['Ref'])}>"
        if "Fn::GetAtt" in value:
            name, attribute = value["Fn::GetAtt"]
            return f"<{re.sub('[0-9A-F]{8}$', '', name)}.{attribute}>"
    return str(value)


def every(value: Any) -> list[str]:
    return [written(item) for item in (value if isinstance(value, list) else [value])]


def statements_of(template: Template, kind: NodeKind) -> dict[str, tuple[list[str], list[str]]]:
    """Return actions and resources by the ids of statements."""
    (policy,) = (
        resource["Properties"]
        for key, resource in template.of_type("AWS::IAM::Policy").items()
        if key.startswith(f"HyperPod{kind.value.capitalize()}RoleDefaultPolicy")
    )
    return {
        statement["Sid"]: (every(statement["Action"]), every(statement["Resource"]))
        for statement in policy["PolicyDocument"]["Statement"]
    }


def conditions_of(template: Template, kind: NodeKind, sid: str) -> Any:
    for key, resource in template.of_type("AWS::IAM::Policy").items():
        if key.startswith(f"HyperPod{kind.value.capitalize()}RoleDefaultPolicy"):
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Sid"] == sid:
                    return statement["Condition"]
    raise AssertionError(sid)


def keys_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {*value, *(key for item in value.values() for key in keys_in(item))}
    return {key for item in value for key in keys_in(item)} if isinstance(value, list) else set()


def test_nothing_is_declared_that_hyperpod_changes_by_itself(
    slurm: Template, on_eks: Template
) -> None:
    # The read-only properties of CloudFormation's schema.
    changing = {"CurrentCount", "NextPatchDate", "ClusterStatus", "CreationTime", "FailureMessage"}
    assert not changing & (keys_in(properties_of(slurm)) | keys_in(properties_of(on_eks)))


def test_nodes_are_provisioned_continuously_and_replaced_when_they_break(
    slurm: Template, on_eks: Template
) -> None:
    assert properties_of(slurm)["NodeProvisioningMode"] == "Continuous"
    assert properties_of(slurm)["NodeRecovery"] == "Automatic"
    assert properties_of(on_eks)["NodeRecovery"] == "None"


def test_slurm_is_set_up_through_the_api(slurm: Template) -> None:
    assert properties_of(slurm)["Orchestrator"] == {
        "Slurm": {
            "SlurmConfigStrategy": "Merge",
            "AccountingDatabase": {"Endpoint": "db.internal", "SecretArn": SECRET, "Port": 3306},
        }
    }
    assert {name: group["SlurmConfig"] for name, group in groups_of(slurm).items()} == {
        "controller": {"NodeType": "Controller"},
        "login": {"NodeType": "Login"},
        "trn2": {"NodeType": "Compute", "PartitionNames": ["train"]},
    }
    script = groups_of(slurm)["trn2"]["LifeCycleConfig"]
    assert script["OnInitComplete"] == EntryPoint.ON_INIT_COMPLETE
    assert "OnCreate" not in script


def test_capacity_of_a_plan_is_taken_as_the_file_says(slurm: Template) -> None:
    group = groups_of(slurm)["trn2"]
    assert group["InstanceType"] == "ml.trn2.48xlarge"
    assert "InstanceRequirements" not in group
    assert (group["InstanceCount"], group["MinInstanceCount"]) == (8, 4)
    assert group["TrainingPlanArn"] == PLAN.arn
    assert group["ThreadsPerCore"] == 1
    assert "TrainingPlanArn" not in groups_of(slurm)["login"]


def test_health_checks_and_efa_fit_the_type(slurm: Template) -> None:
    trn2, login = groups_of(slurm)["trn2"], groups_of(slurm)["login"]
    assert trn2["OnStartDeepHealthChecks"] == ["InstanceStress", "InstanceConnectivity"]
    assert trn2["NetworkInterface"] == {"InterfaceType": "efa-only"}
    assert not {"OnStartDeepHealthChecks", "NetworkInterface"} & login.keys()


def test_each_group_lies_in_the_subnet_of_its_zone_and_the_cluster_in_one_for_good(
    slurm: Template,
) -> None:
    subnets = {
        name: group["OverrideVpcConfig"]["Subnets"] for name, group in groups_of(slurm).items()
    }
    accelerators, other = ["subnet-0123456789abcdefb"], ["subnet-0123456789abcdefa"]
    assert subnets == {"controller": accelerators, "trn2": accelerators, "login": other}
    assert properties_of(slurm)["VpcConfig"]["Subnets"] == accelerators


def test_every_volume_has_the_customers_key_and_the_file_system_is_mounted(
    slurm: Template,
) -> None:
    for name, group in groups_of(slurm).items():
        root, secondary, mount = group["InstanceStorageConfigs"]
        key = {"Fn::GetAtt": [next(iter(key_ids(slurm))), "Arn"]}
        assert root == {"EbsVolumeConfig": {"RootVolume": True, "VolumeKmsKeyId": key}}
        assert secondary["EbsVolumeConfig"]["VolumeKmsKeyId"] == key
        assert secondary["EbsVolumeConfig"]["VolumeSizeInGB"] == (500 if name == "trn2" else 200)
        assert mount["FsxLustreConfig"]["MountPath"] == "/shared"
        assert mount["FsxLustreConfig"]["DnsName"]["Fn::GetAtt"][1] == "DNSName"
        assert mount["FsxLustreConfig"]["MountName"]["Fn::GetAtt"][1] == "LustreMountName"


def key_ids(template: Template) -> list[str]:
    return [key for key in template.of_type("AWS::KMS::Key") if key.startswith("HyperPodVolumeKey")]


def test_updates_come_on_a_schedule_or_when_nodes_are_idle(
    slurm: Template, on_eks: Template
) -> None:
    batch = {"Type": "CAPACITY_PERCENTAGE", "Value": 25}
    assert groups_of(slurm)["trn2"]["ScheduledUpdateConfig"] == {
        "ScheduleExpression": "cron(0 3 ? * SUN *)",
        "DeploymentConfig": {
            "RollingUpdatePolicy": {"MaximumBatchSize": batch, "RollbackMaximumBatchSize": batch},
            "WaitIntervalInSeconds": 60,
            "AutoRollbackConfiguration": [{"AlarmName": "BadImage"}],
        },
    }
    assert groups_of(on_eks)["p5"]["AutoPatchConfig"] == {"PatchingStrategy": "WhenAllIdle"}
    assert "AutoPatchConfig" not in groups_of(slurm)["login"]


def test_nodes_reach_each_other_over_efa_and_the_file_system_both_ways(slurm: Template) -> None:
    nodes = next(
        key
        for key in slurm.of_type("AWS::EC2::SecurityGroup")
        if key.startswith("HyperPodSecurity")
    )
    files = next(
        key for key in slurm.of_type("AWS::EC2::SecurityGroup") if key.startswith("LustreSecurity")
    )
    pairs = {
        (written(rule["GroupId"]), written(rule[other]), rule["IpProtocol"])
        for kind, other in (
            ("Ingress", "SourceSecurityGroupId"),
            ("Egress", "DestinationSecurityGroupId"),
        )
        for rule in slurm.properties(f"AWS::EC2::SecurityGroup{kind}")
    }
    node, server = (written({"Fn::GetAtt": [group, "GroupId"]}) for group in (nodes, files))
    wanted = {(a, b, "-1") for a in (node, server) for b in (node, server)}
    assert pairs >= wanted
    ways = {
        kind: {
            (written(rule["GroupId"]), written(rule[other]))
            for rule in slurm.properties(f"AWS::EC2::SecurityGroup{kind}")
        }
        for kind, other in (
            ("Ingress", "SourceSecurityGroupId"),
            ("Egress", "DestinationSecurityGroupId"),
        )
    }
    assert (node, node) in ways["Ingress"] & ways["Egress"]
    outside = slurm.resources[nodes]["Properties"]["SecurityGroupEgress"]
    assert {(rule["CidrIp"], rule["FromPort"]) for rule in outside} == {
        ("0.0.0.0/0", 443),
        ("10.0.0.0/16", 3306),
    }


def interfaces(*resources: str) -> list[str]:
    prefix = "arn:aws:ec2:us-east-2:111111111111:"
    return [f"{prefix}{resource}" for resource in ("network-interface/*", *resources)]


def shared_statements(*names: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return what every node may do, in a network of these subnets and security groups."""
    logs = "arn:aws:logs:us-east-2:111111111111:log-group:"
    return {
        "WriteLogs": (
            [
                *("logs:CreateLogGroup", "logs:CreateLogStream"),
                *("logs:DescribeLogStreams", "logs:PutLogEvents"),
            ],
            [f"{logs}/aws/sagemaker/Clusters/test/*"],
        ),
        "WriteMetrics": (["cloudwatch:PutMetricData"], ["*"]),
        "OpenSessions": (
            [
                *("ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel"),
                *("ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"),
            ],
            ["*"],
        ),
        "ListScripts": (["s3:ListBucket"], ["<HyperPodScriptsBucket.Arn>"]),
        "ReadScripts": (["s3:GetObject"], ["<HyperPodScriptsBucket.Arn>/lifecycle/*"]),
        "DecryptScripts": (["kms:Decrypt"], ["<HyperPodScriptsKey.Arn>"]),
        "GrantVolumesTheirKey": (["kms:CreateGrant"], ["<HyperPodVolumeKey.Arn>"]),
        "SeeTheKeyOfVolumes": (["kms:DescribeKey"], ["<HyperPodVolumeKey.Arn>"]),
        "CreateInterfaces": (["ec2:CreateNetworkInterface"], interfaces(*names)),
        "HandInterfacesOver": (
            [
                *("ec2:CreateNetworkInterfacePermission", "ec2:CreateTags"),
                *("ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"),
            ],
            interfaces(),
        ),
        "FindTheNetwork": (
            [
                *("ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces"),
                *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets"),
                *("ec2:DescribeVpcs", "ec2:DetachNetworkInterface"),
            ],
            ["*"],
        ),
        "SeeWhetherLustreHasEfa": (["fsx:DescribeFileSystems"], ["*"]),
    }


SLURM_NETWORK = (
    *("subnet/subnet-0123456789abcdefa", "subnet/subnet-0123456789abcdefb"),
    "security-group/<HyperPodSecurityGroup.GroupId>",
)
DATA = {
    "ReadData": (["s3:GetObject"], ["<LakeCorpusBucket.Arn>/datasets/*"]),
    "ReadDataListing": (["s3:ListBucket"], ["<LakeCorpusBucket.Arn>"]),
    "ReadDataKeys": (["kms:Decrypt"], ["<LakeCorpusKey.Arn>"]),
    "WriteData": (
        [
            *("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject"),
            *("s3:ListMultipartUploadParts", "s3:PutObject"),
        ],
        ["<LakeArtifactsBucket.Arn>/checkpoints/*", "<LakeArtifactsBucket.Arn>/models/*"],
    ),
    "WriteDataListing": (["s3:ListBucket"], ["<LakeArtifactsBucket.Arn>"]),
    "WriteDataKeys": (["kms:Decrypt", "kms:GenerateDataKey"], ["<LakeArtifactsKey.Arn>"]),
}
ACCOUNTING = {
    "ReadAccountingSecret": (["secretsmanager:GetSecretValue"], [SECRET]),
    "DecryptAccountingSecret": (["kms:Decrypt"], [KEY]),
}
UNDONE_BY_ALARMS = {"WatchUpdates": (["cloudwatch:DescribeAlarms"], ["*"])}
EKS = {
    "GiveAddressesToPods": (
        [
            *("ec2:AssignPrivateIpAddresses", "ec2:AttachNetworkInterface"),
            *("ec2:DescribeInstanceTypes", "ec2:DescribeInstances", "ec2:DescribeTags"),
            *("ec2:ModifyNetworkInterfaceAttribute", "ec2:UnassignPrivateIpAddresses"),
        ],
        ["*"],
    ),
    "SignInToRegistries": (["ecr:GetAuthorizationToken"], ["*"]),
    "PullImages": (
        [
            *("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"),
            "ecr:GetDownloadUrlForLayer",
        ],
        ["arn:aws:ecr:us-east-2:*:repository/*"],
    ),
    **UNDONE_BY_ALARMS,
    "GiveRolesToPods": (
        ["eks-auth:AssumeRoleForPodIdentity"],
        ["arn:aws:eks:us-east-2:111111111111:cluster/test"],
    ),
}


@pytest.mark.parametrize(
    ("kind", "further"),
    [
        (NodeKind.CONTROLLER, ACCOUNTING),
        (NodeKind.LOGIN, DATA),
        (NodeKind.COMPUTE, {**DATA, **UNDONE_BY_ALARMS}),
    ],
)
def test_a_node_of_slurm_may_do_exactly_this(
    slurm: Template, kind: NodeKind, further: dict[str, Any]
) -> None:
    client = {
        "FetchLustreClient": (["s3:GetObject"], ["arn:aws:s3:::tools/efa/client.zip"]),
        "DecryptLustreClient": (["kms:Decrypt"], [KEY]),
    }
    shared = shared_statements(*SLURM_NETWORK)
    assert statements_of(slurm, kind) == {**shared, **client, **further}


def test_a_node_of_eks_may_do_exactly_this(on_eks: Template) -> None:
    found = statements_of(on_eks, NodeKind.EKS)
    network = [r for r in found["CreateInterfaces"][1] if "security-group/" in r]
    names = [resource.split(":", 5)[5] for resource in network]
    assert len(names) == 2
    assert found == {
        **shared_statements("subnet/subnet-0123456789abcdefb", *names),
        **EKS,
    }


def test_wildcards_are_held_by_conditions(slurm: Template) -> None:
    def conditions(sid: str, kind: NodeKind = NodeKind.COMPUTE) -> Any:
        return conditions_of(slurm, kind, sid)

    assert conditions("WriteMetrics") == {
        "StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Clusters"}
    }
    assert conditions("ListScripts") == {"StringLike": {"s3:prefix": "lifecycle/*"}}
    assert conditions("WriteDataListing") == {
        "StringLike": {"s3:prefix": ["checkpoints/*", "models/*"]}
    }
    assert conditions("ReadDataKeys") == {
        "StringEquals": {"kms:ViaService": "s3.us-east-2.amazonaws.com"}
    }
    grant = conditions("GrantVolumesTheirKey")
    assert grant["StringEquals"] == {"kms:ViaService": "sagemaker.us-east-2.amazonaws.com"}
    assert grant["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert "kms:Encrypt" not in grant["ForAllValues:StringEquals"]["kms:GrantOperations"]


def test_no_role_has_a_managed_policy_and_sagemaker_alone_assumes_those_of_nodes(
    slurm: Template,
) -> None:
    roles = {
        key: resource["Properties"]
        for key, resource in slurm.of_type("AWS::IAM::Role").items()
        if re.match("HyperPod(Controller|Login|Compute)Role", key)
    }
    assert len(roles) == 3
    for role in roles.values():
        assert "ManagedPolicyArns" not in role
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_nodes_start_only_when_scripts_permissions_and_rules_are_there(slurm: Template) -> None:
    (cluster,) = slurm.of_type("AWS::SageMaker::Cluster")
    needed = predecessors(slurm, cluster)
    deployed = set(slurm.of_type("Custom::CDKBucketDeployment"))
    policies = {
        key
        for key in slurm.of_type("AWS::IAM::Policy")
        if re.match("HyperPod(Controller|Login|Compute)RoleDefaultPolicy", key)
    }
    rules = {
        key
        for kind in ("Ingress", "Egress")
        for key in slurm.of_type(f"AWS::EC2::SecurityGroup{kind}")
        if key.startswith("HyperPod")
    }
    assert len(policies) == 3
    assert rules
    assert deployed | policies | rules <= needed


def test_scripts_are_never_taken_from_a_node_that_may_be_replaced(slurm: Template) -> None:
    deployment = slurm.only("Custom::CDKBucketDeployment")
    assert deployment["Prune"] is False
    assert deployment["RetainOnDelete"] is True
    prefix = deployment["DestinationBucketKeyPrefix"]
    assert re.fullmatch(r"lifecycle/[0-9a-f]{16}/", prefix)
    for group in groups_of(slurm).values():
        uri = written(group["LifeCycleConfig"]["SourceS3Uri"])
        assert uri == f"s3://<HyperPodScriptsBucket>/{prefix.rstrip('/')}"
    (bucket,) = (
        resource
        for key, resource in slurm.of_type("AWS::S3::Bucket").items()
        if key.startswith("HyperPodScripts")
    )
    assert bucket["DeletionPolicy"] == "Retain"
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}


def scripts_prefix(folder: Path, **documents: str) -> str:
    prefixes: list[str] = []

    def build(stack: cdk.Stack) -> None:
        scripts = LifecycleScripts(
            stack,
            "Scripts",
            folder=folder,
            documents=documents,
            access_logs=AccessLogsBucket(stack, "AccessLogs", retention_days=400),
        )
        assert isinstance(scripts.location, S3Location)
        prefixes.append(scripts.prefix)

    build(cdk.Stack(app(), "Test", env=ENVIRONMENT))
    return prefixes[0]


def test_any_change_of_scripts_or_settings_is_a_folder_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "on_init_complete.sh"
    script.write_text("exit 0\n")
    first = scripts_prefix(tmp_path, settings="{}")
    assert scripts_prefix(tmp_path, settings="{}") == first
    assert scripts_prefix(tmp_path, settings="{} ") != first
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"bytecode")
    assert scripts_prefix(tmp_path, settings="{}") == first
    script.write_text("exit 1\n")
    assert scripts_prefix(tmp_path, settings="{}") != first
    script.rename(tmp_path / "on_create.sh")
    assert scripts_prefix(tmp_path, settings="{}") != first


def test_scripts_are_told_what_each_group_must_turn_out_to_be() -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    cluster = cluster_of(stack, SLURM, neighbours_in(stack))
    settings = json.loads(cluster._documents()["settings.json"])
    assert settings["groups"]["trn2"]["devices"] == 16
    assert settings["groups"]["trn2"]["efa_interfaces"] == 16
    assert settings["groups"]["trn2"]["lustre_efa_interfaces"] == 1
    assert settings["groups"]["login"]["lustre_efa_interfaces"] == 0
    assert settings["mounts"][0]["path"] == "/shared"
    assert settings["mounts"][0]["mounted_by"] == "hyperpod"


def test_eks_orchestrates_with_its_own_groups_labels_and_scripts(on_eks: Template) -> None:
    properties = properties_of(on_eks)
    assert set(properties["Orchestrator"]) == {"Eks"}
    arn = written(properties["Orchestrator"]["Eks"]["ClusterArn"])
    assert arn.endswith(":eks:us-east-2:111111111111:cluster/test")
    p5 = groups_of(on_eks)["p5"]
    assert p5["KubernetesConfig"]["Labels"] == {
        "nvidia.com/gpu.present": "true",
        "vpc.amazonaws.com/efa.present": "true",
    }
    assert p5["InstanceRequirements"] == {"InstanceTypes": ["ml.p5.48xlarge", "ml.p5en.48xlarge"]}
    assert "InstanceType" not in p5
    assert p5["CapacityRequirements"] == {"Spot": {}}
    assert p5["ImageReleaseVersion"] == "1.2.3"
    assert p5["LifeCycleConfig"]["OnCreate"] == EntryPoint.EKS_ON_CREATE
    assert len(p5["InstanceStorageConfigs"]) == 2
    assert not {"SlurmConfig"} & p5.keys()
    assert groups_of(on_eks)["cpu"]["ImageId"] == "ami-0123456789abcdef0"
    assert {"Key": "SageMaker", "Value": "true"} in properties["Tags"]
    assert len(properties["VpcConfig"]["SecurityGroupIds"]) == 2


def test_hyperpods_karpenter_may_change_the_number_of_nodes_alone(on_eks: Template) -> None:
    properties = properties_of(on_eks)
    assert properties["AutoScaling"] == {"Mode": "Enable", "AutoScalerType": "Karpenter"}
    assert properties["TieredStorageConfig"] == {
        "Mode": "Enable",
        "InstanceMemoryAllocationPercentage": 20,
    }
    role = properties["ClusterRole"]["Fn::GetAtt"][0]
    trust = on_eks.resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust[0]["Principal"] == {"Service": "hyperpod.sagemaker.amazonaws.com"}
    (policy,) = (
        resource["Properties"]["PolicyDocument"]["Statement"]
        for key, resource in on_eks.of_type("AWS::IAM::Policy").items()
        if key.startswith("HyperPodAutoScalingRole")
    )
    assert [every(statement["Action"]) for statement in policy] == [
        ["sagemaker:BatchAddClusterNodes", "sagemaker:BatchDeleteClusterNodes"],
        ["kms:CreateGrant"],
        ["kms:DescribeKey"],
    ]


def test_the_legacy_file_replaces_the_api_only_when_asked(
    legacy: Template, slurm: Template
) -> None:
    assert "Orchestrator" not in properties_of(legacy)
    for group in groups_of(legacy).values():
        assert "SlurmConfig" not in group
        assert group["LifeCycleConfig"]["OnCreate"] == EntryPoint.ON_CREATE
    sources = {
        name: len(template.only("Custom::CDKBucketDeployment")["SourceObjectKeys"])
        for name, template in (("legacy", legacy), ("slurm", slurm))
    }
    assert sources == {"legacy": 3, "slurm": 2}


def test_the_legacy_file_names_groups_partitions_and_the_file_system() -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    cluster = cluster_of(stack, LEGACY, neighbours_in(stack))
    document = json.loads(cluster._documents()[LEGACY_FILE])
    assert document["controller_group"] == "controller"
    assert document["login_group"] == "login"
    assert document["worker_groups"] == [{"instance_group_name": "trn2", "partition_name": "train"}]
    assert {"fsx_dns_name", "fsx_mountname"} <= document.keys()


def test_logs_have_a_key_and_an_end_even_in_the_group_that_hyperpod_names(slurm: Template) -> None:
    calls = [written(properties["Create"]) for properties in slurm.properties("Custom::AWS")]
    assert {json.loads(re.sub("<.*?>", "x", call))["action"] for call in calls} == {
        *("createLogGroup", "associateKmsKey", "putRetentionPolicy")
    }
    assert all('"logGroupName":"/aws/sagemaker/Clusters/test/' in call for call in calls)
    for group in slurm.properties("AWS::Logs::LogGroup"):
        assert "KmsKeyId" in group
        assert "RetentionInDays" in group


def test_what_happens_to_nodes_is_matched_for_this_cluster_alone(slurm: Template) -> None:
    patterns = {
        rule["EventPattern"]["detail-type"][0]: rule["EventPattern"]["detail"]
        for rule in slurm.properties("AWS::Events::Rule")
    }
    assert patterns == {
        "SageMaker HyperPod Cluster Node Health Event": {
            "ClusterName": ["test"],
            "HealthSummary": {"HealthStatus": [{"anything-but": "Healthy"}]},
        },
        "SageMaker HyperPod Cluster Event": {
            "EventDetails": {"ClusterName": ["test"], "EventLevel": ["Error"]}
        },
        "SageMaker HyperPod Cluster State Change": {
            "ClusterName": ["test"],
            "ClusterStatus": ["Failed", "RollingBack"],
        },
    }


def alarms_of(spec: HyperPod) -> dict[str, AlarmDescription]:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    cluster = cluster_of(stack, spec, neighbours_in(stack, eks=spec is ON_EKS))
    return {
        alarm.name: alarm
        for construct in watched("training", cluster).constructs
        for alarm in construct.alarms
    }


def test_a_broken_node_pages_only_where_nobody_replaces_it() -> None:
    recovering, left = alarms_of(SLURM), alarms_of(ON_EKS)
    assert recovering["HyperPodNodeUnhealthy"].severity is Severity.TICKET
    assert left["HyperPodNodeUnhealthy"].severity is Severity.PAGE
    assert "TrainingPlanEnding" in recovering
    assert "TrainingPlanEnding" not in left
    for alarm in recovering.values():
        assert (RUNBOOKS / f"{alarm.runbook}.md").is_file(), alarm.runbook


def test_the_end_of_a_plan_is_reported_three_days_ahead(slurm: Template) -> None:
    schedule = slurm.only("AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "at(2027-03-05T11:30:00)"
    told = json.loads(schedule["Target"]["Input"])
    assert told["MetricData"][0]["Dimensions"] == [{"Name": "ClusterName", "Value": "test"}]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ON_EKS, "A cluster that EKS orchestrates needs one of EKS."),
        (SLURM, r"groups\.trn2\.zone|groups\.login\.zone"),
    ],
    ids=["no EKS cluster", "no subnet"],
)
def test_what_the_platform_lacks_is_told_before_anything_is_made(
    spec: HyperPod, message: str
) -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    vpc = ec2.Vpc.from_vpc_attributes(
        stack, "Vpc", vpc_id="vpc-0123456789abcdef0", availability_zones=["us-east-2a"]
    )
    with pytest.raises(SpecificationError, match=message):
        cluster_of(stack, spec, HyperPodNeighbours(vpc=vpc))


@pytest.mark.slow
@pytest.mark.parametrize("spec", [SLURM, ON_EKS, LEGACY], ids=["slurm", "eks", "legacy"])
def test_the_rule_packs_and_cfn_lint_find_nothing(spec: HyperPod, tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        cluster_of(stack, spec, neighbours_in(stack, eks=spec is ON_EKS))

    own = {f for f in open_findings(build, tmp_path) if "/HyperPod" in f or "CDKBucket" in f}
    assert own == set()
    assert lint_findings(tmp_path) == ""
