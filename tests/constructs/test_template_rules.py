"""Mistakes in finished templates that no other check notices."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from llm_constructs.template_rules import RULES
from stacks.checks import add_checks

LUSTRE = "AWS::FSx::FileSystem"
PERSISTENT = {"DeploymentType": "PERSISTENT_2", "PerUnitStorageThroughput": 250}


def lustre(capacity: object = 2400, version: str = "2.15", **settings: Any) -> dict[str, Any]:
    return {
        "FileSystemType": "LUSTRE",
        "FileSystemTypeVersion": version,
        "StorageCapacity": capacity,
        "LustreConfiguration": {**PERSISTENT, **settings},
    }


def dashboard(body: object) -> dict[str, Any]:
    return {"DashboardBody": body}


def violations(kind: str, properties: dict[str, Any]) -> list[str]:
    return [
        f"{violation.location}: {violation.reason} {violation.remedy}"
        for rule in RULES[kind]
        for violation in rule(properties)
    ]


WIDGET = {"type": "text", "properties": {"markdown": "x"}}

WRONG = {
    "size": (LUSTRE, lustre(3600), "StorageCapacity: .* nearest: 2400 or 4800"),
    "type": (LUSTRE, lustre(DeploymentType="PERSISTENT_9"), "LustreConfiguration.DeploymentType"),
    "no type": (
        LUSTRE,
        {"FileSystemType": "LUSTRE", "StorageCapacity": 1200},
        "LustreConfiguration.DeploymentType",
    ),
    "throughput": (
        LUSTRE,
        lustre(PerUnitStorageThroughput=200),
        "LustreConfiguration.PerUnitStorageThroughput",
    ),
    "efa": (
        LUSTRE,
        lustre(19200, version="2.12", EfaEnabled=True),
        "LustreConfiguration.EfaEnabled",
    ),
    "efa size": (LUSTRE, lustre(2400, EfaEnabled=True), "StorageCapacity: .* nearest: 19200"),
    "iops": (
        LUSTRE,
        lustre(MetadataConfiguration={"Mode": "USER_PROVISIONED", "Iops": 2000}),
        "LustreConfiguration.MetadataConfiguration.Iops",
    ),
    "relative path": (
        "AWS::FSx::DataRepositoryAssociation",
        {"FileSystemPath": "datasets"},
        "FileSystemPath: 'datasets' is relative.* Write /datasets",
    ),
    "nodes": (
        "AWS::EKS::Nodegroup",
        {"ScalingConfig": {"MinSize": 3, "MaxSize": 2, "DesiredSize": 2}},
        "ScalingConfig.MinSize: MinSize is 3, which is more than MaxSize, 2",
    ),
    "desired nodes": (
        "AWS::EKS::Nodegroup",
        {"ScalingConfig": {"MinSize": 1, "MaxSize": 2, "DesiredSize": 5}},
        "ScalingConfig.DesiredSize",
    ),
    "group": (
        "AWS::AutoScaling::AutoScalingGroup",
        {"MinSize": "10", "MaxSize": "9"},
        "MinSize is 10, which is more than MaxSize, 9",
    ),
    "target": (
        "AWS::ApplicationAutoScaling::ScalableTarget",
        {"MinCapacity": 4, "MaxCapacity": 1},
        "MinCapacity",
    ),
    "dashboard text": ("AWS::CloudWatch::Dashboard", dashboard('{"widgets": ['), "not JSON"),
    "dashboard list": ("AWS::CloudWatch::Dashboard", dashboard("[]"), "no list of widgets"),
    "widget": (
        "AWS::CloudWatch::Dashboard",
        dashboard(json.dumps({"widgets": [WIDGET, {"type": "metric"}]})),
        "Widget 1 has no type or no properties",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_its_place(mistake: str) -> None:
    kind, properties, expected = WRONG[mistake]
    found = violations(kind, properties)
    assert any(re.search(expected, line) for line in found), found


GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "file system": (LUSTRE, lustre()),
    "efa": (LUSTRE, lustre(38400, EfaEnabled=True, PerUnitStorageThroughput=1000)),
    "windows": (LUSTRE, {"FileSystemType": "WINDOWS", "StorageCapacity": 32}),
    "token": (LUSTRE, lustre({"Ref": "Capacity"})),
    "bounds": ("AWS::AutoScaling::AutoScalingGroup", {"MinSize": "0", "MaxSize": "0"}),
    "unknown bounds": (
        "AWS::AutoScaling::AutoScalingGroup",
        {"MinSize": {"Ref": "A"}, "MaxSize": "1"},
    ),
    "no bounds": ("AWS::EKS::Nodegroup", {}),
    "dashboard": (
        "AWS::CloudWatch::Dashboard",
        dashboard(
            {
                "Fn::Join": [
                    "",
                    [
                        '{"widgets":[{"type":"text","properties":{"markdown":"',
                        {"Ref": "AWS::Region"},
                        '"},"x":0,"y":',
                        {"Ref": "Row"},
                        "}]}",
                    ],
                ]
            }
        ),
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_right_or_not_yet_known_passes(case: str) -> None:
    kind, properties = GOOD[case]
    assert violations(kind, properties) == []


def test_a_violation_fails_the_synthesis(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    add_checks(app)
    stack = cdk.Stack(app, "Test")
    cdk.CfnResource(stack, "FileSystem", type=LUSTRE, properties=lustre(3600))

    with contextlib.suppress(RuntimeError):
        app.synth()

    plugins = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    (ours,) = [plugin for plugin in plugins if plugin["pluginName"] == "LlmPlatform"]
    (violation,) = ours["violations"]
    assert ours["conclusion"] == "failure"
    assert violation["ruleName"] == "LegalFileSystem"
    assert violation["violatingConstructs"][0]["constructPath"] == "Test/FileSystem"
