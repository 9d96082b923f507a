"""What in a template would take data out of the environment's jurisdiction.

Two kinds of rules. Every text of a template is read for regions, ARNs without a region of their
own, and models that are computed elsewhere: whatever property or document they stand in, a new kind
of resource is covered from its first day. And a few types of resource are known to leave their
region without naming another.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llm_constructs.account_usage import BILLING_REGION
from llm_constructs.dashboard_rules import text_of
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import REGIONS, Jurisdiction
from llm_constructs.specs.residency import (
    GLOBAL_PREFIX,
    JURISDICTION_OF_PREFIX,
    PROVIDERS,
    Residency,
    check_residency,
)
from llm_constructs.template_violation import Properties, Violation

Template = Mapping[str, Any]

_REGION: Final = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:(?:af|ap|ca|cn|eu|il|me|mx|sa|us)(?:-gov|-iso[a-z]?)?|eusc-[a-z]{2})"
    r"-(?:central|(?:north|south)(?:east|west)?|east|west)-\d(?!\d)"
)
"""Names of regions, known here or not."""

_PREFIXES: Final = "|".join(sorted({GLOBAL_PREFIX, *JURISDICTION_OF_PREFIX}, key=len, reverse=True))
_PROFILE: Final = re.compile(
    rf"(?<![\w.-])(?:{_PREFIXES})\.(?:{'|'.join(sorted(PROVIDERS))})\.[a-z0-9-]+(?:[.:][a-z0-9-]+)*"
)
"""Ids of inference profiles that AWS defines."""

_ANY_PROFILE: Final = re.compile(rf"inference-profile/(?:(?P<prefix>{_PREFIXES})\.)?[a-z0-9.-]*\*")
"""Patterns of profiles, as policies have them."""

_ARN: Final = re.compile(r"(?<![\w-])arn:[\w*-]*:(?P<service>[\w*-]+):(?P<region>[\w*?-]*):")
_REGIONLESS_MODELS: Final = re.compile(r"(?<![\w-])arn:[\w*-]*:bedrock::")
"""By such ARNs, policies speak of models in whichever region computes.

