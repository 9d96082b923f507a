"""``python -m ops preflight``: is the account ready for what the file asks for?"""

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config import load
from ops.aws_account import FAILED, Account, told_in_sentences
from ops.preflight.check import Severity
from ops.preflight.run import CHECKS, Outcome, outcomes

_MARKS = {
    Severity.PROBLEM: "[red]problem[/red]",
    Severity.WARNING: "[yellow]warning[/yellow]",
    Severity.NOTE: "note",
    None: "[green]fine[/green]",
}


def preflight(
    env: Annotated[str, typer.Option(help="Environment to check the account for.")] = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    strict: Annotated[bool, typer.Option(help="Fail because of warnings as well.")] = False,
) -> None:
    """Check an account before a deployment; every problem at once, and exit code 1 for any.

    Nothing is changed. What the environment's file does not have is not checked.
    """
    environment = load(env)
    with told_in_sentences():
        found = outcomes(environment, Account(environment.region), CHECKS)
    if as_json:
        typer.echo(json.dumps(_document(env, found), indent=2))
    else:
        _print(env, found)
    failing = {Severity.PROBLEM, Severity.WARNING} if strict else {Severity.PROBLEM}
    if any(outcome.severity in failing for outcome in found):
        raise typer.Exit(FAILED)


def _print(env: str, found: Iterable[Outcome]) -> None:
    table = Table(
        "", "check", "finding", "what to do", title=f"Preflight of {env}", show_lines=True
    )
    counts = dict.fromkeys(Severity, 0)
    for group, members in groupby(found, key=lambda outcome: outcome.check.group):
        table.add_section()
        for outcome in members:
            title = f"{group}: {outcome.check.title}"
            if not outcome.findings:
                table.add_row(_MARKS[None], escape(title), "", "")
            for finding in outcome.findings:
                counts[finding.severity] += 1
                table.add_row(
                    _MARKS[finding.severity],
                    escape(title),
                    escape(f"{finding.subject}: {finding.reason}"),
                    escape(finding.remedy),
                )
    console = Console()
    console.print(table)
    console.print(
        f"{counts[Severity.PROBLEM]} problems, {counts[Severity.WARNING]} warnings.",
        highlight=False,
    )


def _document(env: str, found: Iterable[Outcome]) -> dict[str, object]:
    return {
        "environment": env,
        "checks": [
            {
                "group": outcome.check.group,
                "title": outcome.check.title,
                "outcome": outcome.severity or "fine",
                "findings": [
                    {
                        "severity": finding.severity,
                        "subject": finding.subject,
                        "reason": finding.reason,
                        "remedy": finding.remedy,
                    }
                    for finding in outcome.findings
                ],
            }
            for outcome in found
        ],
    }
