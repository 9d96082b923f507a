"""What an environment's file may say about training, and how it is refused."""

from pathlib import Path

import pytest

from config import environment_names, load
from llm_constructs.endpoints import services_for
from llm_constructs.specs.hyperpod import Orchestrator
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.network import Capability
from tests.minimal_environment import MINIMAL_WITH_ACCELERATORS, loaded, problems_of

HEAD = MINIMAL_WITH_ACCELERATORS

TRAINING = """
[training]

[[training.groups]]
name = "controller"
role = "controller"
instance_type = "m7i.2xlarge"
count = 1

[[training.groups]]
name = "trn2"
instance_type = "trn2.48xlarge"
count = 2
"""

PLAN = """
[training.groups.training_plan]
arn = "arn:aws:sagemaker:us-east-2:111111111111:training-plan/trn2"
zone = "us-east-2b"
nodes = 2
end = 2027-03-08T11:30:00Z
"""


def test_a_cluster_needs_a_controller_and_nodes(tmp_path: Path) -> None:
    environment = loaded(tmp_path, HEAD + TRAINING + PLAN)
    assert environment.training is not None
    assert environment.training.orchestrator is Orchestrator.SLURM
    plan = environment.training.groups[1].training_plan
    assert plan is not None
    assert plan.notice_at is not None
    assert Capability.TRAINING in environment.capabilities


def test_a_closed_network_has_every_endpoint_that_nodes_call(tmp_path: Path) -> None:
    environment = loaded(tmp_path, f'{HEAD}nat_gateways = "closed"\n{TRAINING}')
    services = set(services_for(environment.capabilities))
    # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites.html
    assert services >= {
        *("CLOUDWATCH_LOGS", "CLOUDWATCH_MONITORING", "EC2", "EC2_MESSAGES", "ECR", "ECR_DOCKER"),
        *("EKS_AUTH", "FSX", "KMS", "SAGEMAKER_API", "SECRETS_MANAGER", "SSM", "SSM_MESSAGES"),
        "STS",
    }


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (("trn2.48xlarge", "trn2.3xlarge"), "training.groups.1.instance_type", "no such size"),
        (
            ('"trn2"\ninstance', '"controller"\ninstance'),
            "training.groups",
            "Give each a name of its own.",
        ),
        (
            ("count = 2", 'count = 2\nzone = "us-east-2a"'),
            "training.groups.trn2.zone",
            "The accelerator subnet lies in us-east-2b",
        ),
        (
            ("[training]", '[training]\norchestrator = "eks"'),
            "training.groups.controller.role",
            "EKS runs its control plane itself",
        ),
        (
            ("[training]", "[training]\nspeed = 5"),
            "training.speed",
            "",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place_in_the_file(
    change: tuple[str, str], field: str, message: str, tmp_path: Path
) -> None:
    told = problems_of(tmp_path, HEAD + TRAINING.replace(*change))
    assert field in told
    assert message in told


def test_a_plan_elsewhere_is_refused_before_anything_is_deployed(tmp_path: Path) -> None:
    elsewhere = PLAN.replace("us-east-2b", "us-east-2a").replace("1111", "2222")
    told = problems_of(tmp_path, HEAD + TRAINING + elsewhere)
    assert "training.groups.trn2.training_plan.zone = 'us-east-2a'" in told
    assert "plans are not shared" in told


def test_govcloud_and_regions_without_trainium_are_refused(tmp_path: Path) -> None:
    oregon = problems_of(tmp_path, (HEAD + TRAINING).replace("us-east-2", "us-west-2"))
    assert "SageMaker has no price for HyperPod nodes of it in us-west-2" in oregon
    governed = (HEAD + TRAINING).replace("us-east-2", "us-gov-west-1").replace('"us"', '"us-gov"')
    assert "GovCloud's CloudFormation has no AWS::SageMaker::Cluster." in problems_of(
        tmp_path, governed
    )


def test_every_environment_trains_and_production_on_trainium_with_a_plan() -> None:
    # An emulator has no nodes to train on (docs/adr/0044).
    names = set(environment_names()) - {"local"}
    tables = {name: load(name).training for name in names}
    assert all(tables.values())
    production = tables["prod"]
    assert production is not None
    planned = [group for group in production.groups if group.training_plan is not None]
    assert [group.row.device_kind for group in planned] == [DeviceKind.NEURON]
