"""docs/local.md says what the local cloud emulates, and what it only compares with schemas."""

import re
from pathlib import Path

from ops.local.coverage import Coverage
from tests.local.conftest import Deployment

PAGE = Path(__file__).parent.parent.parent / "docs" / "local.md"


def test_the_page_lists_the_resource_types(local_cloud: Deployment) -> None:
    text = PAGE.read_text(encoding="utf-8")
    _, emulated, compared = re.split(r"\*\*Emulated\*\*|\*\*Only compared", text)
    compared = compared.split("\n\nA property", 1)[0]
    coverage = Coverage.of(local_cloud.cloud.assembly, local_cloud.cloud.emulated_types)
    assert set(re.findall(r"`((?:AWS|Custom)::\S+)`", emulated)) == set(coverage.emulated)
    assert set(re.findall(r"`((?:AWS|Custom)::\S+)`", compared)) == set(coverage.checked)
