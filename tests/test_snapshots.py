"""The templates of every environment, whole."""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ops.snapshot import scrubbed
from tests.assembly import Assembly

STACKS = (
    "llm-dev-curation",
    "llm-dev-data",
    "llm-dev-eks",
    "llm-dev-fine-tuning",
    "llm-dev-gateway",
    "llm-dev-network",
    "llm-dev-observability",
    "llm-dev-serving",
    "llm-dev-training",
    "llm-local-data",
    "llm-local-gateway",
    "llm-local-network",
    "llm-local-observability",
    "llm-prod-curation",
    "llm-prod-data",
    "llm-prod-eks",
    "llm-prod-fine-tuning",
    "llm-prod-gateway",
    "llm-prod-governance",
    "llm-prod-network",
    "llm-prod-observability",
    "llm-prod-replica",
    "llm-prod-serving",
    "llm-prod-training",
    "llm-staging-curation",
    "llm-staging-data",
    "llm-staging-eks",
    "llm-staging-fine-tuning",
    "llm-staging-gateway",
    "llm-staging-network",
    "llm-staging-observability",
    "llm-staging-serving",
    "llm-staging-training",
)


@pytest.mark.synth
@pytest.mark.parametrize("stack", STACKS)
def test_template_of_each_stack(
    stack: str, assembly: Assembly, snapshot: SnapshotAssertion
) -> None:
    assert scrubbed(assembly.templates[stack]) == snapshot(extension_class=JSONSnapshotExtension)


@pytest.mark.synth
def test_every_stack_has_a_snapshot(assembly: Assembly) -> None:
    assert sorted(assembly.templates) == sorted(STACKS)
