"""Tags that every resource bears which can bear any."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from llm_constructs.template_violation import Properties, Violation

UNTAGGABLE: Final = frozenset(
    {
        "AWS::ApiGateway::Account",
        "AWS::ApiGateway::Authorizer",
        "AWS::ApiGateway::BasePathMapping",
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::DocumentationPart",
        "AWS::ApiGateway::GatewayResponse",
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::Model",
        "AWS::ApiGateway::RequestValidator",
        "AWS::ApiGateway::Resource",
        "AWS::ApiGateway::UsagePlanKey",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::AutoScaling::LifecycleHook",
        "AWS::Bedrock::GuardrailVersion",
        "AWS::CloudFormation::WaitCondition",
        "AWS::CloudFormation::WaitConditionHandle",
        "AWS::Cognito::UserPoolClient",
        "AWS::Cognito::UserPoolDomain",
        "AWS::Cognito::UserPoolGroup",
        "AWS::Config::ConfigRule",
        "AWS::EC2::EIPAssociation",
        "AWS::EC2::GatewayRouteTableAssociation",
        "AWS::EC2::NetworkAclEntry",
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SubnetNetworkAclAssociation",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ECS::ClusterCapacityProviderAssociations",
        "AWS::ElasticLoadBalancingV2::ListenerCertificate",
        "AWS::Events::EventBusPolicy",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::Policy",
        "AWS::KMS::Alias",
        "AWS::Kendra::AccessControlConfiguration",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::LayerVersionPermission",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Url",
        "AWS::Lambda::Version",
        "AWS::Logs::LogStream",
        "AWS::Logs::MetricFilter",
        "AWS::Logs::QueryDefinition",
        "AWS::Logs::ResourcePolicy",
        "AWS::Logs::SubscriptionFilter",
        "AWS::OpenSearchServerless::AccessPolicy",
        "AWS::OpenSearchServerless::LifecyclePolicy",
        "AWS::OpenSearchServerless::SecurityPolicy",
        "AWS::Route53::RecordSet",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::TopicInlinePolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueueInlinePolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::SageMaker::ModelPackage",
        "AWS::Scheduler::Schedule",
        "AWS::SecretsManager::ResourcePolicy",
        "AWS::SecretsManager::RotationSchedule",
        "AWS::SecretsManager::SecretTargetAttachment",
        "AWS::WAFv2::LoggingConfiguration",
        "AWS::WAFv2::WebACLAssociation",
    }
)
"""Types that bear no tags, by their schemas in CloudFormation's registry."""

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
            "cannot bear any belongs in UNTAGGABLE.",
        )


def _keys(tags: Any) -> set[str]:
    if isinstance(tags, Mapping):
        return set(tags)
    keys: set[str] = set()
    for tag in tags:
        # A launch template has lists of tags by the resource that they are for.
        keys |= _keys(tag["Tags"]) if "Tags" in tag else {tag.get("Key", "")}
    return keys
