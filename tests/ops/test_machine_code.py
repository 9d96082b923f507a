"""Compiled modules of functions, on a machine that is not Lambda's."""

import io
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from ops.local.emulator.machine_code import MissingModuleError, for_this_machine

FOREIGN = "fast/_core.cpython-311-aarch64-linux-gnu.so"


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, name)
    return content.getvalue()


def names_in(content: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return set(file.namelist())


def test_this_machines_module_is_put_beside_lambdas(tmp_path: Path) -> None:
    own = f"fast/_core{EXTENSION_SUFFIXES[0]}"
    (tmp_path / "fast").mkdir()
    (tmp_path / own).write_bytes(b"machine code")
    prepared = for_this_machine(archive("fast/__init__.py", FOREIGN), tmp_path)
    assert {"fast/__init__.py", own} <= names_in(prepared)


def test_a_function_without_compiled_modules_stays_as_it_is(tmp_path: Path) -> None:
    content = archive("handler.py")
    assert for_this_machine(content, tmp_path) == content


def test_a_module_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingModuleError, match="fast/_core"):
        for_this_machine(archive(FOREIGN), tmp_path)
