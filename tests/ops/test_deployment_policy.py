"""What CloudFormation is allowed for a deployment, and that IAM takes it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.deployment_policy import MOST_CHARACTERS, MOST_POLICIES, policies
from tests.assembly import Assembly


def actions(found: list[dict[str, object]]) -> set[str]:
    return {
        action
        for policy in found
        for statement in policy["Statement"]  # type: ignore[attr-defined]
        for action in statement["Action"]
    }


@pytest.mark.slow
def test_a_type_brings_what_its_handlers_call_and_nothing_else() -> None:
    found = actions(policies({"AWS::SNS::Topic"}, "111111111111", ["us-east-2"]))
    assert {"sns:CreateTopic", "sns:DeleteTopic"} <= found
    assert "s3:CreateBucket" not in found
    assert "lambda:InvokeFunction" not in found


@pytest.mark.slow
def test_custom_resources_need_their_function() -> None:
    found = actions(policies({"Custom::AWS"}, "111111111111", ["us-east-2"]))
    assert "lambda:InvokeFunction" in found


@pytest.mark.slow
def test_identities_are_those_of_the_platform_and_regions_those_of_the_stacks() -> None:
    found = policies({"AWS::IAM::Role", "AWS::S3::Bucket"}, "111111111111", ["eu-west-1"])
    for policy in found:
        for statement in policy["Statement"]:
            if any(it.startswith("iam:") for it in statement["Action"]):
                assert all(
                    it.startswith(("arn:aws:iam::111111111111:", "arn:aws:iam::111111111111:"))
                    and it.endswith(("/llm-*", "role/aws-service-role/*"))
                    for it in statement["Resource"]
                )
            else:
                assert statement["Condition"]["StringEquals"] == {
                    "aws:RequestedRegion": ["eu-west-1"]
                }


@pytest.mark.synth
def test_the_policies_of_production_fit_into_iam(assembly: Assembly, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app,
        [
            *("deployment-policy", "--env", "prod", "--assembly", str(assembly.directory)),
            *("--out", str(tmp_path)),
        ],
    )
    assert result.exit_code == 0, result.output
    written = sorted(tmp_path.glob("llm-prod-deployment-*.json"))
    assert 1 < len(written) <= MOST_POLICIES
    for path in written:
        policy = json.loads(path.read_text(encoding="utf-8"))
        assert len(json.dumps(policy, separators=(",", ":"))) <= MOST_CHARACTERS
