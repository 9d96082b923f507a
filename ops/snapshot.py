"""Templates to compare: the committed snapshots of the stacks, and what was just synthesised."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.assembly import AssemblyError, stacks

Template = Mapping[str, Any]
"""A CloudFormation template, as parsed from JSON."""

SNAPSHOTS = "tests/__snapshots__/test_snapshots"
"""The folder of the committed snapshots, from the root of the repository."""

ASSET_HASH = "<asset hash>"
"""What :func:`scrubbed` writes for the SHA-256 of an asset."""

# An asset is named by the SHA-256 of its content, in lower-case hexadecimal digits.
_SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# `Function.currentVersion` appends the MD5 of the function's code and configuration to the id:
# https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_lambda-readme.html#currentversion-updated-hashing-logic
_CURRENT_VERSION = re.compile(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}")
_SNAPSHOT_NAME = re.compile(r"\[(?P<stack>[^\]]+)\]\.json$")


class SnapshotError(ValueError):
    """Templates that cannot be read; the message says which, why, and what to do."""


@dataclass(frozen=True)
class SynthesisedStacks:
    """The stacks of one cloud assembly, by stack id: their scrubbed templates and regions."""

    templates: dict[str, Template]
    regions: dict[str, str]


def scrubbed(template: Template) -> dict[str, Any]:
    """Return ``template`` without what changes with every edit of a bundled file.

    Asset hashes (64 hexadecimal digits, in keys and strings) become :data:`ASSET_HASH`, and the
    hash at the end of a ``…CurrentVersion…`` logical id becomes ``Hash``, wherever it is named.
    Scrubbing twice changes nothing more.

    Raises :class:`SnapshotError` where two keys of one object differ only by their hashes, because
    one of them would be lost.
    """
    result: dict[str, Any] = _scrubbed(template)
    return result


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return _CURRENT_VERSION.sub(r"\1Hash", _SHA256.sub(ASSET_HASH, value))
    if isinstance(value, Mapping):
        result = {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
        if len(result) < len(value):
            raise SnapshotError(
                f"keys = {sorted(value)}: Two of them differ only by a hash and would be one after "
                "scrubbing. Give them names of their own."
            )
        return result
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    return value


def environment_of(stack: str) -> str:
    """Return the environment's name in a stack id such as ``llm-prod-data`` (``prod``)."""
    return [*stack.split("-"), "", ""][1]


def committed_templates(root: Path, ref: str) -> dict[str, Template]:
    """Return the snapshots that commit ``ref`` of the repository in ``root`` holds, by stack id.

    Raises :class:`SnapshotError` where git, the commit, or the snapshots are missing.
    """
    _git(
        root,
        ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"],
        f"ref = {ref!r}: git finds no such commit in {root}. Name a branch, a tag or a commit.",
    )
    listing = _git(
        root,
        ["ls-tree", "-z", "--name-only", ref, f"{SNAPSHOTS}/"],
        f"ref = {ref!r}: git cannot list {SNAPSHOTS}. Run `git fsck`.",
    )
    paths = {
        match["stack"]: path
        for path in listing.split("\0")
        if (match := _SNAPSHOT_NAME.search(path))
    }
    if not paths:
        raise SnapshotError(
            f"ref = {ref!r}: That commit holds no snapshots in {SNAPSHOTS}, so there is nothing to "
            "compare with. Name a commit that has them, or commit them first."
        )
    return {stack: _committed(root, ref, path) for stack, path in sorted(paths.items())}


def _committed(root: Path, ref: str, path: str) -> Template:
    text = _git(
        root,
        ["cat-file", "blob", f"{ref}:{path}"],
        f"ref = {ref!r}: git cannot read {path}. Run `git fsck`.",
    )
    return scrubbed(_parsed(text, f"{path} at {ref}", "Write it again with `make snapshots`."))


def synthesised_stacks(directory: Path) -> SynthesisedStacks:
    """Return the stacks of the cloud assembly in ``directory``.

    Raises :class:`SnapshotError` where the assembly is missing or broken.
    """
    remedy = "Run `make synth`."
    try:
        found = sorted(stacks(directory), key=lambda stack: stack.name)
        templates: dict[str, Template] = {
            stack.name: scrubbed(
                _parsed(stack.template_file.read_text(encoding="utf-8"), stack.name, remedy)
            )
            for stack in found
        }
    except AssemblyError as error:
        raise SnapshotError(str(error)) from error
    except (OSError, json.JSONDecodeError) as error:
        raise SnapshotError(f"{directory}: It cannot be read ({error}). {remedy}") from error
    return SynthesisedStacks(templates, {stack.name: stack.region for stack in found})


def stacks_of(
    environments: Iterable[str], templates: Mapping[str, Template]
) -> dict[str, Template]:
    """Return those of ``templates`` whose stack belongs to one of ``environments``."""
    wanted = set(environments)
    return {stack: body for stack, body in templates.items() if environment_of(stack) in wanted}


def _parsed(text: str, name: str, remedy: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SnapshotError(f"{name}: It is not JSON ({error}). {remedy}") from error
    if not isinstance(document, dict):
        raise SnapshotError(f"{name}: It is not a JSON object. {remedy}")
    return document


def _git(root: Path, arguments: list[str], refusal: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise SnapshotError("git: The program is not installed. Install git.") from error
    if done.returncode:
        raise SnapshotError(refusal)
    return done.stdout
