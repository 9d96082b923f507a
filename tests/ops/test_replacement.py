from typing import Any

import botocore.session
import pytest
from botocore.model import StructureShape
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from ops.replacement import extract, replacements, same
from ops.resource_schema import resource_schema
from ops.stateful import STATEFUL_TYPES, default_policy, is_weaker

STACK = "llm-prod-streams"


def replicator(*sources: str) -> dict[str, dict[str, Any]]:
    flows = [{"SourceKafkaClusterArn": source, "TopicReplication": {}} for source in sources]
    return {
        STACK: {
            "Resources": {
                "Replicator": {
                    "Type": "AWS::MSK::Replicator",
                    "Properties": {"ReplicationInfoList": flows},
                }
            }
        }
    }


def test_a_create_only_property_of_a_list_item_replaces() -> None:
    found = replacements(replicator("a", "b"), replicator("a", "c"), {})
    ((address, (reason,)),) = found.items()
    assert address == (STACK, "Replicator")
    assert reason.path == "ReplicationInfoList/*/SourceKafkaClusterArn"
    assert (reason.old, reason.new, reason.certain) == (["a", "b"], ["a", "c"], True)


def test_another_property_of_a_list_item_replaces_nothing() -> None:
    new = replicator("a")
    flow = new[STACK]["Resources"]["Replicator"]["Properties"]["ReplicationInfoList"][0]
    flow["TopicReplication"] = {"TopicsToReplicate": [".*"]}
    assert replacements(replicator("a"), new, {}) == {}


def test_only_the_outermost_of_nested_create_only_properties_is_named() -> None:
    def repository(encryption: str) -> dict[str, dict[str, Any]]:
        configuration = {"EncryptionConfiguration": {"EncryptionType": encryption}}
        images = {"Type": "AWS::ECR::Repository", "Properties": configuration}
        return {STACK: {"Resources": {"Images": images}}}

    found = replacements(repository("AES256"), repository("KMS"), {})
    assert [reason.path for reason in found[STACK, "Images"]] == ["EncryptionConfiguration"]


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ({"A": {"B": 1}}, "A/B", 1),
        ({"A": {"B": 1}}, "A/C", None),
        ({"A": [{"B": 1}, {"B": 2}]}, "A/*/B", [1, 2]),
        ({"A": [{"B": 1}, {"B": 2}]}, "A/B", [1, 2]),
        ({"A": {"x": {"B": 1}}}, "A/*/B", {"x": 1}),
        (
            {"A": {"Fn::If": ["c", {"B": 1}, {"B": 2}]}},
            "A/B",
            {"Fn::If": ["c", {"B": 1}, {"B": 2}]},
        ),
        ({"A": "text"}, "A/B", "text"),
        ({"A": 1}, "", {"A": 1}),
    ],
)
def test_a_path_selects_through_objects_lists_and_functions(
    value: Any, path: str, expected: Any
) -> None:
    assert extract(value, path) == expected


@given(st.permutations([("a", 1), ("b", True), ("c", [1, 2])]))
def test_the_order_of_keys_does_not_matter(items: list[tuple[str, Any]]) -> None:
    assert same(dict(items), {"a": 1, "b": True, "c": [1, 2]})


def test_a_number_is_not_a_boolean() -> None:
    assert not same(1, True)


def test_a_region_without_a_type_takes_its_schema_from_elsewhere() -> None:
    assert resource_schema("AWS::EKS::Cluster", "no-such-region") == resource_schema(
        "AWS::EKS::Cluster", "us-east-1"
    )


def test_what_the_registry_omits_of_lustre_cannot_be_updated_through_the_api() -> None:
    schema = resource_schema("AWS::FSx::FileSystem", "us-east-1")
    assert schema is not None
    api = botocore.session.get_session().get_service_model("fsx")
    request = api.shape_for("UpdateFileSystemLustreConfiguration")
    assert isinstance(request, StructureShape)
    updatable = set(request.members)
    replacing = {
        path.split("/")[1] for path in schema.create_only if path.startswith("LustreConfiguration/")
    }
    assert replacing
    assert replacing.isdisjoint(updatable)


@pytest.mark.parametrize(
    ("resource_type", "path"),
    [
        (resource_type, protection.path)
        for resource_type, stateful in sorted(STATEFUL_TYPES.items())
        for protection in stateful.protections
    ],
)
def test_every_protection_is_a_property_of_its_type(resource_type: str, path: str) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type).schema
    declared = schema
    for segment in path.split("/"):
        declared = declared["items"] if segment == "*" else declared["properties"][segment]
        if "$ref" in declared:
            declared = schema["definitions"][declared["$ref"].rsplit("/", 1)[-1]]
    assert declared["type"] in {"boolean", "string"}


POLICIES = st.sampled_from(["Delete", "Snapshot", "RetainExceptOnCreate", "Retain"])


@given(one=POLICIES, other=POLICIES)
def test_of_two_policies_at_most_one_is_weaker(one: str, other: str) -> None:
    assert not (is_weaker(one, other) and is_weaker(other, one))
    assert is_weaker("Delete", one) == (one != "Delete")


def test_databases_are_kept_as_snapshots_only_on_deletion() -> None:
    assert default_policy("DeletionPolicy", "AWS::RDS::DBCluster") == "Snapshot"
    assert default_policy("UpdateReplacePolicy", "AWS::RDS::DBCluster") == "Delete"
    assert default_policy("DeletionPolicy", "AWS::S3::Bucket") == "Delete"
