"""The curation stack: the pipeline from raw text to datasets changes weekly and holds no data."""

from aws_cdk import CfnOutput
from constructs import Construct

from config import Environment
from llm_constructs.curation_pipeline import CurationPipeline
from llm_constructs.data_lake import DataLake
from llm_constructs.network import Network
from llm_constructs.specs.curation import Curation
from stacks.layer import Layer


class CurationStack(Layer):
    """The environment's pipeline over its lake, as ``pipeline``."""

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        lake: DataLake,
        curation: Curation,
    ) -> None:
        super().__init__(
            scope,
            "curation",
            environment=environment,
            description="pipeline from raw text to datasets",
        )
        self.pipeline = CurationPipeline(
            self,
            "Pipeline",
            curation=curation,
            name=environment.name,
            lake=lake,
            vpc=network.vpc,
            removal_policy=self.removal_policy,
        )
        CfnOutput(self, "StateMachine", value=self.pipeline.state_machine.state_machine_arn)
