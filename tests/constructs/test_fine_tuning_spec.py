"""What an environment may say about fine-tuning, and what is refused before anything is made."""

from pathlib import Path
from typing import Any

import botocore.session
import pytest

from llm_constructs.specs.customizable_models import CUSTOMIZABLE_MODELS, RecordFormat
from llm_constructs.specs.fine_tuning import (
    BedrockFineTuning,
    DatasetRules,
    FineTuning,
    LoggedMetric,
    QualityGate,
    SageMakerFineTuning,
)
from llm_constructs.specs.network import Capability
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.region import REGIONS
from llm_constructs.specs.residency import CustomModelDeployment, ModelReference
from tests.minimal_environment import loaded, minimal, problems_of

PROMPTS = DatasetRules(format=RecordFormat.PROMPT_COMPLETION)
NOVA = "amazon.nova-micro-v1:0:128k"
SAGEMAKER: dict[str, Any] = {
    "repository": "llm/fine-tuning",
    "version": "1.0.0",
    "base_weights": "qwen3-4b/2026-11-01/",
    "instance_type": "p5.48xlarge",
}

HEAD = minimal("us-west-2")

TABLE = """
[fine_tuning.bedrock]
base_model = "meta.llama3-3-70b-instruct-v1:0:128k"
"""

DEPLOYED = """
[gateway]
[[gateway.models]]
alias = "support"
model_id = "arn:aws:bedrock:{region}:{account}:custom-model-deployment/abcdefghijkl"
context_tokens = 128000
max_output_tokens = 8192
price = {{ input = 720000, output = 720000 }}
"""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"base_model": "amazon.nova-2-lite-v1:0"}, "does not tune it"),
        ({"hyperparameters": {"epochCount": "6"}}, "between 1 and 5"),
        ({"hyperparameters": {"epochCount": "2.5"}}, "between 1 and 5"),
        ({"hyperparameters": {"batchSize": "1"}}, "no such hyperparameter"),
        ({"dataset": PROMPTS}, "learns from other records"),
        ({"training_hours": 0}, "Give 1 to 120"),
    ],
)
def test_what_bedrock_would_refuse_is_refused_first(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecificationError, match=told):
        BedrockFineTuning(**{"base_model": NOVA, **given})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"instance_type": "m7i.2xlarge"}, "no accelerator"),
        ({"instance_type": "p9.huge"}, "instance_type"),
        ({"base_weights": "/models"}, "no folder of the models area"),
        ({"version": "latest"}, "version"),
        ({"instances": 0}, "at least 1"),
        ({"training_hours": 121}, "Give 1 to 120"),
    ],
)
def test_what_sagemaker_would_refuse_is_refused_first(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecificationError, match=told):
        SageMakerFineTuning(**{**SAGEMAKER, **given})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"pattern": "loss=("}, "Correct the regular expression"),
        ({"pattern": "loss=1"}, "out of its one group"),
        ({"pattern": f"({'a' * 500})"}, "within 500 letters"),
        ({"name": "the loss"}, "SageMaker and CloudWatch take"),
        ({"at_most": None}, "compared with one bound"),
        ({"at_least": 0.5}, "compared with one bound"),
    ],
)
def test_a_measure_that_nothing_could_compare_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecificationError, match=told):
        LoggedMetric(**{"pattern": "loss=([0-9.]+)", "at_most": 0.0, **given})


def test_a_measure_says_what_it_demands() -> None:
    assert LoggedMetric(pattern="(.)", at_most=0.0).demand == "at most 0"
    assert LoggedMetric(pattern="(.)", at_least=0.75).demand == "at least 0.75"


def test_weights_are_measured_or_approved() -> None:
    unmeasured = SageMakerFineTuning(**SAGEMAKER)
    with pytest.raises(SpecificationError, match="Neither a measure nor a person"):
        FineTuning(sagemaker=unmeasured)
    assert FineTuning(sagemaker=unmeasured, approvers=("lead@example.com",)).approvers


@pytest.mark.parametrize("name", ["f1_percent", "gain_points", "refusal_points"])
def test_a_gate_is_a_percentage(name: str) -> None:
    with pytest.raises(SpecificationError, match="percentage"):
        QualityGate(**{name: 101})


def test_nothing_to_tune_and_nobody_to_ask_are_told_together() -> None:
    with pytest.raises(SpecificationError) as caught:
        FineTuning(approvers=("nobody",), approval_hours=0, log_retention_days=2)
    for told in ("Nothing would be tuned", "no e-mail", "two weeks", "certain numbers of days"):
        assert told in str(caught.value)


def test_the_catalogue_names_regions_and_models_that_the_platform_knows() -> None:
    for name, model in CUSTOMIZABLE_MODELS.items():
        assert model.regions <= REGIONS.keys(), name
        answering = ModelReference.parse(model.evaluated_as)
        assert name.startswith(answering.foundation_model), name


def test_two_lines_make_a_pipeline_and_ask_for_its_endpoint(tmp_path: Path) -> None:
    environment = loaded(tmp_path, f"{HEAD}[data]\n{TABLE}")
    assert environment.fine_tuning is not None
    assert Capability.FINE_TUNING in environment.capabilities


def test_without_a_lake_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    assert "fine_tuning: The pipelines read and write the lake" in problems_of(
        tmp_path, HEAD + TABLE
    )


def test_a_model_that_the_region_does_not_tune_is_refused(tmp_path: Path) -> None:
    told = problems_of(tmp_path, f'{HEAD}[data]\n[fine_tuning.bedrock]\nbase_model = "{NOVA}"\n')
    assert "Bedrock does not tune it in us-west-2" in told
    assert "us-east-1" in told


def test_the_gateway_offers_a_deployment_of_its_own_account_and_region(tmp_path: Path) -> None:
    text = HEAD + DEPLOYED.format(region="us-west-2", account="111111111111")
    gateway = loaded(tmp_path, text).gateway
    assert gateway is not None
    (entry,) = gateway.catalogue().values()
    assert entry["model_id"].endswith("custom-model-deployment/abcdefghijkl")


@pytest.mark.parametrize(
    ("region", "account"), [("us-east-1", "111111111111"), ("us-west-2", "222222222222")]
)
def test_a_deployment_that_is_elsewhere_is_refused(
    region: str, account: str, tmp_path: Path
) -> None:
    told = problems_of(tmp_path, HEAD + DEPLOYED.format(region=region, account=account))
    assert "answers in the account and region of its deployment" in told


def test_a_deployment_needs_its_price(tmp_path: Path) -> None:
    text = HEAD + DEPLOYED.format(region="us-west-2", account="111111111111")
    told = problems_of(tmp_path, text.replace("price = ", "# price = "))
    assert "gateway.models.0.price" in told


def test_deployments_are_told_by_the_pattern_of_the_service() -> None:
    model = botocore.session.get_session().get_service_model("bedrock")
    shape = model.operation_model("CreateCustomModelDeployment").output_shape
    assert shape is not None
    pattern = str(shape.members["customModelDeploymentArn"].metadata["pattern"])
    assert "custom-model-deployment/[a-z0-9]{12}" in pattern
    arn = "arn:aws-us-gov:bedrock:us-gov-west-1:111111111111:custom-model-deployment/abcdefghijkl"
    found = CustomModelDeployment.parse(arn)
    assert found == CustomModelDeployment(arn, "111111111111", "us-gov-west-1")
    assert CustomModelDeployment.parse(arn.replace("abcdefghijkl", "abc")) is None
    assert CustomModelDeployment.parse(NOVA) is None
