"""Every command of the page about deployment exists, and what it says stays is what stays."""

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import typer
from botocore import xform_name
from typer.testing import CliRunner

from config import load
from config.node import packaged_node
from llm_constructs.specs.network import Capability
from ops.__main__ import app
from ops.synthesis import CLI
from tests.assembly import Assembly

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")

OTHERS = frozenset({"basename", "cat", "date", "done", "export", "for", "git", "pip", "source"})
"""Programs of any machine, and words of the shell."""

AWS_OPTIONS = frozenset({"--query", "--output", "--region"})
S3_COMMANDS = frozenset({"rm", "cp", "sync"})
"""Those of `aws s3` are the command line's own, and in no model of a service."""


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    inline = re.findall(r"`((?:aws|npx cdk|python -m ops|make) [^`]+)`", PAGE)
    nested = [it for line in lines for it in re.findall(r"\$\((aws [^)]*)\)", line)]
    return [*lines, *nested, *(" ".join(it.split()) for it in inline)]


def options(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if word.startswith("--")}


def beginning(*words: str) -> Iterator[list[str]]:
    for command in commands():
        # Placeholders of the page stand for one word.
        parts = shlex.split(re.sub(r"<([a-z-]+)>", r"\1", command))
        if parts[: len(words)] == list(words):
            yield parts[len(words) :]


def test_only_known_programs_are_called() -> None:
    known = {"aws", "make", "npx", "python", *OTHERS}
    assert {shlex.split(re.sub("[<>]", "", it))[0] for it in commands()} <= known


def test_the_smallest_file_of_the_page_is_a_whole_environment(tmp_path: Path) -> None:
    said = " ".join(PAGE.split())
    keep, out = re.findall(r"(?:keep|take) ((?:`\[[\w.]+\]`(?:, and |, | and )?)+)", said)
    kept, left_out = (set(re.findall(r"\[([\w.]+)\]", each)) for each in (keep, out))
    file = tomllib.loads((ROOT / "config" / "dev.toml").read_text(encoding="utf-8"))
    tables = {name for name, value in file.items() if isinstance(value, dict)}
    assert tables == {name.split(".")[0] for name in kept | left_out}
    smallest = {name: value for name, value in file.items() if name not in left_out}
    for name in (name for name in left_out if "." in name):
        table, key = name.split(".")
        smallest[table] = {each: value for each, value in file[table].items() if each != key}
    models = [each for each in file["gateway"]["models"] if "served_by" not in each]
    smallest["gateway"] = {**file["gateway"], "models": models}
    (tmp_path / "dev.toml").write_text(toml_of(smallest), encoding="utf-8")
    assert load("dev", tmp_path).capabilities == {Capability.GATEWAY}


def toml_of(table: dict[str, Any]) -> str:
    """Write keys whose tables are inline: JSON with other signs."""
    return "".join(f"{key} = {_inline(value)}\n" for key, value in table.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    used = {words[0] for words in beginning("make")}
    assert used
    assert used <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_our_own_commands_exist_with_their_options() -> None:
    used = list(beginning("python", "-m", "ops"))
    assert len(used) > 8
    for words in used:
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {it for parameter in command.params for it in parameter.opts} | {"--help"}
        assert options(words) <= known, words


@cache
def cdk_help(command: str) -> str:
    node = packaged_node()
    if node is None or not CLI.exists():
        pytest.skip("the CDK command line is not installed: run `make install`")
    return subprocess.run(
        [str(node), str(CLI), command, "--help"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "CDK_DISABLE_CLI_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.synth
def test_commands_of_the_cdk_exist_with_their_options_and_stacks(assembly: Assembly) -> None:
    used = list(beginning("npx", "cdk"))
    assert len(used) > 8
    for command, *words in used:
        known = set(re.findall(r"--[a-z-]+", cdk_help(command)))
        assert options(words) <= known, words
        stacks = {word for word in words if word.startswith("llm-")}
        assert stacks <= set(assembly.templates), words


def test_operations_of_aws_exist_with_their_options() -> None:
    session = botocore.session.Session()
    used = list(beginning("aws"))
    assert len(used) > 15
    for service, operation, *words in used:
        if service == "s3":
            assert operation in S3_COMMANDS
            continue
        model = session.get_service_model("s3" if service == "s3api" else service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        assert operation in names, f"{service} {operation}"
        shape = model.operation_model(names[operation]).input_shape
        members = shape.members if shape else {}
        taken = {f"--{xform_name(name, '-')}" for name in members}
        flags = {re.sub("^--", "--no-", name) for name in taken}
        assert options(words) <= taken | flags | AWS_OPTIONS, words


def test_the_first_answer_is_python_that_compiles() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    compile(example, "deploying.md", "exec")
    assert 'model="fast"' in example
    assert 'alias = "fast"' in (ROOT / "config" / "dev.toml").read_text(encoding="utf-8")


def retained(assembly: Assembly, environment: str) -> dict[str, set[str]]:
    prefix = f"llm-{environment}-"
    return {
        name.removeprefix(prefix): {
            it["Type"]
            for it in body["Resources"].values()
            if it.get("DeletionPolicy", "Delete") != "Delete"
        }
        for name, body in assembly.templates.items()
        if name.startswith(prefix)
    }


@pytest.mark.synth
def test_what_production_retains_is_what_the_page_says(assembly: Assembly) -> None:
    rows = re.findall(r"^\| ([a-z, -]+) \| (`AWS::[^|]+) \|", PAGE, re.MULTILINE)
    said = {
        stack: set(re.findall(r"AWS::\w+::\w+", kinds))
        for stacks, kinds in rows
        for stack in stacks.split(", ")
    }
    found = retained(assembly, "prod")
    assert set(said) == set(found)
    missing = {stack: kinds - said[stack] for stack, kinds in found.items()}
    assert not any(missing.values()), missing
    # Rows speak of several stacks: what they name must be retained by one of them.
    assert set().union(*said.values()) == set().union(*found.values())


@pytest.mark.synth
def test_without_retained_data_only_a_layer_of_lambda_stays(assembly: Assembly) -> None:
    assert set().union(*retained(assembly, "dev").values()) == {"AWS::Lambda::LayerVersion"}


@pytest.mark.synth
def test_what_stacks_cost_is_what_the_estimate_says(assembly: Assembly) -> None:
    rows = dict(re.findall(r"^\| `llm-dev-([\w-]+)` \| (\d+) \|", PAGE, re.MULTILINE))
    result = CliRunner().invoke(
        app, ["price", "--env", "dev", "--json", "--assembly", str(assembly.directory)]
    )
    assert result.exit_code == 0, result.output
    sums: dict[str, float] = dict.fromkeys(rows, 0.0)
    for line in json.loads(result.stdout)["standing"]["lines"]:
        sums[line["part"]] = sums.get(line["part"], 0.0) + float(line["usd"])
    assert {part: round(usd) for part, usd in sums.items()} == {
        part: int(usd) for part, usd in rows.items()
    }
