"""kubectl and Helm for the functions that speak to clusters.

The asset is named after its package's version instead of hashing it.
"""

import hashlib

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.kubectl_package import package_of, unpacked_layer


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
