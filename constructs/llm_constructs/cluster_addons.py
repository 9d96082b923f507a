"""Add-ons of EKS in a cluster, with their permissions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_eks_v2 as eks
from constructs import Construct, IDependable

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.specs.cluster_addon import ClusterAddon


class ClusterAddons(Construct):
    """``addons`` in a cluster, installed after ``after`` and removed before it.

    Each service account that calls AWS has a role of its own by Pod Identity. What somebody
    changed by hand in an add-on's objects is overwritten, because the template is the truth.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        addons: Sequence[ClusterAddon],
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster = cluster
        for addon in addons:
            self._install(addon).node.add_dependency(*after)

    def _install(self, addon: ClusterAddon) -> eks.CfnAddon:
        # The L2 has no Pod Identity: https://github.com/aws/aws-cdk/issues/34903
        return eks.CfnAddon(
            self,
            _pascal_case(addon.name),
            cluster_name=self._cluster.cluster.cluster_name,
            addon_name=addon.name,
            addon_version=addon.version,
            configuration_values=_json(addon.configuration),
            pod_identity_associations=self._associations(addon),
            resolve_conflicts="OVERWRITE",
        )

    def _associations(
        self, addon: ClusterAddon
    ) -> list[eks.CfnAddon.PodIdentityAssociationProperty] | None:
        if addon.service_account is None or addon.managed_policy is None:
            return None
        role = PodIdentityRole(
            self,
            f"{_pascal_case(addon.name)}Role",
            cluster=self._cluster,
            namespace=addon.namespace,
            service_account=addon.service_account,
            description=f"The add-on {addon.name} of {self._cluster.name}",
        )
        role.use_managed_policy(addon.managed_policy)
        return [
            eks.CfnAddon.PodIdentityAssociationProperty(
                role_arn=role.role_arn, service_account=addon.service_account
            )
        ]


def _json(configuration: Mapping[str, Any]) -> str | None:
    return json.dumps(configuration, sort_keys=True) if configuration else None


def _pascal_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
