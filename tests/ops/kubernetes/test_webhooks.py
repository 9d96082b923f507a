"""Webhooks that refuse objects until they run."""

from dataclasses import replace
from typing import Any

import pytest

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import AppliedObject
from ops.kubernetes.webhooks import check_webhooks
from tests.ops.kubernetes.clusters import cluster, named, release

RULE: dict[str, Any] = {
    "apiGroups": ["batch"],
    "resources": ["jobs"],
    "operations": ["CREATE"],
}


def told(
    *, kind: str = "Job", waits: bool = False, labels: dict[str, str] | None = None, **webhook: Any
) -> str:
    configuration = AppliedObject(
        stack="planted",
        logical_id="Queues",
        body=named(
            "ValidatingWebhookConfiguration",
            "queues",
            None,
            webhooks=[{"name": "job.example.com", "rules": [RULE], **webhook}],
        ),
        chart="queues",
    )
    job = named(kind, "train", apiVersion="batch/v1")
    job["metadata"]["labels"] = labels or {}
    contents = cluster(job, releases=(replace(release("queues"), waits=waits),))
    problems = Problems("planted")
    check_webhooks(replace(contents, objects=(*contents.objects, configuration)), problems)
    return str(problems.error())


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    "webhook",
    [
        {},
        {"failurePolicy": "Fail"},
        {"rules": [{**RULE, "resources": ["pods"]}, {**RULE, "apiGroups": ["*"]}]},
        {"rules": [{**RULE, "operations": ["*"], "resources": ["*/*"]}]},
        {"namespaceSelector": expression("kubernetes.io/metadata.name", "In", "serving", "other")},
        {"namespaceSelector": expression("kubernetes.io/metadata.name", "NotIn", "kube-system")},
        {"objectSelector": expression("skipped", "DoesNotExist")},
        {"labels": {"team": "a"}, "objectSelector": {"matchLabels": {"team": "a"}}},
        {"labels": {"team": "a"}, "objectSelector": expression("team", "Exists")},
    ],
    ids=str,
)
def test_objects_that_a_webhook_would_refuse_are_told(webhook: dict[str, Any]) -> None:
    message = told(**webhook)
    assert "Its webhook job.example.com refuses such objects until its pods answer" in message
    assert "Job serving/train of planted" in message


@pytest.mark.parametrize(
    "webhook",
    [
        {"waits": True},
        {"failurePolicy": "Ignore"},
        {"rules": [{**RULE, "apiGroups": ["apps"]}]},
        {"rules": [{**RULE, "resources": ["jobs/status"]}]},
        {"rules": [{**RULE, "operations": ["DELETE"]}]},
        {"namespaceSelector": expression("kubernetes.io/metadata.name", "NotIn", "serving")},
        {"namespaceSelector": {"matchLabels": {"checked": "true"}}},
        {"labels": {"team": "a"}, "objectSelector": expression("team", "NotIn", "a")},
        {"objectSelector": expression("team", "Exists")},
    ],
    ids=str,
)
def test_objects_that_a_webhook_lets_pass_are_fine(webhook: dict[str, Any]) -> None:
    assert told(**webhook) == ""


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Ingress", "ingresses"),
        ("NetworkPolicy", "networkpolicies"),
        ("IngressClassParams", "ingressclassparams"),
        ("TargetGroupBinding", "targetgroupbindings"),
    ],
)
def test_a_rule_names_objects_by_the_plural_of_their_kind(kind: str, resource: str) -> None:
    assert f"{kind} serving/train" in told(kind=kind, rules=[{**RULE, "resources": [resource]}])
