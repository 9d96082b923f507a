"""Tags that every resource bears."""

import re
from typing import Any

import pytest

from llm_constructs.tag_rules import TAG_PROPERTIES, bears_tags, missing_tags
from llm_constructs.untaggable_types import UNTAGGABLE
from tests.assembly import Assembly

REQUIRED = {"owner", "layer"}
LISTED = [{"Key": "owner", "Value": "a"}, {"Key": "layer", "Value": "b"}]


def found(kind: str, properties: dict[str, Any]) -> list[str]:
    return [f"{it.location}: {it.reason}" for it in missing_tags(kind, properties, REQUIRED)]


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::S3::Bucket", {"Tags": LISTED}),
        ("AWS::SSM::Parameter", {"Tags": {"owner": "a", "layer": "b", "more": "c"}}),
        ("AWS::Budgets::Budget", {"ResourceTags": LISTED}),
        (
            "AWS::EC2::LaunchTemplate",
            {"LaunchTemplateData": {"TagSpecifications": [{"Tags": LISTED}]}},
        ),
        ("AWS::IAM::Policy", {}),
        ("Custom::Anything", {}),
    ],
)
def test_what_bears_its_tags_or_cannot_passes(kind: str, properties: dict[str, Any]) -> None:
    assert found(kind, properties) == []


@pytest.mark.parametrize(
    ("kind", "properties", "location"),
    [
        ("AWS::S3::Bucket", {}, "Tags: "),
        ("AWS::S3::Bucket", {"Tags": LISTED[:1]}, "Tags: The resource has no layer,"),
        ("AWS::Budgets::Budget", {"Tags": LISTED}, "ResourceTags: "),
        ("AWS::EC2::LaunchTemplate", {"TagSpecifications": [{"Tags": LISTED}]}, "LaunchTemplate"),
        ("AWS::New::Thing", {}, "Tags: The resource has no layer and no owner"),
    ],
)
def test_what_lacks_one_is_told(kind: str, properties: dict[str, Any], location: str) -> None:
    (violation,) = found(kind, properties)
    assert violation.startswith(location)


def schema_of(kind: str) -> dict[str, Any] | None:
    from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

    for _, schema in PROVIDER_SCHEMA_MANAGER.get_resource_schemas_by_regions(kind, list(REGIONS)):
        body: dict[str, Any] = schema.schema
        return body
    return None


TAGS = re.compile("Tags$|^Tag(Specifications|List)")


@pytest.mark.slow
def test_the_types_without_tags_are_those_whose_schema_has_none() -> None:
    schemas = {kind: schema_of(kind) for kind in UNTAGGABLE}
    assert {kind for kind, schema in schemas.items() if schema is None} == set()
    tagged = {
        kind
        for kind, schema in schemas.items()
        if any(TAGS.search(name) for name in (schema or {}).get("properties", {}))
    }
    assert tagged == set()


@pytest.mark.slow
def test_the_properties_are_those_of_the_schemas() -> None:
    for kind, location in TAG_PROPERTIES.items():
        assert location.split(".")[0] in (schema_of(kind) or {})["properties"]


@pytest.mark.synth
def test_most_types_of_the_templates_bear_tags(assembly: Assembly) -> None:
    kinds = {
        it["Type"] for body in assembly.templates.values() for it in body["Resources"].values()
    }
    assert len({kind for kind in kinds if bears_tags(kind)}) > 40
