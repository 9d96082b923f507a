"""Compiled modules of a function, in this machine's form instead of Lambda's.

The functions are built for arm64. Python modules of their zip files are what runs here too; of the
few compiled ones, those of this machine are put beside, from the same locked versions.
"""

import io
import re
import zipfile
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_COMPILED = re.compile(r"(?P<stem>.+)\.(cpython-\d+-aarch64-linux-gnu|abi3)\.so")


class MissingModuleError(LookupError):
    """A compiled module that is not installed for this machine."""


@lru_cache(maxsize=16)
def for_this_machine(archive: bytes, packages: Path) -> bytes:
    """Return a function's zip file with the compiled modules that ``packages`` has of it.

    Raises:
        MissingModuleError: one is not installed there.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as original:
        names = [name for name in original.namelist() if _COMPILED.fullmatch(name)]
        if not names:
            return archive
        content = io.BytesIO(archive)
        with zipfile.ZipFile(content, "a") as extended:
            for name in names:
                module = _installed(name, packages)
                inside = module.relative_to(packages).as_posix()
                if inside not in original.namelist():
                    extended.write(module, inside)
    return content.getvalue()


def _installed(name: str, packages: Path) -> Path:
    match = _COMPILED.fullmatch(name)
    stem = match["stem"] if match else name
    for suffix in EXTENSION_SUFFIXES:
        path = packages / f"{stem}{suffix}"
        if path.exists():
            return path
    message = f"{name}: {packages} has no such module for this machine. Run `make install`."
    raise MissingModuleError(message)
