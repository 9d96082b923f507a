"""KEDA: as many replicas as there is work, down to none."""

from typing import Any, Final

from aws_cdk import aws_iam as iam
from constructs import Construct, IDependable

from llm_constructs.alarm import Severity
from llm_constructs.alert_rule import AlertRule
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.kubectl import KubernetesObject
from llm_constructs.nag import acknowledge
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.prometheus import Prometheus
from llm_constructs.scrape_configuration import scrape_annotations
from llm_constructs.specs.controller_charts import KEDA

OPERATOR: Final = "keda-operator"
"""The service account of the one part of KEDA that asks AWS for metrics."""

METRICS_PORT: Final = 8080

TRIGGER_AUTHENTICATION: Final = "aws"
"""The ClusterTriggerAuthentication that triggers of ScaledObjects name, in every namespace."""


class Keda(Construct):
    """KEDA with permission to query ``prometheus``, if there is one, and CloudWatch's metrics.

    CloudWatch wakes what is scaled to zero: pods that do not run have no metrics of their own.
    Triggers that name the ClusterTriggerAuthentication :data:`TRIGGER_AUTHENTICATION` are answered
    with that permission. ``installed`` is what ScaledObjects wait for, and are deleted before.
    """

    alert_rules: Final = (
        AlertRule(
            name="KedaScalersFail",
            summary="KEDA cannot read a metric that a model server scales by, so its copies stay "
            "as many as they are.",
            # Counted by the operator: https://keda.sh/docs/latest/integrations/prometheus/
            expression="sum by (scaledObject) (increase(keda_scaler_detail_errors_total[10m]))",
            threshold=0,
            minutes=10,
            severity=Severity.TICKET,
            runbook="eks-keda-errors",
        ),
    )
    """What Prometheus tells of it, and CloudWatch does not see."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        prometheus: Prometheus | None,
    ) -> None:
        super().__init__(scope, construct_id)
        role = PodIdentityRole(
            self,
            "Role",
            cluster=cluster,
            namespace=KEDA.namespace,
            service_account=OPERATOR,
            description=f"Metrics that KEDA scales by in {cluster.name}",
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="Reading CloudWatch metrics supports no resource-level permission and no "
            "condition on the namespace (https://docs.aws.amazon.com/service-authorization/latest/"
            "reference/list_amazoncloudwatch.html); it reads figures and changes nothing.",
        )
        role.allow(
            iam.PolicyStatement(actions=["cloudwatch:GetMetricData"], resources=["*"]),
        )
        if prometheus is not None:
            prometheus.grant_query(role)
        chart = cluster.kubectl.install(
            self,
            "Chart",
            KEDA,
            values=keda_values(cluster=cluster.name),
            # The agent gives credentials to pods that start after the association was made.
            after=[role, role.associate()],
        )
        self.installed: IDependable = cluster.kubectl.apply(
            self, "TriggerAuthentication", trigger_authentication(), after=[chart]
        )


def trigger_authentication() -> KubernetesObject:
    """Return what lets triggers ask AWS as KEDA's operator, and as nobody else.

    https://keda.sh/docs/latest/authentication-providers/aws/
    """
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ClusterTriggerAuthentication",
        "metadata": {"name": TRIGGER_AUTHENTICATION},
        "spec": {"podIdentity": {"provider": "aws", "identityOwner": "keda"}},
    }


def keda_values(*, cluster: str) -> dict[str, Any]:
    """Return the chart's values. Pod Identity needs none: IRSA stays off, and the role is found by
    the operator's service account.

    https://github.com/kedacore/charts/tree/main/keda
    """
    return {
        "clusterName": cluster,
        "serviceAccount": {"operator": {"name": OPERATOR}},
        "podIdentity": {"aws": {"irsa": {"enabled": False}}},
        "prometheus": {"operator": {"enabled": True, "port": METRICS_PORT}},
        "podAnnotations": {"keda": dict(scrape_annotations(port=METRICS_PORT))},
        "resources": {
            "operator": _resources(cpu="100m", memory="256Mi"),
            "metricServer": _resources(cpu="50m", memory="128Mi"),
            "webhooks": _resources(cpu="20m", memory="64Mi"),
        },
    }


def _resources(*, cpu: str, memory: str) -> dict[str, dict[str, str]]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
