"""The audit of policies: clean on every template, and it finds what it is for."""

from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.assembly import SynthesisedStack, findings
from ops.permissions import audit, encrypted_data
from ops.permissions.page import PermissionReport, problems
from ops.permissions.pattern import names_type, overlap
from ops.permissions.resolution import Resolution, ResolutionError
from ops.permissions.statement import Statement, statements
from ops.permissions.wildcard import REASONS, Wildcard, wildcards
from tests.assembly import Assembly

STACK = SynthesisedStack("llm-test-data", "111111111111", "us-east-2", Path(), (), False)
BUCKET = {"Bucket": {"Type": "AWS::S3::Bucket"}}
ARN = {"Fn::GetAtt": ["Bucket", "Arn"]}
OBJECTS = {"Fn::Join": ["", [ARN, "/*"]]}


@pytest.fixture(scope="session")
def report(assembly: Assembly) -> PermissionReport:
    return PermissionReport(assembly.directory)


@pytest.mark.synth
def test_every_action_exists_and_every_statement_can_match(report: PermissionReport) -> None:
    assert len(report.statements) > 400
    assert report.problems() == []


@pytest.mark.synth
def test_every_wildcard_has_a_reason_and_every_reason_a_wildcard(report: PermissionReport) -> None:
    reasons = {each.reason for each in report.wildcards}
    assert "" not in reasons
    assert set(REASONS.values()) <= reasons


@pytest.mark.synth
def test_resources_that_the_reference_leaves_out_are_still_left_out_and_used(
    report: PermissionReport,
) -> None:
    for action, form in audit.UNLISTED_RESOURCES:
        entry = audit.known_actions(action)[action]
        kind = form.rsplit(":", 1)[1].split("/")[0]
        assert kind not in entry["resource_types"]
        assert any(
            names_type(resource, form)
            for each in report.statements
            if action in each.actions
            for resource in each.resources
        )


def test_newer_actions_are_operations_that_the_reference_does_not_list_yet() -> None:
    for action in audit.NEWER_ACTIONS:
        service, operation = action.split(":")
        model = botocore.session.get_session().get_service_model(service)
        assert operation in model.operation_names
        assert audit.known_actions(action) == {}


def of(*raw: dict[str, Any], kind: str = "AWS::IAM::Policy") -> list[Statement]:
    document = {"PolicyDocument": {"Statement": list(raw)}}
    resources = {**BUCKET, "Policy": {"Type": kind, "Properties": document}}
    return list(statements(Resolution({STACK.name: STACK}, {STACK.name: {"Resources": resources}})))


def allow(action: str, resource: Any = OBJECTS, **members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **members}


