"""The load balancer controller, the device plugins and the workloads' namespaces."""

import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
import pytest

from llm_constructs.device_plugins import (
    UNCHECKED_NODE,
    DevicePlugins,
    efa_values,
    neuron_values,
    nvidia_values,
)
from llm_constructs.load_balancer_controller import LoadBalancerController
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.controller_charts import EFA_DEVICE_PLUGIN, NEURON, NVIDIA_DEVICE_PLUGIN
from llm_constructs.specs.instance_type import DeviceKind, InstanceType
from llm_constructs.workload_namespaces import WorkloadNamespaces
from tests.constructs.eks import cluster_in
from tests.constructs.references import predecessors
from tests.constructs.synthesis import Template, synthesised

TAG = "elbv2.k8s.aws/cluster"


def build(stack: cdk.Stack) -> None:
    cluster = cluster_in(stack)
    LoadBalancerController(stack, "Controller", cluster=cluster)
    WorkloadNamespaces(
        stack, "Namespaces", cluster=cluster, names=["serving", "batch-work"], file_system=None
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(build)


def statements(template: Template) -> list[dict[str, Any]]:
    (policy,) = [
        body["Properties"]["PolicyDocument"]["Statement"]
        for key, body in template.of_type("AWS::IAM::Policy").items()
        if key.startswith("Controller")
    ]
    return list(policy)


def actions_of(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


@pytest.mark.parametrize(
    "action",
    [
        "ec2:DeleteSecurityGroup",
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:CreateTargetGroup",
        "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup",
        "elasticloadbalancing:ModifyLoadBalancerAttributes",
        "elasticloadbalancing:SetSecurityGroups",
    ],
)
def test_load_balancers_and_groups_are_made_and_deleted_with_the_clusters_tag(
    template: Template, action: str
) -> None:
    allowing = [s for s in statements(template) if action in actions_of(s)]
    assert allowing
    for statement in allowing:
        equal = statement["Condition"]["StringEquals"]
        assert {value for key, value in equal.items() if key.endswith(TAG)} == {"test"}


def test_the_controller_opens_only_the_nodes_group(template: Template) -> None:
    (opening,) = [
        s
        for s in statements(template)
        if "ec2:AuthorizeSecurityGroupIngress" in actions_of(s) and "Condition" not in s
    ]
    assert "ClusterSecurityGroupId" in json.dumps(opening["Resource"])


def test_everything_else_is_read_alone(template: Template) -> None:
    (reading,) = [s for s in statements(template) if s["Resource"] == "*"]
    verbs = {action.split(":")[1][:3] for action in actions_of(reading)}
    assert verbs == {"Des", "Get", "Lis"}


def test_the_controllers_policy_fits_into_a_role(template: Template) -> None:
    assert len(json.dumps(statements(template))) < 10_240


def test_the_chart_is_told_what_it_would_ask_the_metadata_for(template: Template) -> None:
    (chart,) = template.properties("Custom::AWSCDK-EKS-HelmChart")
    values = json.dumps(chart["Values"])
    for said in ('\\"region\\":\\"us-east-2\\"', '\\"clusterName\\":\\"test\\"', "Vpc"):
        assert said in values
    association = template.only("AWS::EKS::PodIdentityAssociation")
    assert association["ServiceAccount"] in values
    assert association["Namespace"] == chart["Namespace"]


def test_the_controllers_webhooks_hinder_no_other_chart_and_answer_ingresses(
    template: Template,
) -> None:
    (chart,) = template.properties("Custom::AWSCDK-EKS-HelmChart")
    assert '\\"enableServiceMutatorWebhook\\":false' in json.dumps(chart["Values"])
    assert chart["Wait"] is True


def test_the_controllers_webhooks_answer_through_upgrades_and_while_nodes_are_replaced(
    template: Template,
) -> None:
    (chart,) = template.properties("Custom::AWSCDK-EKS-HelmChart")
    values = json.dumps(chart["Values"])
    # Their certificate stays, one copy stays, and no node evicts them first.
    assert '\\"keepTLSSecret\\":true' in values
    assert '\\"podDisruptionBudget\\":{\\"maxUnavailable\\":1}' in values
    assert '\\"requests\\":{\\"cpu\\":' in values


def test_the_controllers_role_outlives_its_chart(template: Template) -> None:
    (chart,) = template.of_type("Custom::AWSCDK-EKS-HelmChart")
    before = predecessors(template, chart)
    assert set(template.of_type("AWS::EKS::PodIdentityAssociation")) <= before
    assert any(key.startswith("ControllerRoleDefaultPolicy") for key in before)


def test_workloads_cannot_gain_privileges_on_their_node(template: Template) -> None:
    made = [
        json.loads(body["Manifest"])[0]
        for body in template.properties("Custom::AWSCDK-EKS-KubernetesResource")
    ]
    assert [namespace["metadata"]["name"] for namespace in made] == ["serving", "batch-work"]
    for namespace in made:
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "baseline"


@pytest.mark.parametrize(
    ("kinds", "efa", "expected"),
    [
        ((), False, set()),
        ((DeviceKind.NONE,), False, set()),
        ((DeviceKind.NVIDIA,), False, {NVIDIA_DEVICE_PLUGIN.name}),
        ((DeviceKind.NVIDIA,), True, {NVIDIA_DEVICE_PLUGIN.name, EFA_DEVICE_PLUGIN.name}),
        (
            (DeviceKind.NVIDIA, DeviceKind.NEURON),
            True,
            {NVIDIA_DEVICE_PLUGIN.name, NEURON.name, EFA_DEVICE_PLUGIN.name},
        ),
    ],
)
def test_plugins_come_with_the_devices(
    kinds: tuple[DeviceKind, ...], efa: bool, expected: set[str]
) -> None:
    template = synthesised(
        lambda stack: DevicePlugins(
            stack, "Plugins", cluster=cluster_in(stack), kinds=kinds, efa=efa
        )
    )
    charts = template.properties("Custom::AWSCDK-EKS-HelmChart")
    assert {chart["Chart"] for chart in charts} == expected


@pytest.mark.parametrize("row", INSTANCE_TYPES.values(), ids=lambda row: row.name)
def test_the_plugins_of_a_type_run_on_its_nodes(row: InstanceType) -> None:
    for efa in (False, True) if row.efa else (False,):
        labels = row.labels(efa=efa)
        if row.device_kind is DeviceKind.NVIDIA:
            assert nvidia_values()["nodeSelector"].items() <= labels.items()
            assert tolerates(nvidia_values(), row)
        if row.device_kind is DeviceKind.NEURON:
            selected = neuron_values(kubernetes_version="1.36", topology=False, problems=False)
            assert {row.name, row.sagemaker_name} - {None} <= set(selected["neuronInstances"])
        if efa and row.device_kind is not DeviceKind.NONE:
            wanted = efa_values()["supportedInstanceLabels"]
            assert (
                dict(zip(wanted["keys"], wanted["values"], strict=True)).items() <= labels.items()
            )
            assert tolerates(efa_values(), row)


@pytest.mark.parametrize("values", [nvidia_values(), efa_values()], ids=["NVIDIA", "EFA"])
def test_devices_of_a_node_that_hyperpod_checks_are_counted(values: Mapping[str, Any]) -> None:
    assert UNCHECKED_NODE in values["tolerations"]
    assert UNCHECKED_NODE["key"] == "sagemaker.amazonaws.com/node-health-status"


def tolerates(values: Mapping[str, Any], row: InstanceType) -> bool:
    tolerated = {(each["key"], each["effect"]) for each in values["tolerations"]}
    return {(taint.key, taint.effect) for taint in row.taints()} <= tolerated
