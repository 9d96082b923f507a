"""The AWS Load Balancer Controller: load balancers for ingresses and services."""

from aws_cdk import Stack
from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.load_balancer_policy import LoadBalancerStatements, acknowledge_wildcards
from llm_constructs.pod_identity import PodIdentityRole
from llm_constructs.specs.controller_charts import LOAD_BALANCER_CONTROLLER


class LoadBalancerController(Construct):
    """The controller with permissions for one cluster's load balancers.

    ``installed`` is what ingresses and services of type LoadBalancer wait for, and are deleted
    before; otherwise nobody is left to delete what they stand for in AWS. Services name the class
    ``service.k8s.aws/nlb``, for the webhook that would give it to them is off: until the controller
    runs, it would refuse every service of every other chart. The CDK's own construct gives the
    controller its role through an OIDC provider, which the cluster does not have.
    """

    def __init__(self, scope: Construct, construct_id: str, *, cluster: EksCluster) -> None:
        super().__init__(scope, construct_id)
        role = PodIdentityRole(
            self,
            "Role",
            cluster=cluster,
            namespace=LOAD_BALANCER_CONTROLLER.namespace,
            service_account=LOAD_BALANCER_CONTROLLER.name,
            description=f"Load balancers of {cluster.name}",
        )
        vpc_id = cluster.vpc.vpc_id
        role.allow(
            *LoadBalancerStatements(self, cluster_name=cluster.name).all(
                vpc_id=vpc_id, node_security_group_id=cluster.security_group_id
            )
        )
        acknowledge_wildcards(role)
        role.associate()
        self.installed = cluster.kubectl.install(
            self,
            "Chart",
            LOAD_BALANCER_CONTROLLER,
            values={
                "clusterName": cluster.name,
                # It would ask the instance metadata, which pods do not reach.
                "region": Stack.of(self).region,
                "vpcId": vpc_id,
                "serviceAccount": {"name": role.service_account},
                "enableServiceMutatorWebhook": False,
                # New certificates with every upgrade would reach the API server at once and the
                # pods a minute later, and until then whatever the webhooks guard is refused:
                # https://github.com/kubernetes-sigs/aws-load-balancer-controller/tree/main/helm/aws-load-balancer-controller
                "keepTLSSecret": True,
                # The webhooks answer while a node is replaced.
                "podDisruptionBudget": {"maxUnavailable": 1},
                "resources": {
                    "requests": {"cpu": "100m", "memory": "256Mi"},
                    "limits": {"memory": "512Mi"},
                },
                # What its role has no permissions for.
                "enableShield": False,
                "enableWaf": False,
                "enableWafv2": False,
            },
            after=[role],
            # Its webhook checks ingresses, and refuses them until it runs.
            wait=True,
        )
