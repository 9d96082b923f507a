"""Roles that may use data under a key of the account, and must be able to use the key as well.

AWS refuses them otherwise, at the first call and in no template: the service asks KMS in the name
of whoever calls it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ops.permissions.pattern import overlap
from ops.permissions.resolution import Resolution
from ops.permissions.statement import PolicyKind, Statement, environment_of
from ops.references import Reference, qualified

_READS: Final = ("kms:Decrypt",)
_WRITES: Final = ("kms:GenerateDataKey",)
_BOTH: Final = (*_WRITES, *_READS)


@dataclass(frozen=True)
class Store:
    """What holds data: where its key stands, and what callers need the key for."""

    service: str
    key: tuple[str | int, ...]
    """The path of the key's id in the properties."""
    arn: str
    """The attribute with the ARN, "" for ``Ref``."""
    needs: Mapping[str, tuple[str, ...]]
    """What KMS is asked for by an action."""
    of_objects: bool = False
    """Whether its actions name what is in it, and not itself."""


STORES: Final[Mapping[str, Store]] = {
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
    "AWS::DynamoDB::Table": Store(
        "dynamodb",
        ("SSESpecification", "KMSMasterKeyId"),
        "Arn",
        {f"dynamodb:{name}": _READS for name in ("GetItem", "PutItem", "Query", "UpdateItem")},
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    "AWS::S3::Bucket": Store(
        "s3",
        (
            *("BucketEncryption", "ServerSideEncryptionConfiguration", 0),
            *("ServerSideEncryptionByDefault", "KMSMasterKeyID"),
        ),
        "Arn",
        {"s3:GetObject": _READS, "s3:PutObject": _WRITES},
        of_objects=True,
    ),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "AWS::SNS::Topic": Store("sns", ("KmsMasterKeyId",), "", {"sns:Publish": _BOTH}),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    "AWS::SQS::Queue": Store(
        "sqs", ("KmsMasterKeyId",), "Arn", {"sqs:ReceiveMessage": _READS, "sqs:SendMessage": _BOTH}
    ),
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    "AWS::SecretsManager::Secret": Store(
        "secretsmanager",
        ("KmsKeyId",),
        "",
        {"secretsmanager:GetSecretValue": _READS, "secretsmanager:PutSecretValue": _BOTH},
    ),
}
"""By type of resource."""


@dataclass(frozen=True)
class _Data:
    name: str
    store: Store
    arn: str
    key: str


def problems(resolution: Resolution, found: Iterable[Statement]) -> Iterator[str]:
    """Yield a sentence for each role that would be refused because of a key.

    ``found`` are the statements of the templates. Roles are compared with the data of their own
    environment. What a key's own policy says of a role is not read: keys of this project leave that
    to the policies of roles.
    """
    by_environment: defaultdict[str, list[_Data]] = defaultdict(list)
    for environment, data in _all_data(resolution):
        by_environment[environment].append(data)
    for (stack, role), allowed in _by_role(resolution, found).items():
        for data in by_environment[environment_of(stack)]:
            for action, needed in data.store.needs.items():
                if not any(_reaches(each, data, action) for each in allowed):
                    continue
                missing = [it for it in needed if not _may(allowed, it, data)]
                if missing:
                    yield (
                        f"{stack}/{role}: It may call {action} on {data.name}, but not "
                        f"{' and '.join(missing)} with its key, so that every call is refused. "
                        f"Allow both, through {data.store.service}."
                    )


def _all_data(resolution: Resolution) -> Iterator[tuple[str, _Data]]:
    for stack, template in resolution.templates.items():
        for logical_id, resource in template.get("Resources", {}).items():
            store = STORES.get(resource["Type"])
            if store is None:
                continue
            key = _at(resource.get("Properties", {}), store.key)
            if key is None:
                continue
            arn = resolution.reference(Reference(stack, logical_id, store.arn))
            yield (
                environment_of(stack),
                _Data(f"{stack}/{logical_id}", store, arn, resolution.text(key, stack)),
            )


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _by_role(
    resolution: Resolution, found: Iterable[Statement]
) -> dict[tuple[str, str], list[Statement]]:
    """Return what is allowed to each role of a template, by stack and logical id."""
    roles: defaultdict[tuple[str, str], list[Statement]] = defaultdict(list)
    for statement in found:
        if statement.kind is not PolicyKind.IDENTITY or not statement.allows:
            continue
        resource = resolution.templates[statement.stack]["Resources"][statement.logical_id]
        for stack, role in _holders(resource, statement, resolution):
            roles[stack, role].append(statement)
    return roles


def _holders(
    resource: Mapping[str, Any], statement: Statement, resolution: Resolution
) -> Iterator[tuple[str, str]]:
    if resource["Type"] == "AWS::IAM::Role":
        yield statement.stack, statement.logical_id
        return
    named = qualified(
        resource.get("Properties", {}).get("Roles", []), statement.stack, resolution.templates
    )
    for reference in named:
        if isinstance(reference, Reference):
            yield reference.stack, reference.logical_id


def _reaches(statement: Statement, data: _Data, action: str) -> bool:
    # A bare `*` is about what the role cannot name; what it is allowed there is asked elsewhere.
    wanted: Callable[[str], bool] = (
        (lambda arn: arn.startswith(f"{data.arn}/"))
        if data.store.of_objects
        else (lambda arn: arn != "*" and overlap(arn, data.arn))
    )
    return any(overlap(each.lower(), action.lower()) for each in statement.actions) and any(
        wanted(resource) for resource in statement.resources
    )


def _may(allowed: Iterable[Statement], action: str, data: _Data) -> bool:
    return any(
        any(overlap(each.lower(), action.lower()) for each in statement.actions)
        and any(overlap(resource, data.key) for resource in statement.resources)
        and _holds(statement, data.store.service)
        for statement in allowed
    )


def _holds(statement: Statement, service: str) -> bool:
    """Whether a request that ``service`` makes for its caller can meet the conditions.

    What it tells KMS of the data begins with its own name, as in ``aws:sns:topicArn``.
    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
    """
    for keys in statement.conditions.values():
        for key, values in keys.items():
            if key == "kms:ViaService" and not any(it.startswith(f"{service}.") for it in values):
                return False
            if key == "kms:GrantIsForAWSResource":
                return False
            context = key.removeprefix("kms:EncryptionContext:")
            if context != key and not context.lower().startswith(f"aws:{service}:"):
                return False
    return True
