"""Whole clusters under each choice of who runs DCGM, and with everything optional turned off."""

import json
from pathlib import Path
from typing import Any

import pytest

from llm_constructs.specs.eks import GpuMonitoring
from stacks.platform import build_app
from tests.constructs.synthesis import Template
from tests.minimal_environment import MINIMAL, loaded

pytestmark = pytest.mark.slow

CHARTS = "Custom::AWSCDK-EKS-HelmChart"

ENVIRONMENT = (
    MINIMAL
    + """
[[eks.pools]]
name = "gpus"
instance_types = ["g6e.2xlarge"]
max_devices = 8
ami_version = "v20260903"

[[eks.pools]]
name = "neuron"
instance_types = ["inf2.24xlarge"]
max_devices = 12
ami_version = "v20260903"
"""
)


def cluster(tmp_path: Path, tables: str) -> Template:
    app = build_app([loaded(tmp_path, f"{ENVIRONMENT}{tables}")], outdir=tmp_path / "out")
    return Template(app.synth().get_stack_by_name("llm-team-eks").template)


def values_of(template: Template) -> dict[str, dict[str, Any]]:
    """Return the values of each release whose values hold no reference."""
    return {
        chart["Release"]: json.loads(chart["Values"])
        for chart in template.properties(CHARTS)
        if isinstance(chart.get("Values"), str)
    }


def objects(template: Template) -> str:
    return json.dumps(template.properties("Custom::AWSCDK-EKS-KubernetesResource"))


@pytest.mark.parametrize("monitoring", GpuMonitoring)
def test_one_program_runs_dcgm_and_somebody_watches_neuron_devices(
    monitoring: GpuMonitoring, tmp_path: Path
) -> None:
    template = cluster(tmp_path, f'[eks.cluster]\ngpu_monitoring = "{monitoring}"\n')
    addons = {
        addon["AddonName"]: json.loads(addon.get("ConfigurationValues", "{}"))
        for addon in template.properties("AWS::EKS::Addon")
    }
    kubernetes = addons["amazon-cloudwatch-observability"]["agent"]["config"]["logs"]
    insights = kubernetes["metrics_collected"]["kubernetes"]["accelerated_compute_metrics"]
    charts = values_of(template)
    owners = {
        GpuMonitoring.NODE_REPAIR: "eks-node-monitoring-agent" in addons,
        GpuMonitoring.METRICS: insights,
        GpuMonitoring.PROMETHEUS: "dcgm-exporter" in charts,
    }
    assert [owner for owner, runs in owners.items() if runs] == [monitoring]
    # Container Insights brings a Neuron monitor of its own, and the agent a problem detector.
    assert ("neuron-monitor" in objects(template)) is not insights
    reports = charts["neuron-helm-chart"]["npd"]["enabled"]
    assert reports is ("eks-node-monitoring-agent" not in addons)
    # Nobody else replaces the nodes of pools that the agent finds broken.
    (karpenter,) = [
        json.dumps(chart["Values"])
        for chart in template.properties(CHARTS)
        if chart["Release"] == "karpenter"
    ]
    assert ("nodeRepair" in karpenter) is ("eks-node-monitoring-agent" in addons)


def test_a_cluster_without_anything_optional_has_only_what_its_nodes_need(tmp_path: Path) -> None:
    template = cluster(
        tmp_path,
        "[eks.controllers]\nautoscaling = false\n[eks.prometheus]\nenabled = false\n",
    )
    releases = {chart["Release"] for chart in template.properties(CHARTS)}
    assert releases == {
        "aws-load-balancer-controller",
        "karpenter",
        "karpenter-crd",
        "neuron-helm-chart",
        "nvidia-device-plugin",
    }
    assert template.of_type("AWS::APS::Workspace") == {}
    assert "neuron-monitor" not in objects(template)
