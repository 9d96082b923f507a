"""Tags that every resource bears which can bear any."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from llm_constructs.template_violation import Properties, Violation
from llm_constructs.untaggable_types import UNTAGGABLE

_CUSTOM: Final = ("AWS::CloudFormation::CustomResource", "Custom::")

TAG_PROPERTIES: Final[Mapping[str, str]] = {
    "AWS::Budgets::Budget": "ResourceTags",
    "AWS::CE::AnomalyMonitor": "ResourceTags",
    "AWS::CE::AnomalySubscription": "ResourceTags",
    "AWS::Cognito::UserPool": "UserPoolTags",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateData.TagSpecifications",
    "AWS::Route53::HostedZone": "HostedZoneTags",
}
"""The property that holds the tags, where it is not called ``Tags``.

Those of a launch template are for what it launches, which is what costs money.
"""


def bears_tags(kind: str) -> bool:
    """Return whether resources of this type bear tags; of a type nobody listed, they do."""
    return kind not in UNTAGGABLE and not kind.startswith(_CUSTOM)


def missing_tags(
    kind: str, properties: Properties, required: Collection[str]
) -> Iterator[Violation]:
    """Refuse a resource that could bear tags and lacks one of ``required``."""
    if not bears_tags(kind):
        return
    location = TAG_PROPERTIES.get(kind, "Tags")
    tags: Any = properties
    for part in location.split("."):
        tags = tags.get(part, {})
    missing = sorted(set(required) - _keys(tags))
    if missing:
        yield Violation(
            location,
            f"The resource has no {' and no '.join(missing)}, so nobody knows whom to call or to "
            "bill.",
            "Make it in a Layer by a construct that bears tags, or set them on it. A type that "
            "cannot bear any belongs in UNTAGGABLE of untaggable_types.py.",
        )


def _keys(tags: Any) -> set[str]:
    if isinstance(tags, Mapping):
        return set(tags)
    keys: set[str] = set()
    for tag in tags:
        # A launch template has lists of tags by the resource that they are for.
        keys |= _keys(tag["Tags"]) if "Tags" in tag else {tag.get("Key", "")}
    return keys
