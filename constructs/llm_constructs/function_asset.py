"""Zip files of Lambda functions that hold what the function imports, and nothing else.

No container is needed: locked wheels for the function's platform are unpacked by pip, and the rest
is chosen by following imports. Bytecode is compiled into the file, because Lambda cannot write it
beside the code, and compiling at every cold start costs more than everything else.
"""

import ast
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from aws_cdk import aws_lambda as lambda_

from llm_constructs.specs.problem import Problem, SpecificationError

RUNTIME = lambda_.Runtime.PYTHON_3_11
"""The only runtime for which assets are built: bytecode is read by the version that wrote it."""

ARM64_PLATFORM = "manylinux2014_aarch64"
"""The platform tag of wheels that run on Lambda's arm64 (glibc 2.26, PEP 599)."""

KEPT = 12
"""Zip files of one function that stay in the cache, those that were used last: a few states of the
sources for each of its variants."""

_PYTHON = (3, 11)
_TASK_ROOT = "/var/task"
# https://docs.python.org/3/library/zipfile.html: the earliest time that a zip file can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_EXECUTABLE, _READABLE = 0o755, 0o644
_DISTRIBUTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_PACKAGED = (".py", ".pyc", ".in", ".txt", ".md")
# What botocore reads whatever service is used.
_BOTOCORE_FILES = (
    "_retry.json",
    "endpoints.json",
    "partitions.json",
    "sdk-default-configuration.json",
)


