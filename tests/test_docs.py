"""What the pages say can be followed: links lead somewhere and examples run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "constructs/*.md") for page in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert missing == []


def test_every_test_that_a_page_names_exists() -> None:
    written = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in (
            file.stem,
            *re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE),
        )
    }
    named = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))
    }
    assert {"eks.md", "training.md"} <= {page for page, _ in named}
    assert {(page, name) for page, name in named if name not in written} == set()


def test_every_decision_is_listed() -> None:
    decisions = {page.name for page in (ROOT / "docs" / "adr").glob("0*.md")}
    listed = set(LINK.findall((ROOT / "docs" / "adr" / "README.md").read_text()))
    assert decisions == listed


@pytest.mark.slow
def test_the_example_of_the_constructs_runs(tmp_path: Path) -> None:
    page = (ROOT / "constructs" / "README.md").read_text(encoding="utf-8")
    example = page.split("```python\n", 1)[1].split("```", 1)[0]
    script = tmp_path / "example.py"
    script.write_text(f"{example}\napp.synth()\n")
    result = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "constructs"), "CDK_VALIDATION": "false", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_every_target_of_the_makefile_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(makefile.split(".PHONY:", 1)[1].split())
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert phony == explained