https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
"""

_EDGE: Final = {
    "AWS::CloudFront::Distribution": "CloudFront keeps copies at edge locations worldwide.",
    "AWS::GlobalAccelerator::Accelerator": "Its edge locations worldwide take requests in.",
    "AWS::S3::MultiRegionAccessPoint": "It sends requests to whichever region is nearest.",
}


@dataclass(frozen=True, kw_only=True)
class ResidencyPromise:
    """What an environment promises about where data is kept and computed."""

    jurisdiction: Jurisdiction
    models: Residency = Residency.GEO
    """How far a request to a model of Bedrock may travel."""


def leaving(kind: str, properties: Properties, promise: ResidencyPromise) -> Iterator[Violation]:
    """Refuse what a resource says or is that would take data out of the jurisdiction."""
    for location, text in _texts(_without_bill(kind, properties)):
        yield from _check_text(location, text, promise)
    yield from _check_kind(kind, properties)


def leaving_stack(region: str, promise: ResidencyPromise) -> Iterator[Violation]:
    """Refuse a stack that stands outside the jurisdiction itself."""
    if REGIONS.get(region) is not promise.jurisdiction:
        yield Violation(
            "Region",
            f"The stack stands in {region}, outside the jurisdiction {promise.jurisdiction}.",
            "Deploy it to a region inside, or to an environment of the other jurisdiction.",
        )


def leaving_copies(
    properties: Properties, buckets: Mapping[str, str], promise: ResidencyPromise
) -> Iterator[Violation]:
    """Refuse copies of a bucket to where nobody can tell that it lies inside.

    ``buckets`` has the region of each of the environment's buckets by physical name and by
    logical id. A bucket's ARN does not tell its region.
    """
    rules = properties.get("ReplicationConfiguration", {}).get("Rules", ())
    for number, rule in enumerate(rules):
        target = rule.get("Destination", {}).get("Bucket")
        region = buckets.get(_bucket_of(target))
        if REGIONS.get(region or "") is not promise.jurisdiction:
            where = f"in {region}" if region else "that no stack of the environment makes"
            yield Violation(
                f"ReplicationConfiguration.Rules.{number}.Destination.Bucket",
                f"Objects are copied to a bucket {where}.",
                "Copy to a bucket of the environment inside the jurisdiction "
                f"{promise.jurisdiction}.",
            )


def _bucket_of(target: object) -> str:
    if isinstance(target, Mapping):
        name = target.get("Fn::GetAtt", [""])[0] or target.get("Ref", "")
        return str(name) or text_of(target).rpartition(":")[2]
    return str(target).rpartition(":")[2]


def _texts(value: object, location: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, Mapping):
        if "Fn::Join" in value:
            # Whole, because a name may be cut anywhere; what is inside follows.
            yield location, text_of(value)
        for key, inner in value.items():
            yield location, key
            yield from _texts(inner, f"{location}.{key}" if location else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{location}.{number}" if location else str(number))


def _check_text(location: str, text: str, promise: ResidencyPromise) -> Iterator[Violation]:
    for region in sorted(set(_REGION.findall(text))):
        if REGIONS.get(region) is not promise.jurisdiction:
            yield Violation(
                location,
                f"It names {region}, outside the jurisdiction {promise.jurisdiction}.",
                "Name a region inside it.",
            )
    yield from _check_arns(location, text, promise)
    yield from _check_models(location, text, promise)


def _check_arns(location: str, text: str, promise: ResidencyPromise) -> Iterator[Violation]:
    if promise.models is not Residency.GLOBAL and _REGIONLESS_MODELS.search(text):
        yield Violation(
            location,
            "An ARN of Bedrock without a region speaks of models wherever they are computed.",
            "Name the regions that may compute.",
        )
    for found in _ARN.finditer(text):
        if "*" not in found["region"] and "?" not in found["region"]:
            continue
        if found["service"] == "bedrock" and promise.models is Residency.GLOBAL:
            continue
        yield Violation(
            location,
            f"The ARN {found.group()}… is of any region.",
            f"Name the regions, all inside the jurisdiction {promise.jurisdiction}.",
        )


def _check_models(location: str, text: str, promise: ResidencyPromise) -> Iterator[Violation]:
    problems = Problems("model")
    for model_id in sorted(set(_PROFILE.findall(text))):
        check_residency(
            problems,
            location,
            model_id,
            residency=promise.models,
            jurisdiction=promise.jurisdiction,
        )
    for problem in problems.found:
        yield Violation(location, f"{problem.value}: {problem.reason}", problem.remedy)
    yield from _check_patterns(location, text, promise)


def _check_patterns(location: str, text: str, promise: ResidencyPromise) -> Iterator[Violation]:
    for found in _ANY_PROFILE.finditer(text):
        if promise.models is Residency.GLOBAL:
            continue
        inside = JURISDICTION_OF_PREFIX.get(found["prefix"] or "") is promise.jurisdiction
        if not inside or promise.models is Residency.REGION:
            yield Violation(
                location,
                f"{found.group()} is a pattern of profiles that may be computed anywhere.",
                "Name the profiles that are used.",
            )


def _without_bill(kind: str, properties: Properties) -> Properties:
    """Return a dashboard without its graphs of the bill, which is kept in one region alone.

    It is sums of money, and nobody's data.
    """
    if kind != "AWS::CloudWatch::Dashboard":
        return properties
    try:
        body = json.loads(text_of(properties.get("DashboardBody", "")))
        body["widgets"] = [it for it in body["widgets"] if not _shows_bill(it)]
    except (json.JSONDecodeError, KeyError, TypeError):
        return properties
    return {**properties, "DashboardBody": json.dumps(body)}


def _shows_bill(widget: Mapping[str, Any]) -> bool:
    properties = widget.get("properties", {})
    rows = properties.get("metrics", [])
    return (
        properties.get("region") == BILLING_REGION
        and bool(rows)
        and all(_is_of_bill(row) for row in rows)
    )


def _is_of_bill(row: list[Any]) -> bool:
    first = row[0]
    if not isinstance(first, Mapping):
        return bool(first == "AWS/Billing")
    schemas = re.findall(r"\{([^,}]+)", first.get("expression", ""))
    return bool(schemas) and set(schemas) == {"AWS/Billing"}


def _check_kind(kind: str, properties: Properties) -> Iterator[Violation]:
    if kind in _EDGE:
        yield Violation("Type", _EDGE[kind], "Serve from the environment's own region.")
    if kind in _KINDS:
        yield from _KINDS[kind](properties)


def _key(properties: Properties) -> Iterator[Violation]:
    if properties.get("MultiRegion") is True:
        yield Violation(
            "MultiRegion",
            "A multi-Region key can be copied to any region by whoever may replicate it.",
            "Leave it out: copies of data have keys of their own.",
        )


def _api(properties: Properties) -> Iterator[Violation]:
    # Left out, it is EDGE:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-endpoint-types.html
    types = properties.get("EndpointConfiguration", {}).get("Types", ["EDGE"])
    if "EDGE" in types:
        yield Violation(
            "EndpointConfiguration.Types",
            "Edge-optimised endpoints take requests in at edge locations worldwide.",
            'Write ["REGIONAL"] or ["PRIVATE"].',
        )


def _firewall(properties: Properties) -> Iterator[Violation]:
    if properties.get("Scope") == "CLOUDFRONT":
        yield Violation(
            "Scope", "It filters and logs at edge locations worldwide.", "Write REGIONAL."
        )


def _bucket(properties: Properties) -> Iterator[Violation]:
    acceleration = properties.get("AccelerateConfiguration", {})
    if acceleration.get("AccelerationStatus") == "Enabled":
        yield Violation(
            "AccelerateConfiguration",
            "Transfer Acceleration takes objects in at edge locations worldwide.",
            "Leave it out.",
        )


_KINDS: Final[Mapping[str, Callable[[Properties], Iterator[Violation]]]] = {
    "AWS::ApiGateway::DomainName": _api,
    "AWS::ApiGateway::RestApi": _api,
    "AWS::KMS::Key": _key,
    "AWS::S3::Bucket": _bucket,
    "AWS::WAFv2::WebACL": _firewall,
}
