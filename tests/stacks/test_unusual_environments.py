"""Environments unlike the project's own: somebody else's VPC, and one without a way out."""

from pathlib import Path

import pytest

from ops.kubernetes.consistency import problems_of
from ops.kubernetes.contents import clusters
from tests.minimal_environment import EXISTING_VPC, without_network
from tests.team_environment import TeamEnvironment

IN_AN_EXISTING_VPC = (
    without_network("us-west-2")
    + EXISTING_VPC
    + """
[data]

[lustre]

[eks.cluster]
gpu_monitoring = "prometheus"

[eks.system_nodes]
ami_release = "1.36.3-20260903"

[[eks.pools]]
name = "general"
instance_families = ["m7g"]
max_vcpus = 64
ami_version = "v20260903"

[[eks.pools]]
name = "gpus"
instance_types = ["g6e.2xlarge"]
max_devices = 8
ami_version = "v20260903"

[eks.controllers]
mounted_models = ["llama-4"]

[[eks.teams]]
name = "research"
namespaces = ["training"]
quotas = [{ pool = "gpus", devices = 8 }]

# Nodes of HyperPod in the EKS cluster.
[training]
orchestrator = "eks"
unlisted_kubernetes = true
auto_scaling = true

[[training.groups]]
name = "p5"
instance_type = "p5.48xlarge"
fallback_types = ["p5en.48xlarge"]
count = 1

[[gateway.models]]
alias = "fast"
model_id = "us.amazon.nova-2-lite-v1:0"
"""
)

CLOSED = (
    without_network("eu-central-1", "eu")
    + """
[network]
endpoints_for = ["training", "curation", "endpoints", "knowledge", "observability"]

[network.vpc]
cidr = "172.20.0.0/18"
availability_zones = ["eu-central-1a", "eu-central-1b"]
nat_gateways = "closed"

[network.flow_logs]
destination = "s3"
retention_days = 100

[data.replication]
region = "eu-west-1"
data_classes = ["corpus", "artifacts", "logs"]

[training]

[[training.groups]]
name = "controller"
role = "controller"
instance_type = "m7i.2xlarge"
count = 1

[[training.groups]]
name = "cpu"
instance_type = "m7i.4xlarge"
count = 2

[gateway]
private = true

[[gateway.models]]
alias = "standard"
model_id = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
"""
)

NETWORK_ALONE = (
    without_network("ap-northeast-1", "jp")
    + """
[network.vpc]
cidr = "192.168.0.0/17"
availability_zones = ["ap-northeast-1a", "ap-northeast-1c"]
nat_gateways = "none"
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "stacks"),
    [
        (IN_AN_EXISTING_VPC, {"data", "eks", "gateway", "network", "training"}),
        (CLOSED, {"data", "gateway", "network", "replica", "training"}),
        (NETWORK_ALONE, {"network"}),
    ],
    ids=["existing VPC", "closed", "network alone"],
)
def test_it_synthesises_without_a_finding(text: str, stacks: set[str], tmp_path: Path) -> None:
    environment = TeamEnvironment(text, tmp_path)

    made = {stack.stack_name for stack in environment.assembly.stacks}
    assert made == {f"llm-team-{stack}" for stack in stacks}
    assert environment.findings == []
    for contents in clusters(environment.directory):
        assert problems_of(contents) == ()
        (group,) = contents.hyperpod_groups
        assert (group.name, group.instance_types) == ("p5", ("p5.48xlarge", "p5en.48xlarge"))
        assert (group.count, group.efa) == (1, True)
        assert group.labels["nvidia.com/gpu.present"] == "true"
