"""The trail, what it records, who may write it, and who weakens it."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from llm_constructs.audit_trail import AuditTrail
from llm_constructs.data_lake import DataLake
from llm_constructs.specs.data_lake import DataClass, LakeArea
from llm_constructs.specs.governance import AuditLog
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised

TRAIL = "arn:aws:cloudtrail:us-east-2:111111111111:trail/llm-team"


def build(stack: cdk.Stack, audit_log: AuditLog | None = None) -> AuditTrail:
    lake = DataLake(stack, "Lake")
    return AuditTrail(
        stack,
        "AuditTrail",
        name="llm-team",
        audit_log=audit_log or AuditLog(),
        lake={data_class: [bucket] for data_class, bucket in lake.buckets.items()},
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(build)


def selectors(template: Template) -> dict[str, dict[str, Any]]:
    return {
        it["Name"]: {field.pop("Field"): field for field in it["FieldSelectors"]}
        for it in json.loads(
            json.dumps(template.only("AWS::CloudTrail::Trail")["AdvancedEventSelectors"])
        )
    }


def test_it_is_of_all_regions_validated_and_under_a_key(template: Template) -> None:
    trail = template.only("AWS::CloudTrail::Trail")
    assert trail["IsMultiRegionTrail"] is trail["IncludeGlobalServiceEvents"] is True
    assert trail["EnableLogFileValidation"] is trail["IsLogging"] is True
    assert "AuditTrailKey" in json.dumps(trail["KMSKeyId"])


def test_changes_of_data_and_reads_of_models_are_recorded(template: Template) -> None:
    chosen = selectors(template)
    assert list(chosen) == ["Management events", "Changes of the lake", "Reads of the lake"]
    changes, reads = chosen["Changes of the lake"], chosen["Reads of the lake"]
    assert changes["readOnly"]["Equals"] == ["false"]
    assert reads["readOnly"]["Equals"] == ["true"]
    assert changes["resources.type"] == reads["resources.type"] == {"Equals": ["AWS::S3::Object"]}
    assert len(changes["resources.ARN"]["StartsWith"]) == 2
    (models,) = reads["resources.ARN"]["StartsWith"]
    assert "ArtifactsBucket" in json.dumps(models)
    assert models["Fn::Join"][1][-1] == "/models/"


def test_the_bucket_of_the_logs_is_recorded_only_if_asked_for() -> None:
    log = AuditLog(changes_of=(DataClass.LOGS,), reads_of=(), management_events=False)
    chosen = selectors(synthesised(lambda stack: build(stack, log)))
    assert list(chosen) == ["Changes of the lake"]
    assert "LogsBucket" in json.dumps(chosen)


def test_what_the_environment_has_no_lake_for_is_left_out() -> None:
    made = synthesised(
        lambda stack: AuditTrail(
            stack,
            "AuditTrail",
            name="llm-team",
            audit_log=AuditLog(reads_of=(LakeArea.RAW,)),
            lake={},
        )
    )
    assert list(selectors(made)) == ["Management events"]


def test_only_this_trail_may_write_and_encrypt(template: Template) -> None:
    (key,) = [
        it["KeyPolicy"]["Statement"]
        for it in template.properties("AWS::KMS::Key")
        if "audit log" in it["Description"]
    ]
    (policy,) = [
        it["PolicyDocument"]["Statement"]
        for it in template.properties("AWS::S3::BucketPolicy")
        if "cloudtrail" in json.dumps(it)
    ]
    allowed = [it for it in (*key, *policy) if "cloudtrail" in json.dumps(it["Principal"])]
    assert len(allowed) == 4
    assert {it["Condition"]["StringEquals"]["aws:SourceArn"] for it in allowed} == {TRAIL}
    (writes,) = [it for it in allowed if it["Action"] == "s3:PutObject"]
    assert writes["Resource"]["Fn::Join"][1][-1] == "/AWSLogs/111111111111/*"


def test_the_policy_stands_before_the_trail_tries_to_write(template: Template) -> None:
    (trail,) = template.of_type("AWS::CloudTrail::Trail").values()
    assert any("BucketPolicy" in it for it in trail["DependsOn"])


def test_calls_that_weaken_it_ring() -> None:
    made = build(cdk.Stack(app(), "Test", env=ENVIRONMENT))
    (alarm,) = made.alarms
    assert (alarm.name, alarm.severity.value) == ("AuditWeakened", "page")


def test_calls_that_weaken_it_are_matched_and_kept(template: Template) -> None:
    rule = template.only("AWS::Events::Rule")
    matched = {name for it in rule["EventPattern"]["detail"]["$or"] for name in it["eventName"]}
    assert {"StopLogging", "DeleteTrail", "PutEventSelectors", "ScheduleKeyDeletion"} <= matched
    (target,) = rule["Targets"]
    assert "AuditTrailCalls" in json.dumps(target["Arn"])


def test_files_go_only_after_six_years_and_the_bucket_stays(template: Template) -> None:
    (bucket,) = [
        it
        for key, it in template.of_type("AWS::S3::Bucket").items()
        if key.startswith("AuditTrailBucket")
    ]
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [it["ExpirationInDays"] for it in rules if "ExpirationInDays" in it] == [2192]
    assert bucket["DeletionPolicy"] == "Retain"


@pytest.mark.slow
def test_rule_packs_and_cfn_lint_find_nothing(tmp_path: Path) -> None:
    assert open_findings(build, tmp_path) == set()
    assert lint_findings(tmp_path) == ""