WRONG = {
    "no such action": (allow("s3:FetchObject"), "The action s3:FetchObject does not exist"),
    "no such service": (allow("bucket:Get"), "The action bucket:Get does not exist"),
    "an API's name for an action": (allow("bedrock:Converse", "*"), "bedrock:Converse does not"),
    "no match for a wildcard": (allow("s3:Fetch*"), "The action s3:Fetch\\* does not exist"),
    "objects for an action of buckets": (
        allow("s3:ListBucket"),
        "never matches s3:ListBucket",
    ),
    "a bucket for an action of objects": (
        allow("s3:GetObject", ARN),
        "never matches s3:GetObject",
    ),
    "a resource for an action without": (
        allow("s3:ListAllMyBuckets", ARN),
        "never matches s3:ListAllMyBuckets",
    ),
    "another service's resource": (
        allow("kms:Decrypt", "arn:aws:kms:us-east-2:111111111111:alias/a"),
        "never matches kms:Decrypt",
    ),
    "a key that requests never carry": (
        allow("s3:GetObject", Condition={"StringEquals": {"s3:prefix": "a"}}),
        "s3:GetObject has no condition key s3:prefix",
    ),
    "a misspelt key": (
        allow("s3:GetObject", Condition={"StringEquals": {"aws:SourceAcount": "1"}}),
        "no condition key aws:SourceAcount",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told(mistake: str) -> None:
    raw, expected = WRONG[mistake]
    found = "\n".join(audit.problems(of(raw)))
    assert expected.replace("\\", "") in found


OTHER = "arn:aws:iam::999999999999:root"
OF_LOAD_BALANCERS = "arn:aws:iam::033677994240:root"


def test_another_account_and_another_partition_are_told() -> None:
    let_in = {"Principal": {"AWS": [OTHER, OF_LOAD_BALANCERS]}}
    found = of(allow("s3:GetObject", **let_in), kind="AWS::S3::BucketPolicy")
    assert ["lets arn:aws:iam::999999999999:root in" in each for each in audit.problems(found)] == [
        True
    ]
    (problem,) = audit.problems(of(allow("s3:GetObject", "arn:aws-cn:s3:::bucket/*")))
    assert "is of the partition aws-cn, and the stack of aws" in problem


RIGHT = {
    "objects": allow("s3:GetObject"),
    "a wildcard of actions": allow("s3:GetObject*"),
    "both kinds, for two actions": {
        **allow("", [ARN, OBJECTS]),
        "Action": ["s3:GetObject", "s3:ListBucket"],
    },
    "everything": allow("s3:ListAllMyBuckets", "*"),
    "a key of requests": allow(
        "s3:ListBucket", ARN, Condition={"StringLike": {"s3:prefix": "a/*"}}
    ),
    "an absent key that lets pass": allow(
        "s3:GetObject", Condition={"StringEqualsIfExists": {"s3:prefix": "a"}}
    ),
    "an account": allow("s3:GetObject", Condition={"StringEquals": {"aws:PrincipalAccount": "1"}}),
    "a denial of everything": {**allow("*", "*"), "Effect": "Deny"},
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_passes(case: str) -> None:
    assert list(audit.problems(of(RIGHT[case]))) == []


def of_a_role(*raw: dict[str, Any], kind: str = "AWS::SNS::Topic") -> list[str]:
    """Return what is wrong with a role's ``raw`` beside something of ``kind`` under a key."""
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    encrypted = {
        "AWS::SNS::Topic": {"KmsMasterKeyId": key},
        "AWS::S3::Bucket": {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"KMSMasterKeyID": key}}
                ]
            }
        },
    }
    resources = {
        "Key": {"Type": "AWS::KMS::Key"},
        "Data": {"Type": kind, "Properties": encrypted[kind]},
        "Role": {"Type": "AWS::IAM::Role"},
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {"Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": list(raw)}},
        },
    }
    resolution = Resolution({STACK.name: STACK}, {STACK.name: {"Resources": resources}})
    return list(encrypted_data.problems(resolution, statements(resolution)))


PUBLISH = allow("sns:Publish", {"Ref": "Data"})
KEY_USE = {
    **allow("", {"Fn::GetAtt": ["Key", "Arn"]}),
    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
}


def under(operator: str, key: str, value: str) -> dict[str, Any]:
    return {**KEY_USE, "Condition": {operator: {key: value}}}


@pytest.mark.parametrize(
    ("use", "missing"),
    [
        ((), "kms:GenerateDataKey and kms:Decrypt"),
        (({**KEY_USE, "Action": "kms:Decrypt"},), "not kms:GenerateDataKey with"),
        ((under("StringEquals", "kms:ViaService", "s3.us-east-2.amazonaws.com"),), "through sns"),
        ((under("StringEquals", "kms:EncryptionContext:aws:states:stateMachineArn", "a"),), "sns"),
        ((under("Bool", "kms:GrantIsForAWSResource", "true"),), "through sns"),
    ],
    ids=["no key", "half of it", "another service", "another context", "grants alone"],
)
def test_a_role_without_the_key_of_what_it_uses_is_told(
    use: tuple[dict[str, Any], ...], missing: str
) -> None:
    (problem,) = of_a_role(PUBLISH, *use)
    assert problem.startswith("llm-test-data/Role: It may call sns:Publish on llm-test-data/Data")
    assert missing in problem


