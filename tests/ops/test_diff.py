"""The diff command over a real git repository and a cloud assembly on disk."""

import json
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from ops.diff import diff
from ops.snapshot import SNAPSHOTS, SnapshotError, committed_templates, scrubbed

DATA, NETWORK, DEV = "llm-prod-data", "llm-prod-network", "llm-dev-data"
LAKE = {
    "Resources": {
        "Lake": {"Type": "AWS::S3::Bucket", "Properties": {}, "DeletionPolicy": "Retain"},
        "Reader": {"Type": "AWS::IAM::Role", "Properties": {"Description": "reads"}},
    }
}
VPC = {"Resources": {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}}


def git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(
        ["git", "-C", str(repository), *identity, "-c", "commit.gpgsign=false", *arguments],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    folder = root / SNAPSHOTS
    folder.mkdir(parents=True)
    for stack, template in {DATA: LAKE, NETWORK: VPC, DEV: LAKE}.items():
        name = f"test_template_of_each_stack[{stack}].json"
        (folder / name).write_text(json.dumps(template))
    (root / "config").mkdir()
    (root / "config" / "prod.toml").touch()
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Snapshots")
    return root


def synthesise(assembly: Path, templates: dict[str, Any]) -> None:
    assembly.mkdir(exist_ok=True)
    artifacts: dict[str, Any] = {"Tree": {"type": "cdk:tree"}}
    for stack, template in templates.items():
        (assembly / f"{stack}.template.json").write_text(json.dumps(template))
        artifacts[stack] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://111111111111/us-east-2",
            "properties": {"templateFile": f"{stack}.template.json"},
        }
    (assembly / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    folder = tmp_path / "cdk.out"
    synthesise(folder, {DATA: LAKE, NETWORK: VPC, DEV: LAKE})
    return folder


def run(repository: Path, assembly: Path, *arguments: str) -> Result:
    command = typer.Typer()
    command.command()(diff)
    folders = ["--repository", str(repository), "--assembly", str(assembly)]
    return CliRunner().invoke(command, [*folders, *arguments], env={"COLUMNS": "200"})


def test_unchanged_templates_pass(repository: Path, assembly: Path) -> None:
    result = run(repository, assembly)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "No resource differs from HEAD." in result.stdout


def test_an_ordinary_change_is_summarised_and_passes(repository: Path, assembly: Path) -> None:
    changed = deepcopy(LAKE)
    changed["Resources"]["Reader"]["Properties"] = {"Description": "reads more"}
    synthesise(assembly, {DATA: changed, NETWORK: VPC, DEV: LAKE})
    result = run(repository, assembly)
    assert result.exit_code == 0
    assert DATA in result.stdout
    assert "IAM::Role" in result.stdout
    assert DEV not in result.stdout


def test_a_replacement_fails_until_it_is_allowed(repository: Path, assembly: Path) -> None:
    moved = deepcopy(VPC)
    moved["Resources"]["Vpc"]["Properties"] = {"CidrBlock": "10.8.0.0/16"}
    synthesise(assembly, {DATA: LAKE, NETWORK: moved, DEV: LAKE})
    refused = run(repository, assembly)
    assert refused.exit_code == 1
    assert f"{NETWORK}/Vpc (AWS::EC2::VPC): It would be replaced" in refused.stdout
    assert f"run it again with: --allow {NETWORK}/Vpc" in refused.stdout
    allowed = run(repository, assembly, "--allow", f"{NETWORK}/Vpc")
    assert allowed.exit_code == 0
    assert "replace (allowed)" in allowed.stdout


def test_a_removed_stack_fails_until_it_is_allowed(repository: Path, assembly: Path) -> None:
    synthesise(assembly, {DATA: LAKE, DEV: LAKE})
    assert run(repository, assembly).exit_code == 1
    assert run(repository, assembly, "--allow", NETWORK).exit_code == 0


def test_only_the_named_environment_is_compared(repository: Path, assembly: Path) -> None:
    synthesise(assembly, {DATA: LAKE, NETWORK: VPC, DEV: {"Resources": {}}})
    assert run(repository, assembly, "--env", "prod").exit_code == 0
    assert run(repository, assembly, "--env", "dev").exit_code == 1


def test_an_environment_whose_file_is_gone_is_reported_stack_by_stack(
    repository: Path, assembly: Path
) -> None:
    synthesise(assembly, {DATA: LAKE, NETWORK: VPC})
    result = run(repository, assembly)
    assert result.exit_code == 1
    assert f"{DEV}: The stack is gone from the app" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ref", "no-such-branch"], "ref = 'no-such-branch': git finds no such commit"),
        (["--ref", "--help"], "ref = '--help': git finds no such commit"),
        (["--env", "test"], "env = 'test': Neither the baseline nor the synthesised stacks have"),
        (["--allow", f"{DATA}/Lake"], f"allow = {DATA}/Lake: Nothing happens there"),
    ],
)
def test_a_wrong_argument_is_told_in_a_sentence(
    repository: Path, assembly: Path, arguments: list[str], message: str
) -> None:
    result = run(repository, assembly, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_environment_that_was_not_synthesised_is_no_comparison(
    repository: Path, assembly: Path
) -> None:
    synthesise(assembly, {DEV: LAKE})
    result = run(repository, assembly)
    assert result.exit_code == 2
    assert "No stack of prod is synthesised. Run `make synth`" in result.stderr


def test_a_missing_assembly_is_told_in_a_sentence(repository: Path, tmp_path: Path) -> None:
    result = run(repository, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "There is no cloud assembly here. Run `make synth`." in result.stderr


def test_a_broken_template_is_told_in_a_sentence(repository: Path, assembly: Path) -> None:
    (assembly / f"{DATA}.template.json").write_text("{")
    result = run(repository, assembly)
    assert result.exit_code == 2
    assert f"{DATA}: It is not JSON" in result.stderr


def test_a_commit_without_snapshots_is_no_baseline(repository: Path) -> None:
    git(repository, "rm", "-rq", SNAPSHOTS)
    git(repository, "commit", "-qm", "No snapshots")
    with pytest.raises(SnapshotError, match="holds no snapshots"):
        committed_templates(repository, "HEAD")


def test_the_baseline_is_what_the_commit_holds_and_not_the_working_tree(repository: Path) -> None:
    for path in (repository / SNAPSHOTS).iterdir():
        path.write_text("{}")
    assert committed_templates(repository, "HEAD")[DATA] == LAKE


def test_a_folder_outside_git_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="git finds no such commit"):
        committed_templates(tmp_path, "HEAD")


HASH = "0123456789abcdef" * 4
VERSION = "ChatCurrentVersion17A89ABB"


def test_asset_hashes_and_version_ids_are_scrubbed_wherever_they_stand() -> None:
    digest = "c8bf3043d80c2b76beb1f3f660a159b0"
    template = {
        "Resources": {
            f"{VERSION}{digest}": {"Type": "AWS::Lambda::Version"},
            "Alias": {"Version": {"Fn::GetAtt": [f"{VERSION}{digest}", "Version"]}},
            "Chat": {"Code": {"S3Key": f"{HASH}.zip"}, "Url": {"Fn::Sub": f"s3://b/{HASH}.zip"}},
        }
    }
    assert scrubbed(template) == {
        "Resources": {
            f"{VERSION}Hash": {"Type": "AWS::Lambda::Version"},
            "Alias": {"Version": {"Fn::GetAtt": [f"{VERSION}Hash", "Version"]}},
            "Chat": {
                "Code": {"S3Key": "<asset hash>.zip"},
                "Url": {"Fn::Sub": "s3://b/<asset hash>.zip"},
            },
        }
    }


def test_other_long_digits_are_kept() -> None:
    template = {"Sha1": "a" * 40, "Longer": "a" * 65, "Upper": HASH.upper()}
    assert scrubbed(template) == template


def test_two_keys_that_differ_only_by_their_hash_are_refused() -> None:
    with pytest.raises(SnapshotError, match="differ only by a hash"):
        scrubbed({HASH: 1, HASH[::-1]: 2})


@given(
    st.recursive(
        st.integers() | st.text(alphabet="0123456789abcdefCurrentVersionAB", max_size=80),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_scrubbing_twice_changes_nothing_more(value: Any) -> None:
    once = scrubbed({"Value": value})
    assert scrubbed(once) == once
