"""The text that a value of a template has once it is deployed, as far as policies need it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.assembly import SynthesisedStack
from ops.references import Reference, qualified

ARNS = {
    ("AWS::APS::Workspace", "Arn"): "aps:{region}:{account}:workspace/{name}",
    ("AWS::Bedrock::Guardrail", "GuardrailArn"): "bedrock:{region}:{account}:guardrail/{id}",
    ("AWS::DynamoDB::Table", "Arn"): "dynamodb:{region}:{account}:table/{name}",
    ("AWS::ECS::Cluster", "Arn"): "ecs:{region}:{account}:cluster/{name}",
    ("AWS::EKS::Cluster", "Arn"): "eks:{region}:{account}:cluster/{name}",
    ("AWS::EKS::Nodegroup", "Arn"): "eks:{region}:{account}:nodegroup/cluster/{name}/0",
    ("AWS::IAM::InstanceProfile", "Arn"): "iam::{account}:instance-profile/{name}",
    ("AWS::IAM::Role", "Arn"): "iam::{account}:role/{name}",
    ("AWS::KMS::Key", "Arn"): "kms:{region}:{account}:key/{name}",
    ("AWS::Lambda::Alias", ""): "lambda:{region}:{account}:function:{name}:live",
    ("AWS::Lambda::Function", "Arn"): "lambda:{region}:{account}:function:{name}",
    ("AWS::Logs::LogGroup", "Arn"): "logs:{region}:{account}:log-group:{name}:*",
    ("AWS::S3::Bucket", "Arn"): "s3:::{name}",
    ("AWS::SNS::Topic", ""): "sns:{region}:{account}:{name}",
    ("AWS::SQS::Queue", "Arn"): "sqs:{region}:{account}:{name}",
    ("AWS::SageMaker::Cluster", "ClusterArn"): "sagemaker:{region}:{account}:cluster/{id}",
    ("AWS::SecretsManager::Secret", ""): "secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
    ("AWS::Batch::JobDefinition", ""): "batch:{region}:{account}:job-definition/{name}:1",
    ("AWS::Batch::JobQueue", "JobQueueArn"): "batch:{region}:{account}:job-queue/{name}",
    ("AWS::ECR::Repository", "Arn"): "ecr:{region}:{account}:repository/{name}",
    ("AWS::StepFunctions::StateMachine", ""): "states:{region}:{account}:stateMachine:{name}",
    ("AWS::StepFunctions::StateMachine", "Arn"): "states:{region}:{account}:stateMachine:{name}",
}
"""What follows ``arn:PARTITION:`` in the ARN that a reference returns, by type and attribute.

Source: the "Return values" of each type in
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
and the resource types of https://docs.aws.amazon.com/service-authorization/latest/reference/. A
group of logs is the one whose ARN ends in ``:*``.
"""

VALUES = {
    ("AWS::Bedrock::Guardrail", "GuardrailId"): "{id}",
    ("AWS::Bedrock::GuardrailVersion", "Version"): "1",
}
"""What other references return whose form services check. ``id``: the logical id, in lower case."""

NAMES = (
    *("BucketName", "FunctionName", "LogGroupName", "Name", "QueueName"),
    *("RepositoryName", "RoleName", "TableName", "TopicName"),
)
"""Properties that hold a physical name."""


class ResolutionError(Exception):
    """A value of a policy has no text that is known before the deployment; it says which."""


@dataclass(frozen=True)
class Resolution:
    """Resolves the values of templates. Resources without a name are called by their logical id."""

    stacks: Mapping[str, SynthesisedStack]
    templates: Mapping[str, Mapping[str, Any]]

    def text(self, value: Any, stack: str) -> str:
        """Return the text of a value that the template of ``stack`` holds.

        Raises :class:`ResolutionError` for functions, and for ARNs of types, that are not known.
        """
        return self._joined(qualified(value, stack, self.templates), stack)

    def reference(self, reference: Reference) -> str:
        """Return what a reference returns once its resource is made.

        Raises :class:`ResolutionError` for ARNs of types that are not in :data:`ARNS`.
        """
        stack = self.stacks[reference.stack]
        resource = self.templates[reference.stack]["Resources"].get(reference.logical_id)
        if resource is None:
            return reference.logical_id
        kind = (resource["Type"], reference.attribute)
        name, identifier = self._name(resource, reference), reference.logical_id.lower()
        if kind in VALUES:
            return VALUES[kind].format(id=identifier)
        if kind in ARNS:
            return f"arn:{stack.partition}:" + ARNS[kind].format(
                region=stack.region, account=stack.account, name=name, id=identifier
            )
        if reference.attribute.endswith("Arn"):
            raise ResolutionError(
                f"{reference}: The form of {resource['Type']}'s {reference.attribute} is not "
                "known. Add it to ARNS in ops/permissions/resolution.py."
            )
        return name

    def _name(self, resource: Mapping[str, Any], reference: Reference) -> str:
        properties = resource.get("Properties", {})
        given = [properties[name] for name in NAMES if isinstance(properties.get(name), str)]
        return given[0] if given else reference.logical_id

    def _joined(self, value: Any, stack: str) -> str:
        match value:
            case str() | int() | float():
                return str(value)
            case Reference():
                return self.reference(value)
            case {"Ref": str() as pseudo} if pseudo.startswith("AWS::"):
                return self._pseudo(pseudo, stack)
            case {"Fn::Join": [str() as separator, list() as parts]}:
                return separator.join(self._joined(part, stack) for part in parts)
            case {"Fn::Select": [index, {"Fn::Split": [separator, whole]}]}:
                return self._joined(whole, stack).split(separator)[int(index)]
            case {"Fn::Sub": [list() as texts, list() as names]}:
                names = [self._substituted(name, stack) for name in names]
                return "".join(t + n for t, n in zip(texts, [*names, ""], strict=True))
        raise ResolutionError(f"{stack}: {value!r} cannot be resolved before the deployment.")

    def _substituted(self, name: Any, stack: str) -> str:
        if isinstance(name, str) and name.startswith("AWS::"):
            return self._pseudo(name, stack)
        return self._joined(name, stack)

    def _pseudo(self, name: str, stack: str) -> str:
        where = self.stacks[stack]
        return {
            "AWS::AccountId": where.account,
            "AWS::Partition": where.partition,
            "AWS::Region": where.region,
            "AWS::StackName": where.name,
            "AWS::URLSuffix": "amazonaws.com",
        }[name]
