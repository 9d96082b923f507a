"""The architecture as it is synthesised: stacks, their resources, and who takes from whom."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.assembly import AssemblyError, SynthesisedStack, stacks
from ops.snapshot import Template
from ops.stateful import STATEFUL_TYPES

# What another resource needs and nobody asks for by itself.
_SUPPORTING = frozenset(
    {
        "AWS::ApiGateway::Account",
        "AWS::ApiGateway::ApiKey",
        "AWS::ApiGateway::Authorizer",
        "AWS::ApiGateway::BasePathMapping",
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::GatewayResponse",
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::RequestValidator",
        "AWS::ApiGateway::Resource",
        "AWS::ApiGateway::UsagePlanKey",
        "AWS::CDK::Metadata",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::KMS::Alias",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::ResourcePolicy",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
    }
)

# What almost every stack has besides its purpose.
_EVERYDAY = frozenset({"AWS::EC2::EIP", "AWS::KMS::Key", "AWS::Logs::LogGroup"})

_MOST_KINDS = 7
"""Kinds of resources that a picture names for one stack; the rest it counts."""

# `DBCluster` is DB Cluster, `VPCEndpoint` is VPC Endpoint, `GlobalTable` is Global Table.
_WORD = re.compile(r"[A-Z]{2,}(?=[A-Z][a-z])|[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")
# Their resources are known by their own names.
_UNNAMED_SERVICES = frozenset({"EC2", "Logs"})
_SERVICES = {
    "ApiGateway": "API Gateway",
    "ApiGatewayV2": "API Gateway",
    "Budgets": "",
    "CE": "cost",
    "CertificateManager": "ACM",
    "Config": "",
    "ElasticLoadBalancingV2": "",
    "SecretsManager": "Secrets Manager",
    "StepFunctions": "",
}
_ACRONYMS = {"acl": "ACL", "api": "API", "nat": "NAT"}


@dataclass(frozen=True)
class StackSummary:
    """One stack: ``kinds`` are readable (``4 S3 buckets``), most important first."""

    name: str
    description: str
    region: str
    protected: bool
    kinds: tuple[str, ...]
    others: int
    """Resources that ``kinds`` leaves out."""
    resources: int


@dataclass(frozen=True, order=True)
class Dependency:
    """``consumer`` is deployed after ``producer`` and takes ``values`` of its outputs."""

    producer: str
    consumer: str
    values: int


@dataclass(frozen=True)
class Architecture:
    """What one environment's assembly makes. Stacks are in the order of deployment."""

    environment: str
    region: str
    stacks: tuple[StackSummary, ...]
    dependencies: tuple[Dependency, ...]


def read_architecture(assembly: Path, environment: str) -> Architecture:
    """Return the architecture of ``environment`` from the cloud assembly in ``assembly``.

    Raises :class:`~ops.assembly.AssemblyError` where that holds nothing of the environment.
    """
    prefix = f"llm-{environment}-"
    found = {stack.name: stack for stack in stacks(assembly) if stack.name.startswith(prefix)}
    if not found:
        raise AssemblyError(
            f"env = {environment!r}: {assembly} holds no stack of it. Run `make synth`."
        )
    templates = {name: stack.template for name, stack in found.items()}
    regions = Counter(stack.region for stack in found.values())
    return Architecture(
        environment=environment,
        region=regions.most_common(1)[0][0],
        stacks=tuple(
            _summary(name.removeprefix(prefix), stack, templates[name])
            for name, stack in found.items()
        ),
        dependencies=tuple(
            sorted(
                Dependency(
                    producer.removeprefix(prefix),
                    consumer.removeprefix(prefix),
                    len(_values(templates[consumer], producer)),
                )
                for consumer, stack in found.items()
                for producer in stack.dependencies
                if producer in found
            )
        ),
    )


def readable_kind(resource_type: str, number: int) -> str:
    """Return ``number`` and the kind in words: ``2 S3 buckets`` for ``AWS::S3::Bucket``."""
    _, _, rest = resource_type.partition("::")
    service, _, name = rest.partition("::")
    found = _WORD.findall(name or service)
    words = [word if word.isupper() else _lower(word) for word in found]
    known = _SERVICES.get(service, service)
    prefix = [] if service in _UNNAMED_SERVICES or not known or not name else [known]
    noun = words[-1] if number == 1 else _plural(words[-1])
    return " ".join([str(number), *prefix, *words[:-1], noun])


def _lower(word: str) -> str:
    return _ACRONYMS.get(word.lower(), word.lower())


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch")) else f"{noun}s"


def _summary(name: str, stack: SynthesisedStack, template: Template) -> StackSummary:
    counts = Counter(resource["Type"] for resource in template.get("Resources", {}).values())
    shown = sorted(_main_types(counts), key=lambda kind: _importance(kind, counts))[:_MOST_KINDS]
    return StackSummary(
        name=name,
        # Before the colon, it names the platform and the environment.
        description=template.get("Description", "").rpartition(": ")[2],
        region=stack.region,
        protected=stack.termination_protection,
        kinds=tuple(readable_kind(kind, counts[kind]) for kind in shown),
        others=counts.total() - sum(counts[kind] for kind in shown),
        resources=counts.total(),
    )


def _main_types(types: Mapping[str, int]) -> Iterator[str]:
    for resource_type in types:
        if resource_type not in _SUPPORTING and not resource_type.startswith("Custom::"):
            yield resource_type


def _importance(resource_type: str, counts: Mapping[str, int]) -> tuple[bool, int, int, str]:
    stateful = list(STATEFUL_TYPES)
    rank = stateful.index(resource_type) if resource_type in stateful else len(stateful)
    return resource_type in _EVERYDAY, rank, -counts[resource_type], resource_type


def _values(value: Any, producer: str) -> set[str]:
    """Return the names of the outputs of ``producer`` that ``value`` takes."""
    if isinstance(value, list):
        return set().union(*(_values(item, producer) for item in value))
    if not isinstance(value, Mapping):
        return set()
    found = set().union(*(_values(item, producer) for item in value.values()))
    taken = value.get("Fn::GetStackOutput")
    if isinstance(taken, Mapping) and taken.get("StackName") == producer:
        found.add(str(taken.get("OutputName")))
    return found
