"""``python -m ops docs``: the pages that are written from code."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from config import reference
from ops import accelerator_catalogue, alarm_catalogue
from ops.architecture import diagram
from ops.assembly import Finding, findings
from ops.dashboard_picture import pictures
from ops.permissions import page as permissions
from ops.preflight import policy
from ops.preflight.run import CHECKS

ROOT = Path(__file__).parent.parent

RULE_PACKS = frozenset(
    {"AwsSolutions", "HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321", "Serverless"}
)
"""The plugins whose findings are about security; the others are about templates."""

_EXCEPTIONS = """\
# Security exceptions

<!-- Written by `make docs` from the acknowledgements in the code; do not edit. -->

Every synthesis runs five rule packs: AWS Solutions, HIPAA Security, NIST 800-53 revision 5,
PCI DSS 3.2.1 and Serverless. A finding fails it, unless the code acknowledges the finding beside
its cause with a reason; an acknowledgement that meets no finding fails it as well. These are all
that are accepted, in all environments.
"""


def docs(
    assembly: Annotated[Path, typer.Option(help="Folder of the synthesised templates.")] = ROOT
    / "cdk.out",
) -> None:
    """Write the generated pages anew. It needs an assembly of every environment."""
    for name, content in generated(assembly).items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(content, encoding="utf-8")
        typer.echo(f"wrote {name}")


def generated(assembly: Path) -> Mapping[str, str]:
    """Return the content of each generated file by its path from the root of the repository.

    Raises :class:`~ops.assembly.AssemblyError` where ``assembly`` holds no cloud assembly.
    """
    return {
        reference.SCHEMA_FILE: reference.json_schema(),
        reference.PAGE_FILE: reference.page(),
        accelerator_catalogue.PAGE_FILE: accelerator_catalogue.page(),
        "docs/security-exceptions.md": security_exceptions(findings(assembly)),
        "docs/architecture.svg": diagram(assembly),
        alarm_catalogue.PAGE_FILE: alarm_catalogue.page(assembly),
        **pictures(assembly),
        permissions.PAGE_FILE: permissions.page(permissions.PermissionReport(assembly)),
        policy.PAGE_FILE: policy.page(CHECKS),
    }


def security_exceptions(accepted: Iterable[Finding]) -> str:
    """Return the page that lists every accepted finding with its reason."""
    rules: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    environments: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for finding in accepted:
        if finding.reason is None or finding.plugin not in RULE_PACKS:
            continue
        _, environment, path = finding.construct_path.split("-", 2)
        where = (path.removesuffix("/Resource"), finding.reason)
        rules[where].add(finding.rule.replace("|", "\\|"))
        environments[where].add(environment)
    lines = [_EXCEPTIONS]
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for path, reason in sorted(rules):
        by_reason[reason].append(path)
    for number, (reason, paths) in enumerate(sorted(by_reason.items()), start=1):
        lines += [f"## {number}\n", f"{reason}\n", "| where | environments | rules |"]
        lines += ["| --- | --- | --- |"]
        for path in paths:
            names = ", ".join(f"`{rule}`" for rule in sorted(rules[path, reason]))
            lines.append(
                f"| `{path}` | {', '.join(sorted(environments[path, reason]))} | {names} |"
            )
        lines.append("")
    return "\n".join(lines)
