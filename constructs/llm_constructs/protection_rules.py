"""Rules for protection that can be left out without anything else noticing.

docs/planted-faults.md says which mistakes were found by no other check; each has a rule here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from llm_constructs.specs.model_server import SHORTEST_IDLE_TIMEOUT
from llm_constructs.template_violation import Properties, Rule, Violation

_AWS_DEFAULT_IDLE_TIMEOUT = 60
"""Seconds. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html"""


def needs(location: str, reason: str, remedy: str, *, wanted: object = None) -> Rule:
    """Return a rule that refuses resources without the property at ``location``, a dotted path.

    With ``wanted``, the property must have that value. Values that only the deployment knows pass.
    """

    def rule(properties: Properties) -> Iterator[Violation]:
        value: Any = properties
        for part in location.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        known = not isinstance(value, Mapping)
        if not value or (wanted is not None and known and value != wanted):
            yield Violation(location, reason, remedy)

    return rule


def encrypted_lustre(properties: Properties) -> Iterator[Violation]:
    """Refuse persistent file systems under a key of AWS's; scratch ones take no other."""
    kind = properties.get("LustreConfiguration", {}).get("DeploymentType", "")
    if str(kind).startswith("PERSISTENT") and not properties.get("KmsKeyId"):
        yield Violation(
            "KmsKeyId", "The data lies under a key of AWS's.", "Name a key of the account."
        )


def guarded_launch(properties: Properties) -> Iterator[Violation]:
    """Refuse launch templates with clear disks, or whose instances tell their role too easily."""
    data = properties.get("LaunchTemplateData", {})
    for place, mapping in enumerate(data.get("BlockDeviceMappings", ())):
        if "Ebs" in mapping and not mapping["Ebs"].get("Encrypted"):
            yield Violation(
                f"LaunchTemplateData.BlockDeviceMappings.{place}.Ebs.Encrypted",
                "The disk is not encrypted.",
                "Set Encrypted to true, with a key of the account.",
            )
    if data.get("MetadataOptions", {}).get("HttpTokens") != "required":
        yield Violation(
            "LaunchTemplateData.MetadataOptions.HttpTokens",
            "One request, without a token, returns the credentials of the instance's role.",
            'Set it to "required".',
        )


def private_api_server(properties: Properties) -> Iterator[Violation]:
    """Refuse API servers that the whole internet reaches; without a word EKS makes them so."""
    network = properties.get("ResourcesVpcConfig", {})
    public = network.get("EndpointPublicAccess", True)
    blocks = network.get("PublicAccessCidrs") or ["0.0.0.0/0"]
    if public is True and "0.0.0.0/0" in blocks:
        yield Violation(
            "ResourcesVpcConfig.EndpointPublicAccess",
            "Everybody on the internet may try to log in.",
            "Set it to false, or name the PublicAccessCidrs.",
        )


def closed_to_strangers(document: str) -> Rule:
    """Return a rule that refuses policies which let anybody in, without a condition.

    ``document`` is the property that holds the policy.
    """

    def rule(properties: Properties) -> Iterator[Violation]:
        policy = properties.get(document)
        found = policy.get("Statement", ()) if isinstance(policy, Mapping) else ()
        for place, statement in enumerate([found] if isinstance(found, Mapping) else found):
            if statement.get("Effect") != "Allow" or statement.get("Condition"):
                continue
            if _is_anybody(statement.get("Principal")):
                yield Violation(
                    f"{document}.Statement.{place}.Principal",
                    "Everybody with an AWS account, or without one, is let in.",
                    "Name who is meant, or say in a condition who of them.",
                )

    return rule


def _is_anybody(principal: Any) -> bool:
    named = principal.get("AWS") if isinstance(principal, Mapping) else principal
    return "*" in (named if isinstance(named, list) else [named])


def authorised_method(properties: Properties) -> Iterator[Violation]:
    """Refuse methods without an authoriser, except those that only read."""
    if properties.get("AuthorizationType", "NONE") == "NONE" and properties.get(
        "HttpMethod"
    ) not in {"GET", "HEAD", "OPTIONS"}:
        yield Violation(
            "AuthorizationType",
            "Nobody is asked for a key, and whoever calls makes the owner pay.",
            "Give the method an authoriser.",
        )


