"""What goes into a function's zip file."""

import importlib.util
import os
import platform
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from llm_constructs import function_asset
from llm_constructs.function_asset import FunctionSource, ImportGraph, build
from llm_constructs.specs.problem import SpecificationError
from stacks.gateway import APPLICATION, AUTHORIZER, CACHE, TOKEN_AUTHORIZER

# Each test builds zip files.
pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
LARGEST_ZIP = 5 * MEGABYTE

SOURCES = {
    "application": APPLICATION,
    "authorizer": AUTHORIZER,
    "token authorizer": TOKEN_AUTHORIZER,
}

HERE = f"manylinux2014_{platform.machine()}"


@pytest.fixture(scope="module")
def application() -> Path:
    return build(APPLICATION, CACHE)


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as content:
        return content.namelist()


def write(root: Path, name: str, text: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


@pytest.fixture
def source(tmp_path: Path) -> FunctionSource:
    root = tmp_path / "code"
    write(root, "app/__init__.py")
    write(root, "app/main.py", "import json\nfrom app import used\nfrom app.deep.inner import x")
    write(root, "app/used.py", "def f():\n    import app.late")
    write(root, "app/late.py")
    write(root, "app/deep/__init__.py")
    write(root, "app/deep/inner.py", "x = 1")
    write(root, "app/deep/page.html", "<p>")
    write(root, "app/unused.py")
    write(
        root,
        "app/typed.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import app.unused",
    )
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("")
    return FunctionSource(root=root, modules=("app.main",), requirements=requirements)


def test_only_what_is_imported_goes_in(source: FunctionSource, tmp_path: Path) -> None:
    found = {name for name in names(build(source, tmp_path / "cache")) if "__pycache__" not in name}
    assert found == {
        "app/__init__.py",
        "app/main.py",
        "app/used.py",
        "app/late.py",
        "app/deep/__init__.py",
        "app/deep/inner.py",
        "app/deep/page.html",
    }


def test_what_only_type_checkers_import_stays_out(source: FunctionSource) -> None:
    graph = ImportGraph.of(source.root, ["app.typed"])
    assert source.root / "app" / "unused.py" not in graph.files
    assert graph.third_party == frozenset()


def test_the_same_source_makes_the_same_bytes(source: FunctionSource, tmp_path: Path) -> None:
    one, two = (build(source, tmp_path / name) for name in ("one", "two"))
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()


def test_what_was_built_once_is_not_built_again(source: FunctionSource, tmp_path: Path) -> None:
    built = build(source, tmp_path).stat().st_ino
    assert build(replace(source), tmp_path).stat().st_ino == built


def test_old_files_leave_the_cache(
    source: FunctionSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_asset, "KEPT", 2)
    for state in range(4):
        write(source.root, "app/late.py", f"state = {state}")
        newest = build(replace(source), tmp_path)
    kept = sorted(tmp_path.glob("*.zip"))
    assert len(kept) == 2
    assert newest in kept


def test_a_file_that_is_used_again_stays_in_the_cache(
    source: FunctionSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may be about to read it."""
    monkeypatch.setattr(function_asset, "KEPT", 2)

    def built(state: int) -> Path:
        write(source.root, "app/late.py", f"state = {state}")
        return build(replace(source), tmp_path)

    for moment, archive in enumerate((built(1), built(2))):
        os.utime(archive, (moment, moment))
    kept = {built(1), built(3)}
    assert set(tmp_path.glob("*.zip")) == kept


def test_two_processes_may_forget_the_same_file(
    source: FunctionSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_asset, "KEPT", 1)
    # Listed still, and gone: as a file is that another process has removed meanwhile.
    (tmp_path / "app.main-gone.zip").symlink_to(tmp_path / "nowhere")
    archive = build(source, tmp_path)
    assert list(tmp_path.glob("*.zip")) == [archive]


@pytest.mark.parametrize("name", ["app/main.py", "app/late.py", "app/deep/page.html"])
def test_a_change_of_what_goes_in_makes_another_file(
    name: str, source: FunctionSource, tmp_path: Path
) -> None:
    before = source.fingerprint()
    with (source.root / name).open("a") as file:
        file.write("\n# more\n")
    assert replace(source).fingerprint() != before


def test_a_change_of_anything_else_makes_none(source: FunctionSource) -> None:
    before = source.fingerprint()
    write(source.root, "app/unused.py", "y = 2")
    assert replace(source).fingerprint() == before


def test_a_missing_module_is_refused(source: FunctionSource, tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"modules = 'app\.nothing': There is no such"):
        build(replace(source, modules=("app.nothing",)), tmp_path)


def test_a_relative_import_is_refused(source: FunctionSource, tmp_path: Path) -> None:
    write(source.root, "app/late.py", "\nfrom . import used")
    with pytest.raises(SpecificationError, match=r"'app/late\.py': Line 2 imports relatively"):
        build(replace(source), tmp_path)


def test_an_import_that_is_not_locked_is_refused(source: FunctionSource, tmp_path: Path) -> None:
    write(source.root, "app/late.py", "import botocore")
    with pytest.raises(SpecificationError, match=r"It does not lock botocore, which app\.main"):
        build(replace(source), tmp_path)


def test_an_import_that_is_left_out_needs_no_lock(source: FunctionSource, tmp_path: Path) -> None:
    write(source.root, "app/late.py", "import botocore")
    archive = build(replace(source, left_out=frozenset({"botocore"})), tmp_path)
    assert not [name for name in names(archive) if name.startswith("botocore")]


def test_an_unreachable_package_index_is_told_in_a_sentence(
    source: FunctionSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.requirements.write_text(f"nothing-there==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(SpecificationError) as caught:
        build(replace(source), tmp_path)
    assert "pip cannot fetch the locked packages" in str(caught.value)
    assert "See that the package index can be reached" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert list(tmp_path.glob("*.zip")) == []


def test_another_python_is_refused(
    source: FunctionSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_asset, "_PYTHON", (3, 99))
    with pytest.raises(SpecificationError, match="bytecode of another version is ignored"):
        build(source, tmp_path)


def test_the_gateways_zip_file_is_small(application: Path) -> None:
    assert application.stat().st_size <= LARGEST_ZIP


def test_the_gateways_zip_file_knows_only_the_services_it_calls(application: Path) -> None:
    services = {
        name.split("/")[2]
        for name in names(application)
        if name.startswith("botocore/data/") and name.count("/") > 2
    }
    assert services == {"bedrock-runtime", "dynamodb", "secretsmanager"}


def test_the_gateways_zip_file_has_no_tests_locks_or_other_packages(application: Path) -> None:
    tops = {name.split("/")[0] for name in names(application)}
    assert {"gateway", "botocore", "waitress", "werkzeug"} <= tops
    assert not {"boto3", "jwt", "pip", "authorizer"} & tops
    assert not [name for name in names(application) if name.endswith(("requirements.txt", ".in"))]


def test_native_code_is_for_arm(application: Path) -> None:
    libraries = [name for name in names(application) if name.endswith(".so")]
    assert libraries
    assert all("aarch64" in name for name in libraries)


def test_only_the_authoriser_of_tokens_carries_what_checks_them() -> None:
    without, with_tokens = (
        {name.split("/")[0] for name in names(build(source, CACHE))}
        for source in (AUTHORIZER, TOKEN_AUTHORIZER)
    )
    assert with_tokens - without >= {"jwt", "cryptography"}
    assert not without & {"jwt", "cryptography"}


def test_the_start_script_can_be_executed(application: Path) -> None:
    with zipfile.ZipFile(application) as content:
        mode = content.getinfo("gateway/run.sh").external_attr >> 16
        assert content.getinfo("gateway/server.py").external_attr >> 16 == 0o644
    assert mode == 0o755


def test_every_module_has_bytecode_that_is_used_without_a_check(application: Path) -> None:
    with zipfile.ZipFile(application) as content:
        sources = [name for name in content.namelist() if name.endswith(".py")]
        assert len(sources) > 100
        for name in sources:
            folder, _, file = name.rpartition("/")
            prefix = f"{folder}/" if folder else ""
            stem = file.removesuffix(".py")
            compiled = content.read(f"{prefix}__pycache__/{stem}.cpython-311.pyc")
            assert compiled[:4] == importlib.util.MAGIC_NUMBER
            # PEP 552: bit 0 says hash-based, bit 1 that the hash is checked.
            assert int.from_bytes(compiled[4:8], "little") == 0b01


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The functions' content with native code for the machine that runs the tests."""
    folders = {}
    for name, source in SOURCES.items():
        folder = tmp_path_factory.mktemp("unpacked")
        archive = build(replace(source, platform=HERE), CACHE)
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        folders[name] = folder
    return folders


@pytest.mark.skipif(sys.platform != "linux", reason="The wheels that are unpacked are for Linux.")
@pytest.mark.parametrize("name", SOURCES)
def test_a_function_runs_from_its_zip_file_alone(name: str, unpacked: dict[str, Path]) -> None:
    source = SOURCES[name]
    module = source.modules[0]
    code = f"""
import sys
sys.path.insert(0, {str(unpacked[name])!r})
import {module}
from botocore.session import get_session
for service in {source.services!r}:
    get_session().create_client(service, region_name="us-east-2")
for module in {sorted(source.imports.third_party - source.left_out)!r}:
    __import__(module)
"""
    # -I and -S keep everything that is installed here out of sight.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
