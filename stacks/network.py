"""The network stack: changes rarely, and everything else stands in it."""

from constructs import Construct

from config import Environment
from llm_constructs.network import Network
from llm_constructs.specs.network import ExistingVpc, NewVpc
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
            vpc=_chosen(table.vpc, table.existing_vpc),
            capabilities=environment.capabilities,
            flow_logs=table.flow_logs,
            domain=table.domain,
            removal_policy=self.removal_policy,
        )


def _chosen(vpc: NewVpc | None, existing: ExistingVpc | None) -> NewVpc | ExistingVpc:
    chosen = vpc or existing
    assert chosen is not None, "the schema of the environment requires one of the two"  # noqa: S101
    return chosen
