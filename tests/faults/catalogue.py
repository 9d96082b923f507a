"""All planted mistakes, and all that the checks say of them."""

import tempfile
from pathlib import Path
from typing import Final

from tests.assembly import Assembly
from tests.faults.fault import Fault
from tests.faults.file_faults import FILE_FAULTS
from tests.faults.layers import (
    Caught,
    caught_in_files,
    caught_in_objects,
    caught_in_templates,
)
from tests.faults.object_faults import OBJECT_FAULTS
from tests.faults.protection_faults import PROTECTION_FAULTS
from tests.faults.structure_faults import STRUCTURE_FAULTS

FAULTS: Final[tuple[Fault, ...]] = (
    *FILE_FAULTS,
    *STRUCTURE_FAULTS,
    *PROTECTION_FAULTS,
    *OBJECT_FAULTS,
)


def judged(assembly: Assembly) -> dict[Fault, Caught]:
    """Return what each check says of each mistake. It takes about a minute."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            **dict(caught_in_files(FILE_FAULTS, folder)),
            **dict(caught_in_templates((*STRUCTURE_FAULTS, *PROTECTION_FAULTS), assembly, folder)),
            **dict(caught_in_objects(OBJECT_FAULTS, assembly, folder)),
        }
