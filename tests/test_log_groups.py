"""Every log has an end, a key of ours, and a mask where people's text may reach it."""

import re
from typing import Any

import pytest

from tests.assembly import Assembly

pytestmark = pytest.mark.synth

NO_TEXT_OF_PEOPLE = {
    "data FileSystemLogGroup": "FSx names files and errors.",
    "eks ClusterKubectlProviderHandlerLogGroup": "kubectl names objects of this repository.",
    "eks ClusterKubectlProviderframeworkonEventLogGroup": "The CDK's framework passes those on.",
    "eks ClusterLogs": "The control plane's; masking would hide who did what in an audit.",
    "eks PrometheusScraperLogs": "Names of pods and numbers of samples.",
    "eks PrometheusWorkspaceLogs": "Expensive queries over metrics, which hold no text.",
    "gateway DataRetentionSettingProviderFrameworkLogs": "The CDK's framework passes events on.",
    "gateway DataRetentionSettingProviderFunctionLogs": "Names of modes and stacks.",
    "gateway GatewayFirewallLogs": "Credentials, query and body are left out by WAF itself.",
    "gateway InvocationLoggingSettingProviderFrameworkLogs": "It passes events on.",
    "gateway InvocationLoggingSettingProviderFunctionLogs": "Names of buckets, groups and roles.",
    "governance AuditTrailCalls": "Who called what; masking would hide it in an audit.",
    "network NetworkFlowLogs": "Addresses and counts of packets.",
    "training HyperPodEventsLogs": "Events name nodes and their health.",
    "training HyperPodLogsFunctionLogs": "The CDK's framework names the group it changes.",
    "training HyperPodLogsNodes": "Provisioning and Slurm's daemons; jobs write elsewhere.",
    "training HyperPodScriptsDeploymentLogs": "The CDK's framework names the files it copies.",
    "network NetworkRestrictionLogs": "The CDK's function names a security group.",
}
"""Log groups that need no mask, and why."""

HASH = re.compile(r"[0-9A-F]{8}$")


def log_groups(assembly: Assembly) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for stack, body in assembly.templates.items():
        for key, resource in body.get("Resources", {}).items():
            if resource["Type"] == "AWS::Logs::LogGroup":
                name = f"{stack.split('-', 2)[2]} {HASH.sub('', key)}"
                found.setdefault(name, []).append(resource["Properties"])
    return found


def test_every_log_ends_and_is_encrypted_with_a_key_of_ours(assembly: Assembly) -> None:
    groups = log_groups(assembly)
    assert groups
    wrong = {
        name
        for name, same in groups.items()
        for group in same
        if "KmsKeyId" not in group or "RetentionInDays" not in group
    }
    assert wrong == set()


def test_a_log_masks_what_looks_personal_or_says_why_not(assembly: Assembly) -> None:
    bare = {
        name
        for name, same in log_groups(assembly).items()
        if any("DataProtectionPolicy" not in group for group in same)
    }
    assert bare - NO_TEXT_OF_PEOPLE.keys() == set()
    assert NO_TEXT_OF_PEOPLE.keys() - bare == set(), "no longer there, or masked"


def test_every_function_writes_to_a_log_of_ours(assembly: Assembly) -> None:
    # Lambda makes a log group for others, without a key and without an end.
    wrong = {
        f"{stack}: {key}"
        for stack, body in assembly.templates.items()
        for key, resource in body.get("Resources", {}).items()
        if resource["Type"] == "AWS::Lambda::Function"
        and "LogGroup" not in resource["Properties"].get("LoggingConfig", {})
        and not _has_named_log(key, body["Resources"])
    }
    assert wrong == set()


def _has_named_log(function: str, resources: dict[str, Any]) -> bool:
    names = [
        str(it["Properties"].get("LogGroupName"))
        for it in resources.values()
        if it["Type"] == "AWS::Logs::LogGroup"
    ]
    return any("/aws/lambda/" in name and function in name for name in names)