@dataclass(frozen=True, kw_only=True)
class FunctionSource:
    """The code of one function.

    ``root`` is the folder of first-party packages, ``modules`` what the function starts with,
    ``requirements`` the lock of its dependencies with hashes. ``services`` are botocore's names of
    the AWS services that are called; the descriptions of all others are left out. Modules in
    ``left_out`` are imported by branches that the function never takes.
    """

    root: Path
    modules: tuple[str, ...]
    requirements: Path
    services: tuple[str, ...] = ()
    left_out: frozenset[str] = field(default_factory=frozenset)
    platform: str = ARM64_PLATFORM

    @cached_property
    def imports(self) -> "ImportGraph":
        """What the modules import, directly or not."""
        return ImportGraph.of(self.root, self.modules)

    def fingerprint(self) -> str:
        """Return a hash of everything that the zip file is made from, this module included."""
        digest = hashlib.sha256(f"{sys.version_info[:3]}{self.platform}{self.services}".encode())
        digest.update(repr(sorted(self.left_out)).encode())
        parts = {file.relative_to(self.root).as_posix(): file for file in self.imports.files}
        for name, path in {"builder": Path(__file__), "lock": self.requirements, **parts}.items():
            content = path.read_bytes()
            digest.update(f"\0{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()


@dataclass(frozen=True)
class ImportGraph:
    """First-party files that belong together, and the packages of others that they import."""

    files: tuple[Path, ...]
    third_party: frozenset[str]

    @classmethod
    def of(cls, root: Path, modules: Iterable[str]) -> "ImportGraph":
        """Follow the imports of ``modules``, which lie below ``root``, in functions too.

        Imports for type checkers are not followed. Files beside a package's modules that are not
        Python belong to it.

        Raises :class:`~llm_constructs.specs.problem.SpecificationError` for a module that is not
        there, and for relative imports.
        """
        files: dict[Path, None] = {}
        others: set[str] = set()
        pending = list(modules)
        for module in modules:
            if _file_of(root, module) is None:
                raise _error("modules", module, "There is no such module.", f"Add it in {root}.")
        while pending:
            module = pending.pop()
            file = _file_of(root, module)
            if file is None:
                others.add(module.partition(".")[0])
                continue
            if file in files:
                continue
            files[file] = None
            if "." in module:
                pending.append(module.rpartition(".")[0])
            pending.extend(_imported(root, file))
        data = (path for file in files if file.name == "__init__.py" for path in _beside(file))
        return cls(tuple(sorted({*files, *data})), frozenset(others - sys.stdlib_module_names))


def build(source: FunctionSource, cache: Path) -> Path:
    """Return the zip file of ``source``, from ``cache`` where it has been built before.

    Raises :class:`~llm_constructs.specs.problem.SpecificationError` when the interpreter is not
    the function's, or the locked wheels cannot be fetched.
    """
    _check_interpreter()
    target = cache / f"{source.modules[0]}-{source.fingerprint()[:16]}.zip"
    if _is_used_again(target):
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        work = Path(name)
        content, wheels = work / "content", work / "wheels"
        _unpack_wheels(source, wheels)
        _copy_packages(source, wheels, content)
        for file in source.imports.files:
            _copy(file, content / file.relative_to(source.root))
        _compile(content)
        _zip(content, work / target.name)
        (work / target.name).replace(target)
    _forget_old(cache, source.modules[0])
    return target


def _is_used_again(archive: Path) -> bool:
    """Tell whether it is there, and note the use: another process forgets what is used least."""
    try:
        os.utime(archive)
    except FileNotFoundError:
        return False
    return True


def _forget_old(cache: Path, module: str) -> None:
    archives = sorted(cache.glob(f"{module}-*.zip"), key=_last_used)
    for archive in archives[:-KEPT]:
        archive.unlink(missing_ok=True)


def _last_used(archive: Path) -> float:
    try:
        return archive.stat().st_mtime
    except FileNotFoundError:
        # Another process has just forgotten it.
        return 0.0


def _check_interpreter() -> None:
    if sys.version_info[:2] != _PYTHON:
        raise _error(
            "python",
            ".".join(map(str, sys.version_info[:2])),
            f"The functions run on {RUNTIME.name}, and bytecode of another version is ignored.",
            f"Synthesise with Python {_PYTHON[0]}.{_PYTHON[1]}.",
        )


def _error(field_name: str, value: object, reason: str, remedy: str) -> SpecificationError:
    return SpecificationError("function asset", [Problem(field_name, value, reason, remedy)])


def _file_of(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((file for file in candidates if file.is_file()), None)


def _imported(root: Path, file: Path) -> Iterator[str]:
    for node in _executed(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise _error(
                    "modules",
                    file.relative_to(root).as_posix(),
                    f"Line {node.lineno} imports relatively, which is not followed.",
                    "Name the module from its root.",
                )
            yield node.module
            submodules = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (module for module in submodules if _file_of(root, module))


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        # Imports are statements; not looking into expressions makes this ten times faster.
        if not isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            continue
        if isinstance(node, ast.If) and _for_type_checkers(node.test):
            continue
        yield node
        yield from _executed(node)


def _for_type_checkers(test: ast.expr) -> bool:
    names = (getattr(node, "id", getattr(node, "attr", None)) for node in ast.walk(test))
    return "TYPE_CHECKING" in names


def _beside(package: Path) -> Iterator[Path]:
    for path in package.parent.iterdir():
        if path.is_file() and path.suffix not in _NOT_PACKAGED:
            yield path


def _unpack_wheels(source: FunctionSource, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
    command += ["--platform", source.platform, "--implementation", "cp"]
    command += ["--python-version", ".".join(map(str, _PYTHON))]
    command += ["--target", str(target), "--requirement", str(source.requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise _error(
            "requirements",
            source.requirements.name,
            f"pip cannot fetch the locked packages: {(errors or ['no reason given'])[-1]}.",
            "See that the package index can be reached. What was built once is kept, and needs no "
            "index again until its lock or its code changes.",
        )


def _copy_packages(source: FunctionSource, wheels: Path, target: Path) -> None:
    for path in _needed(source, wheels):
        destination = target / path.name
        if path.is_dir():
            shutil.copytree(path, destination, ignore=shutil.ignore_patterns("tests"))
        else:
            _copy(path, destination)
    if (data := target / "botocore" / "data").is_dir():
        keep = {*_BOTOCORE_FILES, *source.services}
        for path in data.iterdir():
            if path.name not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _needed(source: FunctionSource, wheels: Path) -> list[Path]:
    """Return the top-level folders and files of the distributions that are imported."""
    installed = {
        _normal(found.metadata["Name"]): found
        for found in importlib.metadata.distributions(path=[str(wheels)])
    }
    owner = {
        top.removesuffix(".py"): name
        for name, found in installed.items()
        for top in _top_level(found)
    }
    wanted = source.imports.third_party - source.left_out
    missing = sorted(wanted - owner.keys())
    if missing:
        raise _error(
            "requirements",
            source.requirements.name,
            f"It does not lock {', '.join(missing)}, which {source.modules[0]} imports.",
            "Lock the package, or name it as left out where the function never comes that way.",
        )
    chosen: set[str] = set()
    pending = [owner[name] for name in wanted]
    while pending:
        name = pending.pop()
        if name in installed and name not in chosen:
            chosen.add(name)
            pending.extend(_required(installed[name]))
    tops = {top for name in chosen for top in _top_level(installed[name])}
    return sorted(wheels / top for top in tops)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _top_level(distribution: importlib.metadata.Distribution) -> set[str]:
    tops = {file.parts[0] for file in distribution.files or ()}
    return {top for top in tops if not top.endswith((".dist-info", ".data")) and top != ".."}


def _required(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    # Extras too: what is not wanted of them is not locked, and what is not locked is not unpacked.
    for requirement in distribution.requires or ():
        if match := _DISTRIBUTION_NAME.match(requirement):
            yield _normal(match.group())


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)


def _compile(folder: Path) -> None:
    # In a process of its own: what this one has interned would find its way into the bytecode.
    command = [sys.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode"]
    command += ["unchecked-hash", "-s", str(folder), "-p", _TASK_ROOT, str(folder)]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "0"})  # noqa: S603


def _zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_dir():
                continue
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            mode = _EXECUTABLE if os.access(path, os.X_OK) else _READABLE
            entry.external_attr = mode << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
