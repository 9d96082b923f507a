"""What docs/gateway-deployment.md says of models and files holds."""

import re
from pathlib import Path

import pytest

from llm_constructs.specs.foundation_models import FOUNDATION_MODELS
from llm_constructs.specs.model import ModelKind
from tests.minimal_environment import loaded, minimal

PAGE = (Path(__file__).parents[2] / "docs" / "gateway-deployment.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)

ENVIRONMENT = minimal("us-west-2")

MODEL = """
[[gateway.models]]
alias = "first"
model_id = "us.amazon.nova-2-lite-v1:0"
"""


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_pages_examples_load(example: str, tmp_path: Path) -> None:
    model = "" if "[[gateway.models]]" in example else MODEL
    gateway = loaded(tmp_path, f"{ENVIRONMENT}\n{example}\n{model}").gateway
    assert gateway is not None
    assert gateway.catalogue()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_the_pages_table_has_every_known_model_with_its_numbers() -> None:
    rows = {
        cells[0].strip("`"): cells[1:]
        for cells in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in PAGE.splitlines()
            if re.match(r"\| `[a-z0-9-]+\.", line)
        )
        if len(cells) == 4
    }
    assert rows.keys() == FOUNDATION_MODELS.keys()
    for name, facts in FOUNDATION_MODELS.items():
        price = facts.geo_price or facts.price
        context, output, prices = rows[name]
        assert context == f"{facts.context_tokens:,}"
        if facts.kind is ModelKind.CHAT:
            assert output == f"{facts.max_output_tokens:,}"
            assert prices == f"{price.input / 1e6:.2f}, {price.output / 1e6:.2f}"
        else:
            assert prices.startswith(f"{price.input / 1e6:.2f},")
