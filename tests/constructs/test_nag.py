"""Acknowledgements: patterns, reasons, and none that nothing needs."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from llm_constructs.nag import acknowledge
from stacks.checks import add_checks

REASON = "This bucket exists only inside a test, and nothing is ever stored in it."


def findings(
    build: Callable[[cdk.Stack], object], outdir: Path
) -> tuple[set[str], dict[str, dict[str, Any]]]:
    """Return the rules that stay open and, by rule, what was accepted."""
    app = cdk.App(outdir=str(outdir))
    add_checks(app)
    build(cdk.Stack(app, "Test"))
    with contextlib.suppress(RuntimeError):
        app.synth()
    plugins = json.loads((outdir / "validation-report.json").read_text())["pluginReports"]
    opened = {v["ruleName"] for plugin in plugins for v in plugin["violations"]}
    accepted = {
        v["ruleName"]: v for plugin in plugins for v in plugin.get("suppressedViolations", ())
    }
    return opened, accepted


def test_all_five_packs_run(tmp_path: Path) -> None:
    opened, _ = findings(lambda stack: s3.Bucket(stack, "Bucket"), tmp_path)
    prefixes = {rule.rsplit("-", 1)[0] for rule in opened}
    assert {"AwsSolutions", "HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321"} <= prefixes


def test_the_serverless_pack_runs(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        cdk.aws_lambda.Function(
            stack,
            "Function",
            code=cdk.aws_lambda.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            runtime=cdk.aws_lambda.Runtime.PYTHON_3_13,
        )

    opened, _ = findings(build, tmp_path)
    assert any(rule.startswith("Serverless-") for rule in opened)


def test_an_acknowledged_finding_is_reported_with_its_reason(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        acknowledge(s3.Bucket(stack, "Bucket"), "AwsSolutions-S1", reason=REASON)

    opened, accepted = findings(build, tmp_path)
    assert "AwsSolutions-S1" not in opened
    assert "AwsSolutions-S10" in opened
    assert accepted["AwsSolutions-S1"]["reason"] == REASON


def test_a_pattern_accepts_ids_that_hold_logical_ids(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        s3.Bucket(stack, "Bucket").grant_read(role, "datasets/*")
        acknowledge(role, "AwsSolutions-IAM5[Resource::.../datasets/*]", reason=REASON)

    opened, accepted = findings(build, tmp_path)
    assert not [rule for rule in opened if "datasets" in rule]
    # The wildcards in actions are other findings, which the pattern does not cover.
    assert "AwsSolutions-IAM5[Action::s3:GetObject*]" in opened
    assert [rule for rule in accepted if "datasets/*" in rule]


def test_a_star_is_a_star(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        s3.Bucket(stack, "Bucket").grant_read(role, "datasets/*")
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ListAllMyBuckets"], resources=["*"]))
        acknowledge(role, "AwsSolutions-IAM5[Resource::*]", reason=REASON)

    opened, accepted = findings(build, tmp_path)
    assert "AwsSolutions-IAM5[Resource::*]" in accepted
    assert [rule for rule in opened if "datasets" in rule]


def test_two_acknowledgements_of_one_finding_are_both_needed(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        bucket = s3.Bucket(stack, "Bucket")
        acknowledge(bucket, "AwsSolutions-S1", reason=REASON)
        acknowledge(stack, "AwsSolutions-S1", reason=REASON)

    opened, _ = findings(build, tmp_path)
    assert "UnusedAcknowledgement" not in opened


def test_a_rule_with_findings_in_brackets_is_not_accepted_whole(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ListAllMyBuckets"], resources=["*"]))
        acknowledge(role, "AwsSolutions-IAM5", reason=REASON)

    opened, _ = findings(build, tmp_path)
    assert {"AwsSolutions-IAM5[Resource::*]", "UnusedAcknowledgement"} <= opened


def test_an_acknowledgement_covers_its_own_construct_only(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        acknowledge(s3.Bucket(stack, "One"), "AwsSolutions-S1", reason=REASON)
        # The path of this one begins with the same letters.
        s3.Bucket(stack, "OneMore")

    opened, accepted = findings(build, tmp_path)
    assert "AwsSolutions-S1" in opened
    paths = [c["constructPath"] for c in accepted["AwsSolutions-S1"]["violatingConstructs"]]
    assert paths == ["Test/One/Resource"]


def test_an_acknowledgement_that_nothing_needs_is_an_error(tmp_path: Path) -> None:
    def build(stack: cdk.Stack) -> None:
        acknowledge(s3.Bucket(stack, "Bucket"), "AwsSolutions-EC23", reason=REASON)

    opened, _ = findings(build, tmp_path)
    assert "UnusedAcknowledgement" in opened


def test_a_reason_must_say_something() -> None:
    stack = cdk.Stack(cdk.App(), "Test")
    with pytest.raises(ValueError, match="too short to convince an auditor"):
        acknowledge(stack, "AwsSolutions-S1", reason="False positive.")
