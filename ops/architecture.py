"""The picture in docs/architecture.svg, drawn from what is synthesised."""

from pathlib import Path

from config import environment_names
from ops.architecture_svg import draw
from ops.stack_summary import read_architecture

FULLEST_ENVIRONMENT = "prod"
"""The environment with every capability, which the picture shows."""


def diagram(assembly: Path) -> str:
    """Return the SVG of the cloud assembly in ``assembly``; the same assembly gives the same text.

    Raises :class:`~ops.assembly.AssemblyError` where it does not hold the production environment.
    """
    return draw(read_architecture(assembly, FULLEST_ENVIRONMENT), environment_names())
