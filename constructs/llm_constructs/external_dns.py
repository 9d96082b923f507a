"""external-dns: records of the domain for ingresses."""

from typing import Any, Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_route53 as route53
from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.nag import acknowledge
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.specs.controller_charts import EXTERNAL_DNS
from llm_constructs.specs.network import Domain

OWNERSHIP_PREFIX: Final = "external-dns-%{record_type}."
"""Stands before a record's name in that of the TXT record which says whose it is. It ends in a dot,
so that the domain's own record has its TXT record below the domain and not beside it.

https://kubernetes-sigs.github.io/external-dns/latest/docs/registry/txt/
"""

RECORD_TYPES: Final = ("A", "AAAA", "CNAME", "TXT")


class ExternalDns(Construct):
    """The controller for the names of ``domain`` in its one hosted zone.

    It makes and deletes records of its own (``policy: sync``): a record that outlives its load
    balancer points users at a name that somebody else may get. A TXT record beside each says that
    it belongs to this cluster, and others are never touched. Its role may change records of these
    types and names alone. ``installed`` is what ingresses wait for, and are deleted before.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        domain: Domain,
        hosted_zone: route53.IHostedZone,
    ) -> None:
        super().__init__(scope, construct_id)
        role = self._make_role(cluster, domain, hosted_zone)
        self.installed = cluster.kubectl.install(
            self,
            "Chart",
            EXTERNAL_DNS,
            values=external_dns_values(
                domain,
                owner=cluster.name,
                region=Stack.of(self).region,
                account=role.service_account,
            ),
            after=[role, role.associate()],
        )

    def _make_role(
        self, cluster: EksCluster, domain: Domain, hosted_zone: route53.IHostedZone
    ) -> PodIdentityRole:
        role = PodIdentityRole(
            self,
            "Role",
            cluster=cluster,
            namespace=EXTERNAL_DNS.namespace,
            service_account=EXTERNAL_DNS.name,
            description=f"Records of {domain.name} for ingresses of {cluster.name}",
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="Listing hosted zones supports no resource-level permission, and the program "
            "lists them to find the one it was told; it may read and change that one alone.",
        )
        role.allow(
            iam.PolicyStatement(
                actions=["route53:ChangeResourceRecordSets"],
                resources=[hosted_zone.hosted_zone_arn],
                # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-conditions-route53.html
                conditions={
                    "ForAllValues:StringLike": {
                        "route53:ChangeResourceRecordSetsNormalizedRecordNames": [
                            domain.name,
                            f"*.{domain.name}",
                        ]
                    },
                    "ForAllValues:StringEquals": {
                        "route53:ChangeResourceRecordSetsRecordTypes": list(RECORD_TYPES)
                    },
                },
            ),
            iam.PolicyStatement(
                actions=["route53:ListResourceRecordSets"], resources=[hosted_zone.hosted_zone_arn]
            ),
            iam.PolicyStatement(actions=["route53:ListHostedZones"], resources=["*"]),
        )
        return role


def external_dns_values(domain: Domain, *, owner: str, region: str, account: str) -> dict[str, Any]:
    """Return the chart's values: ingresses alone, and names of ``domain`` alone.

    https://github.com/kubernetes-sigs/external-dns/tree/master/charts/external-dns
    """
    return {
        "provider": {"name": "aws"},
        "serviceAccount": {"name": account},
        # It would ask the instance metadata, which pods do not reach.
        "env": [{"name": "AWS_DEFAULT_REGION", "value": region}],
        "sources": ["ingress"],
        "policy": "sync",
        "registry": "txt",
        "txtOwnerId": owner,
        "txtPrefix": OWNERSHIP_PREFIX,
        "domainFilters": [domain.name],
        # An ingress that goes must not wait for the next minute: its controller may go first.
        "triggerLoopOnEvent": True,
        "extraArgs": [
            "--aws-zone-type=public",
            f"--zone-id-filter={domain.hosted_zone_id}",
            # The zone may hold more than the domain, and would not match its filter.
            "--aws-zone-match-parent",
        ],
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi"},
            "limits": {"memory": "128Mi"},
        },
    }
