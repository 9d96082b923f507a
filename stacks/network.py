"""The network stack: changes rarely, and everything else stands in it."""

from constructs import Construct

from config import Environment
from llm_constructs.network import Network
from llm_constructs.restriction_log import RESTRICTION_PROVIDER
from stacks.layer import Layer


class NetworkStack(Layer):
    """The environment's VPC, made or imported, as ``network``."""

    def __init__(self, scope: Construct, *, environment: Environment) -> None:
        super().__init__(
            scope,
            "network",
            environment=environment,
            description="VPC, endpoints, flow logs, certificate",
            holds_data=True,
        )
        table = environment.network
        self.network = Network(
            self,
            "Network",
            vpc=table.chosen_vpc,
            capabilities=environment.capabilities,
            flow_logs=table.flow_logs,
            domain=table.domain,
            removal_policy=self.removal_policy,
        )
        # The CDK's function that closes default security groups knows no tags.
        provider = self.node.try_find_child(RESTRICTION_PROVIDER)
        self.tag(*(provider.node.children if provider else ()))
