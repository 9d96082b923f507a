"""``python -m ops diff``: refuse changes that would lose data, before anything is deployed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config import environment_names
from ops.change_safety import Finding, compare, shown
from ops.snapshot import (
    SnapshotError,
    SynthesisedStacks,
    committed_templates,
    environment_of,
    stacks_of,
    synthesised_stacks,
)
from ops.stack_change import StackChange, counted_types, stack_changes

ROOT = Path(__file__).parent.parent

FOUND = 1
"""Exit code: a change needs consent."""
FAILED = 2
"""Exit code: there was nothing to compare."""

EVERY_ENVIRONMENT = "all"


def diff(
    ref: Annotated[str, typer.Option(help="Commit whose snapshots are the baseline.")] = "HEAD",
    env: Annotated[str, typer.Option(help="Environment to compare, or `all`.")] = EVERY_ENVIRONMENT,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="STACK/LOGICALID, or a STACK that goes; may be given again."),
    ] = None,
    assembly: Annotated[Path, typer.Option(help="Folder of the synthesised templates.")] = ROOT
    / "cdk.out",
    repository: Annotated[Path, typer.Option(help="Folder of the git repository.")] = ROOT,
) -> None:
    """Compare what was synthesised with the committed snapshots.

    Exits with 1 when a stateful resource would be deleted, replaced or less protected and no
    --allow names it, and with 2 when the comparison could not be made.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        baseline = committed_templates(repository, ref)
        synthesised = synthesised_stacks(assembly)
        environments = _environments(env, baseline, synthesised, repository)
        before = stacks_of(environments, baseline)
        after = stacks_of(environments, synthesised.templates)
        findings = compare(before, after, regions=synthesised.regions)
        refused = _not_allowed(findings, allow or [])
    except SnapshotError as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(FAILED) from error
    except ModuleNotFoundError as error:
        errors.print(
            f"{error.name}: The package is not installed. Run `make install`, which installs "
            "requirements-dev.txt.",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(FAILED) from error
    _print_changes(console, stack_changes(before, after), ref)
    _print_findings(console, findings, refused)
    if refused:
        raise typer.Exit(FOUND)


def _environments(
    env: str, baseline: Iterable[str], synthesised: SynthesisedStacks, repository: Path
) -> set[str]:
    known = {environment_of(stack) for stack in (*baseline, *synthesised.templates)}
    if env not in {EVERY_ENVIRONMENT, *known}:
        raise SnapshotError(
            f"env = {env!r}: Neither the baseline nor the synthesised stacks have it. Choose one "
            f"of {', '.join(sorted(known))}, or {EVERY_ENVIRONMENT}."
        )
    wanted = known if env == EVERY_ENVIRONMENT else {env}
    synthesised_environments = {environment_of(stack) for stack in synthesised.templates}
    # An environment whose file is gone was removed on purpose: its stacks are reported as removed.
    missing = sorted(
        name
        for name in wanted - synthesised_environments
        if name in environment_names(repository / "config")
    )
    if missing:
        raise SnapshotError(
            f"env = {env!r}: No stack of {', '.join(missing)} is synthesised. Run `make synth`, "
            "which synthesises every environment."
        )
    return wanted


def _not_allowed(findings: list[Finding], allow: list[str]) -> list[Finding]:
    found = {finding.address for finding in findings}
    needless = sorted(set(allow) - found)
    if needless:
        raise SnapshotError(
            f"allow = {', '.join(needless)}: Nothing happens there that needs consent. Remove it, "
            "or correct it to STACK/LOGICALID as the findings print it."
        )
    return [finding for finding in findings if finding.address not in allow]


def _print_changes(console: Console, changes: list[StackChange], ref: str) -> None:
    if not changes:
        console.print(f"No resource differs from {ref}.", markup=False)
        return
    table = Table(title=f"Resources that differ from {escape(ref)}", title_justify="left")
    for heading in ("Stack", "Added", "Removed", "Changed"):
        table.add_column(heading, overflow="fold")
    for change in changes:
        cells = (counted_types(part) for part in (change.added, change.removed, change.changed))
        table.add_row(change.stack, *(escape(cell) for cell in cells))
    console.print(table)


def _print_findings(console: Console, findings: list[Finding], refused: list[Finding]) -> None:
    if not findings:
        console.print("No stateful resource would be deleted, replaced or less protected.")
        return
    table = Table(title="Changes that need consent", title_justify="left", show_lines=True)
    for heading in ("Effect", "Resource", "Type", "Property", "Before", "After"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        allowed = "" if finding in refused else " (allowed)"
        cells = (
            f"{finding.effect}{allowed}",
            finding.address,
            finding.resource_type,
            finding.property_path,
            shown(finding.old),
            f"the same, but {finding.cause}" if finding.cause else shown(finding.new),
        )
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
    for finding in refused:
        console.print(f"{finding}", markup=False, highlight=False, soft_wrap=True)
    if refused:
        allowances = " ".join(f"--allow {address}" for address in _addresses(refused))
        console.print(
            f"If all of this is meant, run it again with: {allowances}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _addresses(findings: Iterable[Finding]) -> list[str]:
    return sorted({finding.address for finding in findings})
