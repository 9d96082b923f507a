"""An environment whose nodes EKS Auto Mode runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from config import ConfigError
from llm_constructs.specs.problem import SpecificationError
from ops.kubernetes.consistency import check_clusters
from ops.kubernetes.contents import ClusterContents
from tests.constructs.references import predecessors
from tests.constructs.synthesis import Template
from tests.minimal_environment import MINIMAL_WITH_ACCELERATORS, loaded
from tests.team_environment import TeamEnvironment

TEAM = (
    MINIMAL_WITH_ACCELERATORS
    + """
[network.domain]
name = "llm.example.com"
hosted_zone_id = "Z1"

[eks.cluster]
compute = "auto-mode"

[[eks.pools]]
name = "general"
instance_families = ["m7g"]
max_vcpus = 64
expire_after_hours = 336

[[eks.pools]]
name = "gpus"
workload = "training"
instance_types = ["p5en.48xlarge"]
capacity_types = ["reserved"]
reservation_ids = ["cr-0123456789abcdef0"]
zones = ["us-east-2b"]
max_devices = 16

[eks.controllers]
leader_worker_set = true

[[eks.teams]]
name = "research"
namespaces = ["training"]
quotas = [{ pool = "gpus", devices = 8 }]
"""
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> TeamEnvironment:
    return TeamEnvironment(TEAM, tmp_path_factory.mktemp("auto-mode"))


@pytest.fixture(scope="module")
def template(environment: TeamEnvironment) -> Template:
    return environment.template("eks")


@pytest.fixture
def contents(environment: TeamEnvironment) -> ClusterContents:
    return environment.contents


pytestmark = pytest.mark.slow


def test_it_synthesises_without_a_finding_and_fits_together(
    environment: TeamEnvironment, contents: ClusterContents
) -> None:
    assert environment.findings == []
    assert contents.automatic
    check_clusters([contents])


def test_eks_runs_nodes_disks_and_load_balancers_and_none_of_its_own_pools(
    template: Template,
) -> None:
    cluster = template.only("AWS::EKS::Cluster")
    assert cluster["ComputeConfig"] == {"Enabled": True, "NodePools": []}
    assert cluster["StorageConfig"] == {"BlockStorage": {"Enabled": True}}
    assert cluster["KubernetesNetworkConfig"]["ElasticLoadBalancing"] == {"Enabled": True}
    assert cluster["ResourcesVpcConfig"]["EndpointPublicAccess"] is False
    assert template.of_type("AWS::EKS::Nodegroup") == {}


def test_the_control_plane_may_run_nodes_in_sessions_with_tags(template: Template) -> None:
    (role,) = [
        body
        for key, body in template.of_type("AWS::IAM::Role").items()
        if key.startswith("ClusterRole")
    ]
    (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {"sts:AssumeRole", "sts:TagSession"}
    attached = [json.dumps(arn) for arn in role["Properties"]["ManagedPolicyArns"]]
    assert len(set(attached)) == len(attached) == 5


def test_nothing_is_installed_that_eks_brings(
    template: Template, contents: ClusterContents
) -> None:
    addons = {addon["AddonName"] for addon in template.properties("AWS::EKS::Addon")}
    assert addons == {"metrics-server", "amazon-cloudwatch-observability"}
    assert {each.release for each in contents.releases} == {"external-dns", "keda", "kueue", "lws"}


def objects(contents: ClusterContents, kind: str) -> dict[str, Any]:
    return {made.name: made.body for made in contents.of_kind(kind)}


def test_pools_are_those_of_karpenter_with_a_class_of_eks(contents: ClusterContents) -> None:
    classes, pools = objects(contents, "NodeClass"), objects(contents, "NodePool")
    assert set(classes) == set(pools) == {"general", "gpus"}
    for name, pool in pools.items():
        reference = pool["spec"]["template"]["spec"]["nodeClassRef"]
        assert reference == {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": name}
    gpus = classes["gpus"]["spec"]
    assert gpus["capacityReservationSelectorTerms"] == [{"id": "cr-0123456789abcdef0"}]
    assert len(gpus["subnetSelectorTerms"]) == 1
    assert len(classes["general"]["spec"]["subnetSelectorTerms"]) == 2
    assert gpus["ephemeralStorage"]["kmsKeyID"].startswith("arn:aws:kms:")
    template = pools["gpus"]["spec"]["template"]["spec"]
    assert template["taints"] == [
        {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    ]
    # EKS's limit of three weeks holds where nothing is said.
    assert "expireAfter" not in template
    assert pools["general"]["spec"]["template"]["spec"]["expireAfter"] == "336h"


def test_nodes_join_by_an_entry_of_their_own(template: Template) -> None:
    (entry,) = [
        each for each in template.properties("AWS::EKS::AccessEntry") if each.get("Type") == "EC2"
    ]
    assert "NodeRole" in json.dumps(entry["PrincipalArn"])
    assert "AmazonEKSAutoNodePolicy" in json.dumps(entry["AccessPolicies"])


def test_claims_without_a_class_get_volumes_of_eks(contents: ClusterContents) -> None:
    (storage,) = objects(contents, "StorageClass").values()
    assert storage["provisioner"] == "ebs.csi.eks.amazonaws.com"


def test_charts_go_before_the_pools_whose_nodes_they_run_on(
    template: Template, contents: ClusterContents
) -> None:
    pools = {made.logical_id for made in contents.of_kind("NodePool")}
    for release in contents.releases:
        assert pools <= predecessors(template, release.logical_id)
    for addon in template.of_type("AWS::EKS::Addon"):
        assert pools <= predecessors(template, addon)


POOL = "[[eks.pools]]"
SERVING = """
[data]
[[serving.models]]
name = "qwen"
source = { path = "qwen/1" }
shape = { parameters_billions = 8.2, layers = 36, attention_heads = 32, key_value_heads = 8 }
pool = "gpus"
instance_type = "p5en.48xlarge"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEAM.replace("max_devices = 16", "max_devices = 16\nefa = true"), "gpus.efa = True"),
        (
            TEAM.replace('capacity_types = ["reserved"]', "placement_group = true").replace(
                'reservation_ids = ["cr-0123456789abcdef0"]', 'capacity_types = ["on-demand"]'
            ),
            "EKS Auto Mode knows no placement groups.",
        ),
        (TEAM.replace("max_vcpus = 64", 'max_vcpus = 64\nami_version = "v20260903"'), "the image"),
        (TEAM.replace("336", "600"), "every node after 504 hours"),
        (TEAM + '[eks.system_nodes]\ninstance_type = "m7g.large"\n', "system_nodes = 'm7g.large'"),
        (TEAM.replace('"m7g"', '"g6e"').replace("max_vcpus = 64", "max_devices = 8"), "no node"),
        (
            TEAM.replace('"auto-mode"', '"auto-mode"\ngpu_monitoring = "metrics"'),
            "a second DCGM breaks them",
        ),
        (
            TEAM + "[data]\n[lustre]\ncapacity_gib = 4800\n",
            "lustre: Nodes of EKS Auto Mode run",
        ),
        (
            TEAM.replace("leader_worker_set = true", 'mounted_models = ["a"]') + "[data]\n",
            "Their driver is not tried",
        ),
        (TEAM + SERVING, "serving = ['qwen']: Model servers wait for"),
        (
            TEAM.replace("p5en.48xlarge", "inf2.24xlarge").replace(
                'capacity_types = ["reserved"]\nreservation_ids = ["cr-0123456789abcdef0"]\n', ""
            ),
            "needs the Neuron scheduler",
        ),
        (
            TEAM
            + '[[eks.groups]]\nname = "block"\ninstance_type = "p5en.48xlarge"\nnodes = 2\n'
            + 'zone = "us-east-2b"\nami_release = "1.36.3-20260903"\nreservation_group_arn = '
            + '"arn:aws:resource-groups:us-east-2:111111111111:group/p5en"\n',
            "groups = 'block'",
        ),
    ],
    ids=lambda value: "" if len(value) > 100 else value,
)
def test_what_auto_mode_cannot_do_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises((ConfigError, SpecificationError)) as caught:
        loaded(tmp_path, text)
    assert told in str(caught.value)
