"""Wildcards in what policies allow, each with the reason that somebody wrote for it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ops.assembly import Finding
from ops.permissions.statement import PolicyKind, Statement

RULE = re.compile(r"AwsSolutions-IAM5\[(?:Action|Resource)::(?P<pattern>.*)\]")
"""How cdk-nag names a wildcard in a policy of a role; the code acknowledges it with a reason."""

REASONS: Mapping[tuple[str, str], str] = {
    ("AWS::KMS::Key", "*"): "In a key's policy, `*` is the key that holds the policy.",
    ("AWS::KMS::Key", "kms:*"): (
        "The account's administrators keep the key manageable; IAM's policies decide who they are. "
        "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html"
    ),
    ("AWS::KMS::Key", "kms:Decrypt*"): (
        "The CDK writes it for the encrypted logs of state machines, whose delivery asks for "
        "kms:Decrypt, the one action that it matches."
    ),
    ("AWS::KMS::Key", "kms:GenerateDataKey*"): (
        "Both variants of one action, with and without the plaintext key."
    ),
    ("AWS::KMS::Key", "kms:ReEncrypt*"): (
        "kms:ReEncryptFrom and kms:ReEncryptTo, which are always called together."
    ),
    ("AWS::EC2::VPCEndpoint", "*"): (
        "An endpoint grants nothing. Its policy narrows what roles may do, here to principals of "
        "this account and, for S3, to buckets of this account."
    ),
    ("AWS::EC2::VPCEndpoint", "s3:*"): (
        "An endpoint grants nothing. Roles decide on actions; the conditions keep data in buckets "
        "of this account."
    ),
    ("AWS::EC2::VPCEndpoint", "arn:*"): (
        "AWS's own buckets with packages and images, which are read only. Their names are AWS's."
    ),
    ("AWS::S3::BucketPolicy", "arn:*"): (
        "Objects that AWS's log delivery writes under a prefix of the one bucket that holds the "
        "policy."
    ),
}
"""Why wildcards in policies of resources are needed, by the resource's type and their pattern."""


@dataclass(frozen=True)
class Wildcard:
    """One `*` that a statement allows. ``reason`` is empty where nobody gave one."""

    statement: Statement
    pattern: str
    reason: str


def wildcards(statements: Iterable[Statement], findings: Iterable[Finding]) -> Iterator[Wildcard]:
    """Yield every wildcard in what the statements allow.

    Reasons for those of roles are in the acknowledged ``findings`` of cdk-nag; those of resources'
    policies, which cdk-nag does not look at, are in :data:`REASONS`.
    """
    accepted: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for finding in findings:
        matched = RULE.fullmatch(finding.rule)
        if matched and finding.reason:
            accepted.setdefault(finding.construct_path, []).append(
                (_any_reference(matched["pattern"]), finding.reason)
            )
    for statement in statements:
        if not statement.allows or statement.kind is PolicyKind.TRUST:
            continue
        for pattern in _wild(statement):
            if statement.kind is PolicyKind.IDENTITY:
                reasons = accepted.get(statement.construct_path, ())
                reason = next((r for known, r in reasons if known.fullmatch(pattern)), "")
            else:
                reason = _reason_of_resource(statement.resource_type, pattern)
            yield Wildcard(statement, pattern, reason)


def _wild(statement: Statement) -> Iterator[str]:
    for pattern in (*statement.actions, *statement.resources):
        # Streams of one log group, which is what CloudFormation returns as the group's ARN.
        if "*" in re.sub(r"(:log-group:[^*]+):\*$", r"\1", pattern):
            yield pattern


def _any_reference(pattern: str) -> re.Pattern[str]:
    """Return cdk-nag's pattern with any text in the place of what it could not resolve."""
    known = re.split(r"<[^>]*>|\{.*\}", pattern)
    return re.compile(".*".join(re.escape(part) for part in known))


def _reason_of_resource(kind: str, pattern: str) -> str:
    exact = REASONS.get((kind, pattern))
    if exact or not pattern.startswith("arn:"):
        return exact or ""
    return REASONS.get((kind, "arn:*"), "")
