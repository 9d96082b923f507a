"""Policies and quotas as the provider framework asks for them, against SageMaker's own model."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from task_governance.handler import handler
from task_governance.keeper import GovernanceError

CLUSTER = "arn:aws:sagemaker:us-west-2:111111111111:cluster/abcdefghij12"
OTHER_CLUSTER = "arn:aws:sagemaker:us-west-2:111111111111:cluster/abcdefghij34"
ID, NEW_ID = "0123456789ab", "0123456789cd"
POLICY = {
    "Name": "teams",
    "ClusterArn": CLUSTER,
    "SchedulerConfig": {"PriorityClasses": [{"Name": "urgent", "Weight": 100}]},
}
QUOTA = {
    "Name": "research",
    "ClusterArn": CLUSTER,
    "ComputeQuotaConfig": {
        "ComputeQuotaResources": [{"InstanceType": "ml.trn2.48xlarge", "Accelerators": 16}]
    },
    "ComputeQuotaTarget": {"TeamName": "research"},
}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "ClusterSchedulerConfig": POLICY,
    "ComputeQuota": QUOTA,
}
KINDS = pytest.mark.parametrize("kind", sorted(CONFIGURATIONS))


class SageMaker(Stubber):
    """SageMaker, which refuses calls that its model does not know."""

    def expect(
        self, verb: str, kind: str, sent: Any = None, answer: dict[str, Any] | None = None
    ) -> None:
        self.add_response(f"{verb}_{snake_case(kind)}", answer or {}, sent)

    def refuse(self, verb: str, kind: str, code: str) -> None:
        self.add_client_error(f"{verb}_{snake_case(kind)}", code, "Because.")

    def made(self, kind: str, sent: Any = None, object_id: str = ID) -> None:
        self.expect("create", kind, sent, {f"{kind}Id": object_id, f"{kind}Arn": arn(kind)})

    def tells(
        self,
        kind: str,
        status: str,
        *,
        version: int = 1,
        reason: str | None = None,
        object_id: str = ID,
    ) -> None:
        configuration = CONFIGURATIONS[kind]
        answer = {
            f"{kind}Arn": arn(kind),
            f"{kind}Id": object_id,
            f"{kind}Version": version,
            "Status": status,
            "CreationTime": "2026-11-22T12:00:00Z",
            **{key: configuration[key] for key in configuration if key != "SchedulerConfig"},
        }
        if reason:
            answer["FailureReason"] = reason
        self.expect("describe", kind, {f"{kind}Id": object_id}, answer)


def snake_case(kind: str) -> str:
    return {"ClusterSchedulerConfig": "cluster_scheduler_config", "ComputeQuota": "compute_quota"}[
        kind
    ]


def arn(kind: str) -> str:
    resource = snake_case(kind).replace("_", "-")
    return f"arn:aws:sagemaker:us-west-2:111111111111:{resource}/{ID}"


def event(request: str, kind: str, wanted: Any = None, old: Any = None) -> dict[str, Any]:
    body = {
        "RequestType": request,
        "ResourceProperties": properties(kind, wanted or CONFIGURATIONS[kind]),
    }
    if request != "Create":
        body["PhysicalResourceId"] = ID
    if request == "Update":
        body["OldResourceProperties"] = properties(kind, old or CONFIGURATIONS[kind])
    return body


def properties(kind: str, configuration: Any) -> dict[str, str]:
    return {"Kind": kind, "Configuration": json.dumps(configuration)}


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMaker]:
    session = botocore.session.get_session()
    session.set_credentials("testing", "testing")
    client = session.create_client("sagemaker", region_name="us-west-2")
    monkeypatch.setattr("task_governance.handler._client", lambda: client)
    monkeypatch.setattr("task_governance.handler.PAUSES_SECONDS", (0, 0))
    with SageMaker(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@KINDS
def test_creating_makes_the_object_and_waits_until_it_works(
    kind: str, sagemaker: SageMaker
) -> None:
    sagemaker.made(kind, CONFIGURATIONS[kind])
    sagemaker.tells(kind, "Creating")
    sagemaker.tells(kind, "Created")
    assert handler(event("Create", kind), None) == {"PhysicalResourceId": ID}


@KINDS
def test_nothing_is_left_of_a_creation_that_failed(kind: str, sagemaker: SageMaker) -> None:
    sagemaker.made(kind)
    sagemaker.tells(kind, "CreateFailed", reason="Kueue does not answer.")
    sagemaker.expect("delete", kind, {f"{kind}Id": ID})
    with pytest.raises(GovernanceError, match=r"CreateFailed: Kueue does not answer\. See that"):
        handler(event("Create", kind), None)


def test_a_creation_that_takes_too_long_is_given_up_and_deleted(sagemaker: SageMaker) -> None:
    sagemaker.made("ComputeQuota")
    for _ in range(3):
        sagemaker.tells("ComputeQuota", "Creating")
    sagemaker.refuse("delete", "ComputeQuota", "ConflictException")
    with pytest.raises(GovernanceError, match="still being changed"):
        handler(event("Create", "ComputeQuota"), None)


@KINDS
def test_a_change_names_the_version_that_it_is_based_on(kind: str, sagemaker: SageMaker) -> None:
    wanted = {**CONFIGURATIONS[kind], "Description": "More of it."}
    fixed = {"Name", "ClusterArn"}
    sagemaker.tells(kind, "Updated", version=7)
    changes = {key: value for key, value in wanted.items() if key not in fixed}
    sagemaker.expect(
        "update",
        kind,
        {f"{kind}Id": ID, "TargetVersion": 7, **changes},
        {f"{kind}Arn": arn(kind), f"{kind}Version": 8},
    )
    sagemaker.tells(kind, "Updating", version=8)
    sagemaker.tells(kind, "Updated", version=8)
    assert handler(event("Update", kind, wanted), None) == {"PhysicalResourceId": ID}


@KINDS
def test_another_cluster_gets_another_object(kind: str, sagemaker: SageMaker) -> None:
    wanted = {**CONFIGURATIONS[kind], "ClusterArn": OTHER_CLUSTER}
    sagemaker.made(kind, wanted, NEW_ID)
    sagemaker.tells(kind, "Created", object_id=NEW_ID)
    assert handler(event("Update", kind, wanted), None) == {"PhysicalResourceId": NEW_ID}


def test_what_somebody_deleted_is_made_again(sagemaker: SageMaker) -> None:
    sagemaker.refuse("describe", "ComputeQuota", "ResourceNotFound")
    sagemaker.made("ComputeQuota")
    sagemaker.tells("ComputeQuota", "Created")
    assert handler(event("Update", "ComputeQuota"), None) == {"PhysicalResourceId": ID}


@KINDS
def test_deleting_waits_until_it_is_gone(kind: str, sagemaker: SageMaker) -> None:
    sagemaker.expect("delete", kind, {f"{kind}Id": ID})
    sagemaker.tells(kind, "Deleting")
    sagemaker.refuse("describe", kind, "ResourceNotFound")
    assert handler(event("Delete", kind), None) == {"PhysicalResourceId": ID}


def test_deleting_what_is_gone_is_no_error(sagemaker: SageMaker) -> None:
    sagemaker.refuse("delete", "ComputeQuota", "ResourceNotFound")
    sagemaker.tells("ComputeQuota", "Deleted")
    assert handler(event("Delete", "ComputeQuota"), None) == {"PhysicalResourceId": ID}


def test_a_deletion_that_fails_is_told(sagemaker: SageMaker) -> None:
    sagemaker.expect("delete", "ComputeQuota")
    sagemaker.tells("ComputeQuota", "DeleteFailed")
    with pytest.raises(GovernanceError, match="DeleteFailed: It says no more"):
        handler(event("Delete", "ComputeQuota"), None)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ConflictException", "one quota for each team"),
        ("AccessDeniedException", "service control policy"),
        ("ResourceLimitExceeded", r"refused to create the compute quota: Because\.$"),
    ],
)
def test_a_refusal_says_what_to_do(code: str, advice: str, sagemaker: SageMaker) -> None:
    sagemaker.refuse("create", "ComputeQuota", code)
    with pytest.raises(GovernanceError, match=advice):
        handler(event("Create", "ComputeQuota"), None)


def test_a_service_that_cannot_be_reached_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://api.sagemaker")

    client = type("Client", (), {"create_compute_quota": staticmethod(unreachable)})()
    find: Callable[[], Any] = lambda: client  # noqa: E731
    monkeypatch.setattr("task_governance.handler._client", find)
    with pytest.raises(GovernanceError, match="could not be reached"):
        handler(event("Create", "ComputeQuota"), None)
