"""HyperPod's task governance: who may use how much of a HyperPod cluster, and who waits."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Acknowledgment, CfnResource, CustomResource, Stack, Validations
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IDependable

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.encryption import CustomerKey
from llm_constructs.governance_provider import RESOURCE_TYPE, GovernanceProvider
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.specs.hyperpod_regions import GovernanceKind, has_governance_resource
from llm_constructs.specs.team import Preemption, Team, TeamPlan
from llm_constructs.workload_namespaces import FILE_SYSTEM_CLAIM

POLICY: Final = "teams"

PRIORITIES: Final[Mapping[str, int]] = {"urgent": 100, "normal": 50, "background": 0}
"""Weights of priority classes, of which jobs name one as ``<name>-priority``.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-operate-console-ui-governance-tasks.html
"""

BORROW_PERCENT: Final = 500
"""How much more than its own a team may borrow: the most that the service works with, for the
platform's own queues know no limit either."""

_PREEMPTION: Final = {Preemption.NEVER: "Never", Preemption.LOWER_PRIORITY: "LowerPriority"}


class TaskGovernance(Construct):
    """The scheduling policy of a HyperPod cluster, a quota for each team of ``plan``, and in the
    team's namespace a claim of the file system if there is one.

    They are made ``after`` the add-on that carries them out, and deleted before it. CloudFormation
    makes them in the regions that have a resource for them, and a function of ``code`` elsewhere.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        cluster_arn: str,
        plan: TeamPlan,
        file_system: LustreFileSystem | None,
        code: lambda_.Code,
        encryption_key: CustomerKey,
        after: Sequence[IDependable],
    ) -> None:
        super().__init__(scope, construct_id)
        self.without_tags: list[CfnResource] = []
        """Resources without an L1, which do not bear the stack's tags by themselves."""
        self._cluster = cluster
        self._cluster_arn = cluster_arn
        self._code = code
        self._key = encryption_key
        self._provider: GovernanceProvider | None = None
        policy = self._make(
            self, "Policy", GovernanceKind.SCHEDULING_POLICY, scheduling_policy(cluster_arn), after
        )
        # Scopes of their own, for names in them are the environment's.
        quotas, claims = Construct(self, "Quotas"), Construct(self, "Claims")
        for team in plan.teams:
            quota = self._make(
                quotas,
                team.name,
                GovernanceKind.QUOTA,
                compute_quota(team, plan, cluster_arn),
                [*after, policy],
            )
            if file_system is not None:
                self._claim(Construct(claims, team.name), namespace_of(team), file_system, quota)

    def _make(
        self,
        scope: Construct,
        construct_id: str,
        kind: GovernanceKind,
        configuration: Mapping[str, Any],
        after: Sequence[IDependable],
    ) -> IDependable:
        made: CfnResource | CustomResource
        if has_governance_resource(kind, Stack.of(self).region):
            # There is no L1 of either in aws-cdk-lib 2.275.
            made = CfnResource(
                scope,
                construct_id,
                type=f"AWS::SageMaker::{kind}",
                properties=dict(configuration),
            )
            self.without_tags.append(made)
            Validations.of(made).acknowledge(
                Acknowledgment(
                    id="CloudFormation-Validate::F3006",
                    reason=f"{Stack.of(self).region}'s registry has AWS::SageMaker::{kind}, and "
                    "the CDK's own list of types is older. Its properties are compared with the "
                    "registry's schema in tests.",
                )
            )
        else:
            made = CustomResource(
                scope,
                construct_id,
                resource_type=RESOURCE_TYPE,
                service_token=self._service_token(),
                pascal_case_properties=False,
                properties={
                    "Kind": kind.value,
                    "Configuration": Stack.of(self).to_json_string(dict(configuration)),
                },
            )
            # On deletion the function needs its permissions.
            made.node.add_dependency(self.node.find_child("Provider"))
        made.node.add_dependency(*after)
        return made

    def _service_token(self) -> str:
        if self._provider is None:
            self._provider = GovernanceProvider(
                self,
                "Provider",
                code=self._code,
                cluster=self._cluster,
                cluster_arn=self._cluster_arn,
                encryption_key=self._key,
            )
        return self._provider.service_token

    def _claim(
        self,
        scope: Construct,
        namespace: str,
        file_system: LustreFileSystem,
        quota: IDependable,
    ) -> None:
        volume = file_system.static_volume(FILE_SYSTEM_CLAIM, namespace=namespace)
        kubectl = self._cluster.kubectl
        # SageMaker makes the namespace with the quota.
        persistent = kubectl.apply(scope, "Volume", volume.persistent_volume, after=[quota])
        kubectl.apply(scope, "Claim", volume.persistent_volume_claim, after=[persistent])


def namespace_of(team: Team) -> str:
    """Return the namespace that SageMaker makes for a team."""
    return f"hyperpod-ns-{team.name}"


def scheduling_policy(cluster_arn: str) -> dict[str, Any]:
    """Return the policy: first come, first served, within :data:`PRIORITIES`; what is idle is lent.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateClusterSchedulerConfig.html
    """
    return {
        "Name": POLICY,
        "ClusterArn": cluster_arn,
        "SchedulerConfig": {
            "PriorityClasses": [
                {"Name": name, "Weight": weight} for name, weight in PRIORITIES.items()
            ],
            "FairShare": "Disabled",
            "IdleResourceSharing": "Enabled",
        },
    }


def compute_quota(team: Team, plan: TeamPlan, cluster_arn: str) -> dict[str, Any]:
    """Return a team's quota, in which groups of one type of instance are counted together.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateComputeQuota.html
    """
    return {
        "Name": team.name,
        "ClusterArn": cluster_arn,
        "ComputeQuotaConfig": {
            "ComputeQuotaResources": _resources(team, plan),
            "ResourceSharingConfig": _sharing(team),
            "PreemptTeamTasks": _PREEMPTION[team.preemption],
        },
        "ComputeQuotaTarget": {"TeamName": team.name, "FairShareWeight": 0},
        "ActivationState": "Enabled",
    }


def _resources(team: Team, plan: TeamPlan) -> list[dict[str, Any]]:
    amounts: dict[str, dict[str, int]] = {}
    for quota in team.quotas:
        (kind,) = plan.hyperpod_group(quota).sagemaker_types
        amount = amounts.setdefault(kind, {})
        # What is left out SageMaker fills in, in proportion.
        for name, value in (
            ("Accelerators", quota.devices),
            ("VCpu", quota.vcpus),
            ("MemoryInGiB", quota.memory_gib),
        ):
            if value is not None:
                amount[name] = amount.get(name, 0) + value
    return [{"InstanceType": kind, **amount} for kind, amount in amounts.items()]


def _sharing(team: Team) -> dict[str, Any]:
    if team.lends and team.borrows:
        return {"Strategy": "LendAndBorrow", "BorrowLimit": BORROW_PERCENT}
    return {"Strategy": "Lend" if team.lends else "DontLend"}
