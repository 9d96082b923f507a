"""Karpenter and its pools as CloudFormation will see them."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from llm_constructs.alarm import AlarmDescription
from llm_constructs.karpenter import Karpenter
from llm_constructs.karpenter_pools import KarpenterPools
from llm_constructs.node_pools import NodeSite
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.karpenter_pool import CapacityType, KarpenterPool
from tests.constructs.eks import cluster_in
from tests.constructs.references import predecessors
from tests.constructs.synthesis import Template, synthesised

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"

POOL = KarpenterPool(
    name="training",
    instance_types=("p5en.48xlarge",),
    capacity_types=(CapacityType.ON_DEMAND,),
    zones=("us-east-2b",),
    efa=True,
    placement_group=True,
    max_devices=16,
    ami_version="v20261110",
)


def build(stack: cdk.Stack) -> None:
    cluster = cluster_in(stack)
    karpenter = Karpenter(stack, "Karpenter", cluster=cluster)
    site = NodeSite(
        instance_profile=karpenter.instance_profile.instance_profile_name,
        security_group_ids=[cluster.security_group_id],
        subnet_ids={"us-east-2b": "subnet-b"},
        accelerator_subnet_id="subnet-f",
        volume_key_arn="arn:aws:kms:us-east-2:111111111111:key/1",
        tags={},
    )
    KarpenterPools(stack, "Pools", cluster=cluster, karpenter=karpenter, pools=[POOL], site=site)


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(build)


def statements(template: Template) -> list[dict[str, Any]]:
    (policy,) = [
        body
        for key, body in template.of_type("AWS::IAM::Policy").items()
        if key.startswith("KarpenterControllerRole")
    ]
    found: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def actions_of(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def test_whatever_changes_instances_asks_for_the_clusters_tags(template: Template) -> None:
    changing = {
        *("ec2:CreateTags", "ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"),
        "ec2:CreateLaunchTemplate",
    }
    seen = set()
    for statement in statements(template):
        found = actions_of(statement) & changing
        if found:
            seen |= found
            conditions = json.dumps(statement["Condition"])
            assert "kubernetes.io/cluster/test" in conditions
            assert "karpenter.sh/nodepool" in conditions
    assert seen == changing


def test_only_reading_is_allowed_on_everything(template: Template) -> None:
    for statement in statements(template):
        if statement["Resource"] == "*":
            assert all(
                action.startswith("ec2:Describe")
                or action in {"pricing:GetProducts", "iam:ListInstanceProfiles"}
                for action in actions_of(statement)
            )


def test_karpenter_makes_no_instance_profiles_and_passes_one_role(template: Template) -> None:
    every = set().union(*(actions_of(statement) for statement in statements(template)))
    assert {action for action in every if action.startswith("iam:")} == {
        *("iam:GetInstanceProfile", "iam:ListInstanceProfiles", "iam:PassRole")
    }
    (passing,) = [s for s in statements(template) if "iam:PassRole" in actions_of(s)]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert "KarpenterNodeRole" in json.dumps(passing["Resource"])


def test_the_policy_fits_into_a_role(template: Template) -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(json.dumps(statements(template))) < 10_240


def test_every_warning_reaches_the_encrypted_queue(template: Template) -> None:
    rules = template.properties("AWS::Events::Rule")
    assert {rule["EventPattern"]["detail-type"][0] for rule in rules} == {
        "AWS Health Event",
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "EC2 Capacity Reservation Instance Interruption Warning",
    }
    (queue,) = template.of_type("AWS::SQS::Queue")
    assert {rule["Targets"][0]["Arn"]["Fn::GetAtt"][0] for rule in rules} == {queue}
    assert "KmsMasterKeyId" in template.only("AWS::SQS::Queue")
    (chart,) = charts(template, "karpenter")
    assert queue in json.dumps(chart["Values"])


def test_nodes_may_join_the_cluster(template: Template) -> None:
    entries = [
        entry
        for entry in template.properties("AWS::EKS::AccessEntry")
        if entry.get("Type") == "EC2_LINUX"
    ]
    assert len(entries) == 1
    assert "KarpenterNodeRole" in json.dumps(entries[0]["PrincipalArn"])


def test_the_controllers_service_account_has_its_role(template: Template) -> None:
    association = template.only("AWS::EKS::PodIdentityAssociation")
    (chart,) = charts(template, "karpenter")
    assert association["ServiceAccount"] == "karpenter"
    assert association["Namespace"] == chart["Namespace"]
    assert '"serviceAccount":{"name":"karpenter"}' in text(chart["Values"]).replace(" ", "")


def test_pools_go_before_their_class_karpenter_and_its_crds(template: Template) -> None:
    kinds = {
        json.loads(text(body["Properties"]["Manifest"]))[0]["kind"]: key
        for key, body in template.of_type("Custom::AWSCDK-EKS-KubernetesResource").items()
    }
    releases = {
        body["Properties"]["Release"]: key
        for key, body in template.of_type("Custom::AWSCDK-EKS-HelmChart").items()
    }
    roles = {key for key in template.of_type("AWS::IAM::Policy") if "ControllerRole" in key}
    before_pool = predecessors(template, kinds["NodePool"])
    assert {kinds["EC2NodeClass"], releases["karpenter"], releases["karpenter-crd"]} <= before_pool
    assert roles <= before_pool
    assert set(template.of_type("AWS::EKS::PodIdentityAssociation")) <= before_pool


def test_the_placement_group_of_a_pool_is_named_in_its_class(template: Template) -> None:
    (group,) = template.of_type("AWS::EC2::PlacementGroup")
    assert template.only("AWS::EC2::PlacementGroup")["Strategy"] == "cluster"
    (made,) = [
        body["Manifest"]
        for body in template.properties("Custom::AWSCDK-EKS-KubernetesResource")
        if "EC2NodeClass" in json.dumps(body["Manifest"]) and group in json.dumps(body["Manifest"])
    ]
    assert "placementGroupSelector" in json.dumps(made)
    assert INSTANCE_TYPES["p5en.48xlarge"].efa is not None


def test_a_controller_that_reads_no_warnings_is_told_to_somebody() -> None:
    described: list[AlarmDescription] = []
    synthesised(
        lambda stack: described.extend(
            Karpenter(stack, "Karpenter", cluster=cluster_in(stack)).alarms
        )
    )
    (alarm,) = described
    assert alarm.threshold == 120
    assert (RUNBOOKS / f"{alarm.runbook}.md").exists()


def charts(template: Template, release: str) -> list[dict[str, Any]]:
    return [
        chart
        for chart in template.properties("Custom::AWSCDK-EKS-HelmChart")
        if chart["Release"] == release
    ]


def text(value: Any) -> str:
    """Return a string with `x` in the place of every reference."""
    if isinstance(value, str):
        return value
    return "".join(part if isinstance(part, str) else "x" for part in value["Fn::Join"][1])