@pytest.mark.parametrize(
    "use",
    [
        KEY_USE,
        under("StringEquals", "kms:ViaService", "sns.us-east-2.amazonaws.com"),
        under("StringEquals", "kms:EncryptionContext:aws:sns:topicArn", "a"),
    ],
)
def test_a_role_with_the_key_of_what_it_uses_passes(use: dict[str, Any]) -> None:
    assert of_a_role(PUBLISH, use) == []


def test_objects_are_read_with_one_right_and_written_with_another() -> None:
    objects = {"Fn::Join": ["", [{"Fn::GetAtt": ["Data", "Arn"]}, "/a/*"]]}
    read, write = allow("s3:GetObject", objects), allow("s3:PutObject", objects)
    (reading,) = of_a_role(read, kind="AWS::S3::Bucket")
    (writing,) = of_a_role(
        read, write, {**KEY_USE, "Action": "kms:Decrypt"}, kind="AWS::S3::Bucket"
    )
    assert "but not kms:Decrypt with" in reading
    assert "but not kms:GenerateDataKey with" in writing
    listing = allow("s3:ListBucket", {"Fn::GetAtt": ["Data", "Arn"]})
    assert of_a_role(listing, kind="AWS::S3::Bucket") == []


def test_a_wildcard_without_a_reason_is_a_problem() -> None:
    found = of(allow("s3:GetObject"))
    (wild,) = wildcards(found, ())
    assert (wild.pattern, wild.reason) == ("arn:aws:s3:::Bucket/*", "")
    (problem,) = problems(found, [wild])
    assert problem.startswith("llm-test-data/Policy: arn:aws:s3:::Bucket/* is a wildcard")


def test_a_denial_and_streams_of_one_log_group_are_no_wildcards() -> None:
    group = "arn:aws:logs:us-east-2:111111111111:log-group:a:*"
    found = of({**allow("*", "*"), "Effect": "Deny"}, allow("logs:PutLogEvents", group))
    assert list(wildcards(found, ())) == []


def test_an_acknowledged_wildcard_says_why(assembly: Assembly, report: PermissionReport) -> None:
    (role,) = [
        each
        for each in report.wildcards
        if each.statement.stack == "llm-prod-eks"
        and each.statement.construct_path.endswith("Keda/Role/DefaultPolicy/Resource")
    ]
    assert "CloudWatch" in role.reason
    unread = [each for each in findings(assembly.directory) if "IAM5" not in each.rule]
    assert next(iter(wildcards([role.statement], unread))) == Wildcard(role.statement, "*", "")


def test_the_form_of_an_unknown_arn_is_asked_for() -> None:
    resources = {"Thing": {"Type": "AWS::Made::Up"}}
    resolution = Resolution({STACK.name: STACK}, {STACK.name: {"Resources": resources}})
    with pytest.raises(ResolutionError, match="Add it to ARNS"):
        resolution.text({"Fn::GetAtt": ["Thing", "Arn"]}, STACK.name)
    with pytest.raises(ResolutionError, match="cannot be resolved before"):
        resolution.text({"Fn::Cidr": []}, STACK.name)


PATTERNS = st.text(alphabet="ab*?", max_size=4)


# Trying every text takes as long as the machine is busy.
@settings(deadline=None)
@given(PATTERNS, PATTERNS)
def test_patterns_overlap_when_some_text_matches_both(first: str, second: str) -> None:
    texts = ("".join(letters) for size in range(9) for letters in product("ab", repeat=size))
    expected = any(fnmatchcase(text, first) and fnmatchcase(text, second) for text in texts)
    assert overlap(first, second) is expected
