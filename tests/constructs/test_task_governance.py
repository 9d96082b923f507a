"""Policies and quotas of HyperPod by region, and the function that makes them where it must."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]
from jsonschema import Draft7Validator

from llm_constructs.encryption import CustomerKey
from llm_constructs.governance_provider import governance_code
from llm_constructs.specs.hyperpod_regions import (
    HYPERPOD_REGIONS,
    GovernanceKind,
    has_governance_resource,
)
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.team import Team, TeamPlan, TeamQuota
from llm_constructs.task_governance import TaskGovernance, compute_quota, scheduling_policy
from tests.constructs.eks import cluster_in
from tests.constructs.references import predecessors
from tests.constructs.synthesis import ZONES, Template, app

LAMBDAS = Path(__file__).parents[2] / "lambdas"
ARN = "arn:aws:sagemaker:us-east-1:111111111111:cluster/abcdefghij12"
P5 = InstanceGroup(name="p5", instance_type="p5.48xlarge", count=2)
TEAM = Team(name="research", quotas=(TeamQuota(pool="p5", devices=8, memory_gib=100),))
PLAN = TeamPlan(teams=(TEAM,), hyperpod_groups=(P5,), governed=True)


def governance_in(region: str) -> Template:
    """Return the template of a policy and a quota in a stack of ``region``."""
    root = app()
    root.node.set_context(f"availability-zones:account=111111111111:region={region}", ZONES)
    environment = cdk.Environment(account="111111111111", region=region)
    stack = cdk.Stack(root, "Test", env=environment)
    key = CustomerKey(stack, "Key", description="Encrypts logs")
    key.allow_log_groups()
    TaskGovernance(
        stack,
        "TaskGovernance",
        cluster=cluster_in(stack),
        cluster_arn=ARN,
        plan=PLAN,
        file_system=None,
        code=governance_code(LAMBDAS),
        encryption_key=key,
        after=[],
    )
    return Template(root.synth().get_stack_by_name("Test").template)


@pytest.mark.parametrize("kind", list(GovernanceKind))
def test_regions_without_a_resource_are_those_of_the_registry(kind: GovernanceKind) -> None:
    regions = PROVIDER_SCHEMA_MANAGER.get_resource_schemas_by_regions(
        f"AWS::SageMaker::{kind}", sorted(HYPERPOD_REGIONS)
    )
    listed = {region for names, _ in regions for region in names}
    assert {r for r in HYPERPOD_REGIONS if has_governance_resource(kind, r)} == listed


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        (GovernanceKind.SCHEDULING_POLICY, scheduling_policy(ARN)),
        (GovernanceKind.QUOTA, compute_quota(TEAM, PLAN, ARN)),
    ],
)
def test_properties_are_those_of_the_registry(
    kind: GovernanceKind, properties: Mapping[str, Any]
) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(
        "us-east-1", f"AWS::SageMaker::{kind}"
    ).schema
    assert list(Draft7Validator(schema).iter_errors(dict(properties))) == []


def test_cloudformation_makes_both_where_it_can() -> None:
    template = governance_in("us-east-1")
    assert template.only("AWS::SageMaker::ClusterSchedulerConfig") == scheduling_policy(ARN)
    assert template.only("AWS::SageMaker::ComputeQuota") == compute_quota(TEAM, PLAN, ARN)
    assert template.of_type("Custom::HyperPodGovernance") == {}
    assert "task_governance" not in str(template.properties("AWS::Lambda::Function"))


@pytest.fixture(scope="module")
def by_function() -> Template:
    return governance_in("ap-south-2")


def test_one_function_makes_both_elsewhere(by_function: Template) -> None:
    made = by_function.properties("Custom::HyperPodGovernance")
    assert {one["Kind"]: json.loads(one["Configuration"]) for one in made} == {
        "ClusterSchedulerConfig": scheduling_policy(ARN),
        "ComputeQuota": compute_quota(TEAM, PLAN, ARN),
    }
    assert len({json.dumps(one["ServiceToken"]) for one in made}) == 1


def test_the_function_keeps_its_permissions_until_the_last_object_is_gone(
    by_function: Template,
) -> None:
    policies = {
        key
        for key, resource in by_function.of_type("AWS::IAM::Policy").items()
        if "sagemaker:CreateComputeQuota" in str(resource)
    }
    assert policies
    for made in by_function.of_type("Custom::HyperPodGovernance"):
        assert policies <= predecessors(by_function, made)


def test_the_function_may_do_nothing_else(by_function: Template) -> None:
    (statements,) = [
        policy["PolicyDocument"]["Statement"]
        for policy in by_function.properties("AWS::IAM::Policy")
        if "sagemaker:CreateComputeQuota" in str(policy)
    ]
    actions = {
        action
        for statement in statements
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    verbs = ("Create", "Delete", "Describe", "Update")
    assert actions == {
        *(f"sagemaker:{verb}{kind}" for verb in verbs for kind in GovernanceKind),
        "sagemaker:DescribeCluster",
        "eks:DescribeCluster",
        "eks:AssociateAccessPolicy",
        "eks:DescribeAccessEntry",
        "eks:DisassociateAccessPolicy",
        "eks:ListAssociatedAccessPolicies",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }
    assert all(statement["Resource"] != "*" for statement in statements)
    (gives,) = [one for one in statements if "eks:AssociateAccessPolicy" in one["Action"]]
    assert "cluster-access-policy/AmazonSagemakerHyperpod*" in str(gives["Condition"])
