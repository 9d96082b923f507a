"""Every kind of planted change, on small templates in the form the CDK writes."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.change_safety import Effect, Finding, compare
from ops.resource_schema import resource_schema
from ops.stateful import STATEFUL_TYPES

NETWORK, DATA = "llm-prod-network", "llm-prod-data"
REGIONS = {NETWORK: "us-east-2", DATA: "us-east-2"}

Templates = dict[str, dict[str, Any]]


def from_network(output: str) -> dict[str, Any]:
    return {
        "Fn::GetStackOutput": {
            "StackName": NETWORK,
            "Region": "us-east-2",
            "OutputName": output,
        }
    }


def platform() -> Templates:
    return {
        NETWORK: {
            "Parameters": {"VpcCidr": {"Type": "String", "Default": "10.0.0.0/16"}},
            "Mappings": {"Zones": {"us-east-2": {"First": "us-east-2a"}}},
            "Resources": {
                "Vpc": {
                    "Type": "AWS::EC2::VPC",
                    "Properties": {
                        "CidrBlock": {"Ref": "VpcCidr"},
                        "EnableDnsSupport": True,
                        "InstanceTenancy": "default",
                        "Tags": [{"Key": "Name", "Value": "llm-prod-network/Vpc"}],
                    },
                },
                "Subnet": {
                    "Type": "AWS::EC2::Subnet",
                    "Properties": {
                        "VpcId": {"Ref": "Vpc"},
                        "CidrBlock": {
                            "Fn::Select": [
                                0,
                                {"Fn::Cidr": [{"Fn::GetAtt": ["Vpc", "CidrBlock"]}, 4, "8"]},
                            ]
                        },
                        "AvailabilityZone": {"Fn::FindInMap": ["Zones", "us-east-2", "First"]},
                    },
                },
                "LustreSecurityGroup": {
                    "Type": "AWS::EC2::SecurityGroup",
                    "Properties": {"GroupDescription": "Lustre", "VpcId": {"Ref": "Vpc"}},
                },
            },
            "Outputs": {
                "Subnet": {"Value": {"Ref": "Subnet"}},
                "LustreGroup": {"Value": {"Fn::GetAtt": ["LustreSecurityGroup", "GroupId"]}},
                "Exported": {
                    "Value": {"Ref": "Subnet"},
                    "Export": {"Name": "llm-prod-network:Subnet"},
                },
            },
        },
        DATA: {
            "Resources": {
                "LakeKey": {
                    "Type": "AWS::KMS::Key",
                    "Properties": {"EnableKeyRotation": True},
                    "DeletionPolicy": "Retain",
                    "UpdateReplacePolicy": "Retain",
                },
                "Lake": {
                    "Type": "AWS::S3::Bucket",
                    "Properties": {
                        "VersioningConfiguration": {"Status": "Enabled"},
                        "Tags": [{"Key": "layer", "Value": "data"}],
                    },
                    "DeletionPolicy": "Retain",
                    "UpdateReplacePolicy": "Retain",
                },
                "Scratch": {
                    "Type": "AWS::FSx::FileSystem",
                    "Properties": {
                        "FileSystemType": "LUSTRE",
                        "StorageCapacity": 4800,
                        "SubnetIds": [from_network("Subnet")],
                        "SecurityGroupIds": [from_network("LustreGroup")],
                        "KmsKeyId": {"Fn::GetAtt": ["LakeKey", "Arn"]},
                        "LustreConfiguration": {
                            "DeploymentType": "PERSISTENT_2",
                            "PerUnitStorageThroughput": 250,
                        },
                    },
                    "DeletionPolicy": "Retain",
                    "UpdateReplacePolicy": "Retain",
                },
                "Conversations": {
                    "Type": "AWS::DynamoDB::GlobalTable",
                    "Properties": {
                        "TableName": "conversations",
                        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                        "Replicas": [
                            {
                                "Region": "us-east-2",
                                "DeletionProtectionEnabled": True,
                                "PointInTimeRecoverySpecification": {
                                    "PointInTimeRecoveryEnabled": True
                                },
                            }
                        ],
                    },
                    "DeletionPolicy": "Retain",
                    "UpdateReplacePolicy": "Retain",
                },
                "Cluster": {
                    "Type": "AWS::EKS::Cluster",
                    "Properties": {
                        "KubernetesNetworkConfig": {"ServiceIpv4Cidr": "172.20.0.0/16"},
                        "DeletionProtection": True,
                    },
                },
                "Reader": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "reader"}},
            }
        },
    }


def resource(templates: Templates, stack: str, logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = templates[stack]["Resources"][logical_id]
    return found


def properties(templates: Templates, stack: str, logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(templates, stack, logical_id)["Properties"]
    return found


def findings(new: Templates, baseline: Templates | None = None) -> list[Finding]:
    return compare(baseline or platform(), new, regions=REGIONS)


def effects(found: list[Finding]) -> dict[str, Effect]:
    return {
        f"{finding.address} {finding.property_path}".rstrip(): finding.effect for finding in found
    }


def test_the_same_templates_need_no_consent() -> None:
    assert findings(platform()) == []


def test_a_changed_create_only_property_replaces() -> None:
    new = platform()
    properties(new, DATA, "Lake")["BucketName"] = "lake"
    (found,) = findings(new)
    assert (found.effect, found.property_path, found.old, found.new) == (
        Effect.REPLACE,
        "BucketName",
        None,
        "lake",
    )
    assert str(found) == (
        "llm-prod-data/Lake (AWS::S3::Bucket): It would be replaced, because BucketName, which can "
        'only be set at creation, changes from nothing to "lake". UpdateReplacePolicy Retain '
        "leaves the old one in the account, but unmanaged. At stake: every object: datasets, "
        "checkpoints, models, logs. Restore the value, or make a second resource beside it and "
        "move the data first."
    )


def test_a_changed_nested_create_only_property_replaces() -> None:
    new = platform()
    properties(new, DATA, "Cluster")["KubernetesNetworkConfig"]["ServiceIpv4Cidr"] = "10.100.0.0/16"
    assert effects(findings(new)) == {
        "llm-prod-data/Cluster KubernetesNetworkConfig/ServiceIpv4Cidr": Effect.REPLACE
    }


def test_a_lustre_deployment_type_replaces_though_the_registry_does_not_say_so() -> None:
    new = platform()
    properties(new, DATA, "Scratch")["LustreConfiguration"]["DeploymentType"] = "SCRATCH_2"
    assert effects(findings(new)) == {
        "llm-prod-data/Scratch LustreConfiguration/DeploymentType": Effect.REPLACE
    }


def test_a_conditionally_create_only_property_may_replace() -> None:
    new = platform()
    properties(new, DATA, "Conversations")["KeySchema"][0]["AttributeName"] = "tenant"
    (found,) = findings(new)
    assert (found.address, found.effect) == (f"{DATA}/Conversations", Effect.MAY_REPLACE)
    assert "may be replaced, because KeySchema, which cannot always be updated" in str(found)


def test_the_order_of_a_create_only_list_counts() -> None:
    baseline = {
        DATA: {
            "Resources": {
                "Topics": {
                    "Type": "AWS::MSK::Cluster",
                    "Properties": {"BrokerNodeGroupInfo": {"SecurityGroups": ["sg-1", "sg-2"]}},
                }
            }
        }
    }
    new = deepcopy(baseline)
    properties(new, DATA, "Topics")["BrokerNodeGroupInfo"]["SecurityGroups"] = ["sg-2", "sg-1"]
    assert effects(findings(new, baseline)) == {
        "llm-prod-data/Topics BrokerNodeGroupInfo/SecurityGroups": Effect.REPLACE
    }


def test_a_changed_type_replaces() -> None:
    new = platform()
    resource(new, DATA, "Conversations")["Type"] = "AWS::DynamoDB::Table"
    assert effects(findings(new)) == {"llm-prod-data/Conversations Type": Effect.REPLACE}


def test_an_exchanged_reference_in_a_create_only_property_replaces() -> None:
    new = platform()
    new[NETWORK]["Resources"]["Other"] = deepcopy(resource(new, NETWORK, "Vpc"))
    properties(new, NETWORK, "Subnet")["VpcId"] = {"Ref": "Other"}
    assert effects(findings(new))["llm-prod-network/Subnet VpcId"] is Effect.REPLACE


def test_a_replaced_vpc_replaces_what_lives_in_it_also_in_other_stacks() -> None:
    new = platform()
    properties(new, NETWORK, "Vpc")["CidrBlock"] = "10.8.0.0/16"
    found = {f"{finding.address} {finding.property_path}": finding for finding in findings(new)}
    assert {key: finding.effect for key, finding in found.items()} == {
        "llm-prod-network/Vpc CidrBlock": Effect.REPLACE,
        "llm-prod-network/Subnet VpcId": Effect.REPLACE,
        "llm-prod-network/Subnet CidrBlock": Effect.REPLACE,
        "llm-prod-data/Scratch SubnetIds": Effect.REPLACE,
        "llm-prod-data/Scratch SecurityGroupIds": Effect.REPLACE,
    }
    because = {key: finding.reason for key, finding in found.items()}
    assert "because llm-prod-network's Vpc is replaced" in because["llm-prod-network/Subnet VpcId"]
    assert (
        "because llm-prod-network's Vpc.CidrBlock changes"
        in because["llm-prod-network/Subnet CidrBlock"]
    )
    assert (
        "because llm-prod-network's LustreSecurityGroup is replaced"
        in because["llm-prod-data/Scratch SecurityGroupIds"]
    )


def test_a_replacement_that_comes_from_elsewhere_says_what_to_undo() -> None:
    new = platform()
    properties(new, NETWORK, "LustreSecurityGroup")["GroupDescription"] = "File system"
    (found,) = findings(new)
    assert found.cause == "llm-prod-network's LustreSecurityGroup is replaced"
    assert found.remedy.startswith("Undo that change, or")


def test_a_policy_weakened_together_with_a_replacement_does_not_keep_the_old_one() -> None:
    new = platform()
    properties(new, DATA, "Lake")["BucketName"] = "lake"
    resource(new, DATA, "Lake")["UpdateReplacePolicy"] = "Delete"
    reasons = {finding.effect: finding.reason for finding in findings(new)}
    assert "The old one is deleted." in reasons[Effect.REPLACE]


def test_a_replaced_stateless_resource_replaces_the_stateful_one_that_needs_it() -> None:
    new = platform()
    properties(new, NETWORK, "LustreSecurityGroup")["GroupDescription"] = "File system"
    assert effects(findings(new)) == {"llm-prod-data/Scratch SecurityGroupIds": Effect.REPLACE}


def test_what_may_be_replaced_may_replace_its_dependants() -> None:
    new = platform()
    properties(new, NETWORK, "Vpc")["InstanceTenancy"] = "dedicated"
    found = effects(findings(new))
    assert found["llm-prod-network/Vpc InstanceTenancy"] is Effect.MAY_REPLACE
    assert found["llm-prod-data/Scratch SubnetIds"] is Effect.MAY_REPLACE


def test_an_attribute_that_repeats_an_unchanged_property_survives_a_replacement() -> None:
    new = platform()
    properties(new, NETWORK, "Vpc")["Ipv4NetmaskLength"] = 16
    assert "llm-prod-network/Subnet CidrBlock" not in effects(findings(new))
    assert "llm-prod-network/Subnet VpcId" in effects(findings(new))


@pytest.mark.parametrize(
    ("section", "value", "replaced"),
    [
        ("Parameters", {"VpcCidr": {"Type": "String", "Default": "10.1.0.0/16"}}, "Vpc CidrBlock"),
        ("Mappings", {"Zones": {"us-east-2": {"First": "us-east-2b"}}}, "Subnet AvailabilityZone"),
    ],
)
def test_a_redefined_parameter_or_mapping_replaces_what_reads_it(
    section: str, value: dict[str, Any], replaced: str
) -> None:
    new = platform()
    new[NETWORK][section] = value
    assert effects(findings(new))[f"llm-prod-network/{replaced}"] is Effect.REPLACE


def test_another_way_to_pass_the_same_value_between_stacks_replaces_nothing() -> None:
    new = platform()
    properties(new, DATA, "Scratch")["SubnetIds"] = [{"Fn::ImportValue": "llm-prod-network:Subnet"}]
    assert findings(new) == []


def test_an_output_that_passes_on_another_resource_replaces() -> None:
    new = platform()
    new[NETWORK]["Resources"]["Second"] = deepcopy(resource(new, NETWORK, "Subnet"))
    new[NETWORK]["Outputs"]["Subnet"]["Value"] = {"Ref": "Second"}
    assert effects(findings(new)) == {"llm-prod-data/Scratch SubnetIds": Effect.REPLACE}


def test_a_substituted_name_of_a_replaced_resource_replaces() -> None:
    baseline = platform()
    baseline[NETWORK]["Resources"]["Audit"] = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": {"Fn::Sub": "/${AWS::Region}/${Vpc}/${!literal}"}},
    }
    new = deepcopy(baseline)
    properties(new, NETWORK, "Vpc")["CidrBlock"] = "10.8.0.0/16"
    assert effects(findings(new, baseline))["llm-prod-network/Audit LogGroupName"] is Effect.REPLACE


def test_a_removed_resource_is_deleted_or_left_behind() -> None:
    new = platform()
    del new[DATA]["Resources"]["Cluster"]
    del new[DATA]["Resources"]["Conversations"]
    found = {finding.logical_id: finding for finding in findings(new)}
    assert {finding.effect for finding in found.values()} == {Effect.DELETE}
    assert "The old one is deleted." in found["Cluster"].reason
    assert "leaves the old one in the account, but unmanaged" in found["Conversations"].reason


def test_a_removed_stateless_resource_needs_no_consent() -> None:
    new = platform()
    del new[DATA]["Resources"]["Reader"]
    assert findings(new) == []


def test_a_renamed_resource_is_recognised_though_its_name_tag_and_parent_changed() -> None:
    new = platform()
    network = new[NETWORK]["Resources"]
    network["MainVpc"] = network.pop("Vpc")
    network["MainSubnet"] = network.pop("Subnet")
    network["MainVpc"]["Properties"]["Tags"][0]["Value"] = "llm-prod-network/MainVpc"
    network["MainSubnet"]["Properties"]["VpcId"] = {"Ref": "MainVpc"}
    network["MainSubnet"]["Properties"]["CidrBlock"]["Fn::Select"][1]["Fn::Cidr"][0] = {
        "Fn::GetAtt": ["MainVpc", "CidrBlock"]
    }
    remedies = {f.logical_id: f.remedy for f in findings(new) if f.effect is Effect.DELETE}
    assert "looks renamed: llm-prod-network/MainVpc has the same" in remedies["Vpc"]
    assert "looks renamed: llm-prod-network/MainSubnet has the same" in remedies["Subnet"]
    assert 'override_logical_id("Subnet")' in remedies["Subnet"]


def test_a_different_new_resource_is_not_taken_for_a_renamed_one() -> None:
    new = platform()
    del new[DATA]["Resources"]["Lake"]
    new[DATA]["Resources"]["Logs"] = {"Type": "AWS::S3::Bucket", "Properties": {}}
    (found,) = findings(new)
    assert "renamed" not in found.remedy


def test_a_missing_stack_names_the_stateful_resources_in_it() -> None:
    new = platform()
    del new[DATA]
    (found,) = findings(new)
    assert (found.address, found.effect) == (DATA, Effect.STACK_REMOVED)
    assert "Lake (AWS::S3::Bucket)" in str(found)
    assert "Reader" not in str(found)


def test_a_missing_stack_without_state_needs_no_consent() -> None:
    roles = {"llm-prod-roles": {"Resources": {"Reader": {"Type": "AWS::IAM::Role"}}}}
    assert findings({}, roles) == []


@pytest.mark.parametrize("attribute", ["DeletionPolicy", "UpdateReplacePolicy"])
@pytest.mark.parametrize("policy", ["Delete", "Snapshot", None])
def test_a_weakened_policy_loses_protection(attribute: str, policy: str | None) -> None:
    new = platform()
    lake = resource(new, DATA, "Lake")
    if policy is None:
        del lake[attribute]
    else:
        lake[attribute] = policy
    assert effects(findings(new)) == {f"{DATA}/Lake {attribute}": Effect.LOSE_PROTECTION}


def test_a_strengthened_policy_needs_no_consent() -> None:
    new = platform()
    resource(new, DATA, "Cluster")["DeletionPolicy"] = "Retain"
    assert findings(new) == []


def test_a_database_without_a_deletion_policy_already_keeps_a_snapshot() -> None:
    baseline = {DATA: {"Resources": {"Db": {"Type": "AWS::RDS::DBCluster", "Properties": {}}}}}
    new = deepcopy(baseline)
    resource(new, DATA, "Db")["DeletionPolicy"] = "Delete"
    assert effects(findings(new, baseline)) == {f"{DATA}/Db DeletionPolicy": Effect.LOSE_PROTECTION}


@pytest.mark.parametrize("value", [False, "false", None])
def test_a_deletion_protection_turned_off_loses_protection(value: object) -> None:
    new = platform()
    cluster = properties(new, DATA, "Cluster")
    cluster["DeletionProtection"] = value
    if value is None:
        del cluster["DeletionProtection"]
    assert effects(findings(new)) == {f"{DATA}/Cluster DeletionProtection": Effect.LOSE_PROTECTION}


def test_a_replica_without_deletion_protection_loses_protection() -> None:
    new = platform()
    properties(new, DATA, "Conversations")["Replicas"].append({"Region": "us-west-2"})
    assert effects(findings(new)) == {
        f"{DATA}/Conversations Replicas/*/DeletionProtectionEnabled": Effect.LOSE_PROTECTION,
        f"{DATA}/Conversations "
        "Replicas/*/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled": (
            Effect.LOSE_PROTECTION
        ),
    }


def test_suspended_versioning_loses_protection() -> None:
    new = platform()
    properties(new, DATA, "Lake")["VersioningConfiguration"]["Status"] = "Suspended"
    assert effects(findings(new)) == {
        f"{DATA}/Lake VersioningConfiguration/Status": Effect.LOSE_PROTECTION
    }


def test_every_problem_is_told_at_once() -> None:
    new = platform()
    properties(new, DATA, "Lake")["BucketName"] = "lake"
    resource(new, DATA, "Lake")["DeletionPolicy"] = "Delete"
    del new[DATA]["Resources"]["Cluster"]
    assert [(f.logical_id, f.effect) for f in findings(new)] == [
        ("Cluster", Effect.DELETE),
        ("Lake", Effect.REPLACE),
        ("Lake", Effect.LOSE_PROTECTION),
    ]


def test_a_type_that_nobody_declares_is_compared_by_its_name_only() -> None:
    baseline: Templates = {
        DATA: {"Resources": {"X": {"Type": "Acme::Store::Thing", "Properties": {"Name": "a"}}}}
    }
    new = deepcopy(baseline)
    properties(new, DATA, "X")["Name"] = "b"
    assert findings(new, baseline) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["BucketName", "CidrBlock", "Name", "Tags", "Ref", "Fn::GetAtt", "Fn::Sub"])
RESOURCES = st.dictionaries(
    st.sampled_from(["A", "B", "C"]),
    st.fixed_dictionaries(
        {"Type": st.sampled_from([*sorted(STATEFUL_TYPES)[:8], "AWS::IAM::Role", "Custom::Thing"])},
        optional={
            "Properties": st.dictionaries(NAMES, JSON, max_size=3),
            "DeletionPolicy": st.sampled_from(["Retain", "Delete", "Snapshot"]),
        },
    ),
    max_size=3,
)
TEMPLATES = st.dictionaries(
    st.sampled_from([NETWORK, DATA]), st.fixed_dictionaries({"Resources": RESOURCES}), max_size=2
)


@settings(deadline=None)
@given(templates=TEMPLATES)
def test_nothing_differs_from_itself(templates: Templates) -> None:
    assert compare(templates, deepcopy(templates)) == []


@settings(deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["LifecycleConfiguration", "CorsConfiguration", "Tags", "BucketEncryption"]
        ),
        JSON,
    ),
    metadata=JSON,
    description=st.text(),
)
def test_changes_that_can_be_updated_in_place_need_no_consent(
    changes: dict[str, Any], metadata: Any, description: str
) -> None:
    new = platform()
    properties(new, DATA, "Lake").update(changes)
    resource(new, DATA, "Lake")["Metadata"] = metadata
    new[DATA]["Description"] = description
    assert findings(new) == []


@settings(deadline=None)
@given(name=st.text(min_size=1))
def test_any_other_name_of_a_bucket_replaces_it(name: str) -> None:
    new = platform()
    properties(new, DATA, "Lake")["BucketName"] = name
    assert [finding.effect for finding in findings(new)] == [Effect.REPLACE]


@pytest.mark.parametrize("resource_type", sorted(STATEFUL_TYPES))
def test_every_stateful_type_is_one_that_cloudformation_knows(resource_type: str) -> None:
    assert resource_schema(resource_type, "us-east-1") is not None
