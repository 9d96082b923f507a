"""The serving stack: models that vLLM serves on the cluster. It changes weekly."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aws_cdk import CfnOutput
from constructs import Construct

from config import Environment
from llm_constructs.encryption import CustomerKey
from llm_constructs.model_endpoint import ModelEndpoint
from llm_constructs.model_server_alarms import pascal_case
from llm_constructs.network import Network
from llm_constructs.private_bucket import LoadBalancerLogsBucket
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.problem import Problem, SpecificationError
from llm_constructs.specs.serving import Serving
from llm_constructs.vllm_server import ServingSite, VllmServer
from stacks.alerting import add_alert_rules
from stacks.layer import Layer

if TYPE_CHECKING:
    from llm_constructs.data_lake import DataLake
    from stacks.eks import EksStack

ACCESS_LOGS_DAYS = 90


class ServingStack(Layer):
    """The environment's models, as ``servers`` and, for those who call them, as ``endpoints``.

    ``endpoints`` maps the names of models to their base URL and the secret with their key.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        eks: "EksStack",
        lake: "DataLake | None",
        serving: Serving,
    ) -> None:
        super().__init__(
            scope,
            "serving",
            environment=environment,
            description="Models that vLLM serves on the cluster",
        )
        self._environment = environment
        site = self._make_site(network, eks, lake, serving)
        # In a scope of their own: their names come from the environment's file.
        models = Construct(self, "Models")
        self.servers: Mapping[str, VllmServer] = {
            server.name: VllmServer(
                models,
                pascal_case(server.name),
                server=server,
                site=site,
                node_labels=self._node_labels(server, eks),
                removal_policy=self.removal_policy,
            )
            for server in serving.models
        }
        self.endpoints: Mapping[str, ModelEndpoint] = {
            name: server.endpoint for name, server in self.servers.items()
        }
        for name, endpoint in self.endpoints.items():
            CfnOutput(self, f"{pascal_case(name)}Url", value=endpoint.base_url)
            CfnOutput(self, f"{pascal_case(name)}KeySecret", value=endpoint.api_key.secret_arn)
        add_alert_rules(self, environment, eks.prometheus)

    def _make_site(
        self, network: Network, eks: "EksStack", lake: "DataLake | None", serving: Serving
    ) -> ServingSite:
        domain = self._environment.network.domain
        if domain is None or network.certificate is None or network.hosted_zone is None:
            # The environment's schema says so earlier, with the file's name.
            problem = Problem(
                "serving",
                None,
                "The load balancers speak nothing but TLS, and the network has no certificate.",
                "Give the network its domain.",
            )
            raise SpecificationError("serving stack", [problem])
        return ServingSite(
            cluster=eks.cluster,
            namespace=serving.namespace,
            vpc_cidrs=self._environment.network.chosen_vpc.cidrs,
            domain=domain.name,
            certificate=network.certificate,
            hosted_zone=network.hosted_zone,
            access_logs=LoadBalancerLogsBucket(
                self,
                "AccessLogs",
                retention_days=ACCESS_LOGS_DAYS,
                removal_policy=self.removal_policy,
            ),
            encryption_key=CustomerKey(
                self,
                "Key",
                description="Encrypts the API keys of the models on the cluster",
                removal_policy=self.removal_policy,
            ),
            models=lake.location(LakeArea.MODELS) if lake else None,
            mounts=self._environment.eks.controllers.mounts if self._environment.eks else (),
            query_endpoint=eks.prometheus.query_endpoint if eks.prometheus else None,
        )

    def _node_labels(self, server: ModelServer, eks: "EksStack") -> Mapping[str, str]:
        """Return the label that the nodes of the model's pool or reserved group have."""
        for group in eks.reserved_nodes:
            if group.node_group_name == f"{eks.cluster.name}-{server.pool}":
                return {"eks.amazonaws.com/nodegroup": group.node_group_name}
        return {"karpenter.sh/nodepool": server.pool}
