"""Rules for names and expressions that a service refuses and no schema describes."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.eks import KUBERNETES_VERSIONS
from llm_constructs.template_violation import Properties, Violation

_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
"""https://docs.aws.amazon.com/lambda/latest/api/API_Environment.html"""

_FIELDS_OF_CRON = 6
"""https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""


def legal_variables(properties: Properties) -> Iterator[Violation]:
    """Refuse names of environment variables that Lambda does not take."""
    for name in properties.get("Environment", {}).get("Variables", {}):
        if not _VARIABLE.fullmatch(name):
            yield Violation(
                f"Environment.Variables.{name}",
                "Lambda takes names of two or more letters, digits and underscores that begin "
                "with a letter.",
                "Choose such a name.",
            )


def legal_schedule(properties: Properties) -> Iterator[Violation]:
    """Refuse expressions that are no moment, rate or calendar."""
    expression = properties.get("ScheduleExpression")
    if not isinstance(expression, str):
        return
    matched = re.fullmatch(r"(at|cron|rate)\((.*)\)", expression)
    if matched is None or not _READABLE[matched[1]](matched[2]):
        yield Violation(
            "ScheduleExpression",
            f"{expression!r} is neither at(yyyy-mm-ddThh:mm:ss) nor rate(1 hour) nor cron with "
            f"{_FIELDS_OF_CRON} fields.",
            "Correct the expression.",
        )


def _is_moment(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return False
    return True


_READABLE: Mapping[str, Callable[[str], bool]] = {
    "at": _is_moment,
    "cron": lambda text: len(text.split()) == _FIELDS_OF_CRON,
    "rate": lambda text: bool(re.fullmatch(r"[1-9]\d* (minute|hour|day)s?", text)),
}


def known_kubernetes(properties: Properties) -> Iterator[Violation]:
    """Refuse versions of Kubernetes that the add-ons and charts here are not pinned for."""
    version = properties.get("Version")
    if not isinstance(version, Mapping) and version not in KUBERNETES_VERSIONS:
        yield Violation(
            "Version",
            f"{version!r} is no version that the add-ons and charts are pinned for.",
            f"Choose one of {', '.join(KUBERNETES_VERSIONS)}.",
        )


def known_instance_types(properties: Properties) -> Iterator[Violation]:
    """Refuse instance types of nodes that the catalogue does not have."""
    for name in properties.get("InstanceTypes", ()):
        if isinstance(name, str) and name not in INSTANCE_TYPES:
            yield Violation(
                "InstanceTypes",
                f"The catalogue has no {name}, so nothing here knows its size or devices.",
                "Choose a type of docs/accelerators.md, or add the type to the catalogue.",
            )
