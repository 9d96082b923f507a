"""A function of a template with its role, and what IAM would say of a request."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.assembly import SynthesisedStack, stacks
from ops.permissions.resolution import Resolution
from ops.permissions.statement import Statement, statements
from tests.assembly import Assembly
from tests.constructs.synthesis import ENVIRONMENT, Template

Context = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """One thing that IAM is asked: may the role do ``action`` to ``resource``?"""

    action: str
    resource: str
    context: Context = field(default_factory=dict, compare=False)


def resolution_of(assembly: Assembly) -> Resolution:
    found = {stack.name: stack for stack in stacks(assembly.directory)}
    return Resolution(found, assembly.templates)


def resolution_of_template(template: Template, region: str = "") -> Resolution:
    """Return the resolution of a template that a test synthesised by itself."""
    name, region = "llm-test-gateway", region or str(ENVIRONMENT.region)
    stack = SynthesisedStack(name, str(ENVIRONMENT.account), region, Path(), (), False)
    return Resolution({name: stack}, {name: {"Resources": template.resources}})


@dataclass(frozen=True)
class FunctionRole:
    """What a function is told and allowed.

    It is the one function of ``stack`` with ``handler``, whose logical id begins with ``prefix``.
    """

    resolution: Resolution
    stack: str
    handler: str
    prefix: str = ""

    @property
    def _properties(self) -> Mapping[str, Any]:
        (found,) = [
            resource["Properties"]
            for logical_id, resource in self._resources.items()
            if logical_id.startswith(self.prefix)
            and resource["Type"] == "AWS::Lambda::Function"
            and resource["Properties"].get("Handler") == self.handler
        ]
        properties: Mapping[str, Any] = found
        return properties

    @property
    def _resources(self) -> Mapping[str, Any]:
        resources: Mapping[str, Any] = self.resolution.templates[self.stack]["Resources"]
        return resources

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables, as they are once deployed."""
        given = self._properties["Environment"]["Variables"]
        return {name: self.resolution.text(value, self.stack) for name, value in given.items()}

    @property
    def statements(self) -> list[Statement]:
        """The statements of the role's own policies."""
        role = self._properties["Role"]["Fn::GetAtt"][0]
        policies = {role} | {
            logical_id
            for logical_id, resource in self._resources.items()
            if resource["Type"] == "AWS::IAM::Policy"
            and {"Ref": role} in resource["Properties"]["Roles"]
        }
        return [
            statement
            for statement in statements(self.resolution)
            if statement.stack == self.stack
            and statement.logical_id in policies
            and statement.kind == "identity"
        ]

    def allows(self, request: Request) -> bool:
        """Whether IAM would let the request pass: something allows it and nothing denies it."""
        matching = [each for each in self.statements if matches(each, request)]
        return any(each.allows for each in matching) and all(each.allows for each in matching)

    def granted(self) -> set[str]:
        """Return every action that some statement allows."""
        return {action for each in self.statements if each.allows for action in each.actions}

    def unused(self, requests: Iterable[Request]) -> set[str]:
        """Return the actions that a statement allows and nobody asks for on its resources."""
        asked = list(requests)
        return {
            action
            for statement in self.statements
            if statement.allows
            for action in statement.actions
            if not any(
                wildcard(action, each.action) and statement_names(statement, each.resource)
                for each in asked
            )
        }

    def untouched(self, requests: Iterable[Request]) -> set[str]:
        """Return the resources that a statement allows and no request names."""
        asked = list(requests)
        return {
            resource
            for statement in self.statements
            if statement.allows
            for resource in statement.resources
            if not any(wildcard(resource, each.resource) for each in asked)
        }


def statement_names(statement: Statement, resource: str) -> bool:
    named = any(wildcard(pattern, resource) for pattern in statement.resources)
    return named is not statement.excludes_resources


def matches(statement: Statement, request: Request) -> bool:
    """Whether a statement is about the request."""
    return (
        any(wildcard(pattern.lower(), request.action.lower()) for pattern in statement.actions)
        and statement_names(statement, request.resource)
        and all(
            _holds(operator, values, request.context.get(key))
            for operator, keys in statement.conditions.items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, values: Collection[str], actual: str | None) -> bool:
    """Evaluate one condition.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    match operator:
        case "StringEquals":
            return actual in values
        case "StringLike" | "ArnLike":
            return actual is not None and any(wildcard(value, actual) for value in values)
        case "StringNotLike":
            return actual is None or not any(wildcard(value, actual) for value in values)
    raise NotImplementedError(f"{operator} is in no policy of a function yet. Evaluate it here.")


def wildcard(pattern: str, text: str) -> bool:
    regex = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(regex, text) is not None