def authorised_address(properties: Properties) -> Iterator[Violation]:
    """Refuse addresses of functions that ask nobody who calls."""
    if properties.get("AuthType") != "AWS_IAM":
        yield Violation(
            "AuthType",
            "Everybody calls the function, past the API, its keys and its firewall.",
            "Set it to AWS_IAM, or remove the address.",
        )


def patient_load_balancer(properties: Properties) -> Iterator[Violation]:
    """Refuse load balancers that hang up on a model which is still reading its prompt."""
    if properties.get("Type", "application") != "application":
        return
    given = {it["Key"]: it["Value"] for it in properties.get("LoadBalancerAttributes", ())}
    seconds = given.get("idle_timeout.timeout_seconds", _AWS_DEFAULT_IDLE_TIMEOUT)
    if not isinstance(seconds, Mapping) and int(seconds) < SHORTEST_IDLE_TIMEOUT:
        yield Violation(
            "LoadBalancerAttributes",
            f"A connection may be silent for {seconds} s, and a long prompt has no first token "
            "by then.",
            f"Set idle_timeout.timeout_seconds to {SHORTEST_IDLE_TIMEOUT} or more.",
        )


_OWN_KEY = "A key of AWS's does not let the account withdraw access to the data."
_NAME_KEY = "Name a key of the account."

PROTECTION_RULES: Mapping[str, tuple[Rule, ...]] = {
    "AWS::ApiGateway::Method": (authorised_method,),
    "AWS::DynamoDB::Table": (needs("SSESpecification.KMSMasterKeyId", _OWN_KEY, _NAME_KEY),),
    "AWS::EC2::LaunchTemplate": (guarded_launch,),
    "AWS::EKS::Cluster": (
        needs("EncryptionConfig", "etcd keeps secrets without a key of the account.", _NAME_KEY),
        private_api_server,
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (patient_load_balancer,),
    "AWS::FSx::FileSystem": (encrypted_lustre,),
    "AWS::KMS::Key": (closed_to_strangers("KeyPolicy"),),
    "AWS::Lambda::Url": (authorised_address,),
    "AWS::S3::Bucket": (
        needs(
            "BucketEncryption",
            "Nothing says which key its objects are under.",
            "Name the account's key, or S3's own where a service that writes there takes no other.",
        ),
    ),
    "AWS::S3::BucketPolicy": (closed_to_strangers("PolicyDocument"),),
    "AWS::SNS::TopicPolicy": (closed_to_strangers("PolicyDocument"),),
    "AWS::SQS::Queue": (needs("KmsMasterKeyId", _OWN_KEY, _NAME_KEY),),
    "AWS::SQS::QueuePolicy": (closed_to_strangers("PolicyDocument"),),
}
"""The rules by the type of resource that they look at."""


def missing_tags(resources: Mapping[str, Any]) -> Iterator[tuple[str, Violation]]:
    """Yield, with its logical id, each resource without a tag that most of its template has.

    The CDK gives every resource the stack's tags; one that lacks them was changed by hand, and
    belongs to nobody's budget.
    """
    tagged = {
        logical_id: {(tag["Key"], str(tag["Value"])) for tag in resource["Properties"]["Tags"]}
        for logical_id, resource in resources.items()
        if isinstance(resource.get("Properties", {}).get("Tags"), list)
    }
    # Tags of the stack have one value in it; names of single resources have many.
    counted = Counter(tag for tags in tagged.values() for tag in tags)
    common = {tag for tag, count in counted.items() if count * 2 > len(tagged)}
    for logical_id, tags in sorted(tagged.items()):
        missing = sorted(key for key, _ in common - tags)
        if missing:
            yield (
                logical_id,
                Violation(
                    "Tags",
                    f"It lacks {', '.join(missing)}, which the others have.",
                    "Leave the tags of the stack in place.",
                ),
            )
