"""The local cloud's comparison of properties with the schemas of CloudFormation's registry."""

from pathlib import Path
from typing import Any

import cfnlint  # type: ignore[import-untyped]
import pytest

from ops.local.emulator.resource_schemas import (
    PropertiesError,
    RegistrySchemas,
    ResourceSchema,
)

SCHEMAS = RegistrySchemas(Path(cfnlint.__file__).parent / "data" / "schemas")


def schema(resource_type: str) -> ResourceSchema:
    found = SCHEMAS.schema(resource_type, "us-west-2")
    assert found is not None
    return found


def test_a_type_is_known_where_its_region_has_it() -> None:
    assert SCHEMAS.schema("AWS::FSx::FileSystem", "us-west-2")
    assert SCHEMAS.schema("AWS::FSx::FileSistem", "us-west-2") is None


@pytest.mark.parametrize(
    ("resource_type", "properties", "reason"),
    [
        ("AWS::FSx::FileSystem", {}, "'FileSystemType' is a required property"),
        ("AWS::SQS::Queue", {"DelaySeconds": "soon"}, "#/DelaySeconds"),
        ("AWS::SQS::Queue", {"DelaySecond": 1}, "'DelaySecond' was unexpected"),
        ("AWS::SQS::Queue", {"Arn": "arn:aws:sqs:us-west-2:1:q"}, "#/Arn: is read-only"),
        ("AWS::Lambda::Function", {"Code": {}, "Role": "nobody"}, "#/Role"),
        ("AWS::ApiGateway::Method", {"HttpMethod": "GET"}, "'RestApiId' is a required property"),
    ],
)
def test_wrong_properties_are_refused_with_the_reason(
    resource_type: str, properties: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PropertiesError) as refused:
        schema(resource_type).check(properties)
    assert reason in str(refused.value)
    assert str(refused.value).startswith(
        f"Properties validation failed for resource of type {resource_type}: "
    )


@pytest.mark.parametrize("seconds", [5, "5"])
def test_scalars_are_taken_in_each_others_place(seconds: object) -> None:
    schema("AWS::SQS::Queue").check({"DelaySeconds": seconds, "FifoQueue": "true"})


def test_every_problem_of_a_resource_is_told() -> None:
    with pytest.raises(PropertiesError) as refused:
        schema("AWS::SQS::Queue").check({"DelaySeconds": "soon", "FifoQueue": "perhaps"})
    assert "#/DelaySeconds" in str(refused.value)
    assert "#/FifoQueue" in str(refused.value)


def test_it_knows_what_replaces_and_what_identifies() -> None:
    file_system = schema("AWS::FSx::FileSystem")
    assert "SubnetIds" in file_system.create_only
    assert "StorageCapacity" not in file_system.create_only
    assert file_system.identifiers == ("Id",)
    assert {"DNSName", "LustreMountName"} <= set(file_system.read_only)


def test_attributes_have_the_kind_that_the_schema_states() -> None:
    assert schema("AWS::FSx::FileSystem").kind_of("DNSName") == "string"
    assert schema("AWS::EC2::VPC").kind_of("CidrBlockAssociations") == "array"


@pytest.mark.parametrize("region", ["us-west-2", "eu-central-1"])
def test_every_schema_of_a_region_can_be_used(region: str) -> None:
    types = [name for name in SCHEMAS.types(region) if name.startswith(("AWS::EC2::", "AWS::EKS"))]
    assert len(types) > 50
    for resource_type in types:
        found = SCHEMAS.schema(resource_type, region)
        assert found is not None
        # Compiles every pattern and follows every reference that the properties lead to.
        with pytest.raises(PropertiesError):
            found.check({"NoSuchProperty": 1})
