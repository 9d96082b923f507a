"""The fine-tuning stack: pipelines from data of the lake to tuned models; it holds no data."""

from pathlib import Path

from aws_cdk import CfnOutput
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from config import Environment
from llm_constructs.data_lake import DataLake
from llm_constructs.fine_tuning_pipeline import FineTuningPipelines
from llm_constructs.function_asset import FunctionSource, build
from llm_constructs.network import Network
from llm_constructs.specs.fine_tuning import FineTuning
from stacks.layer import Layer

ROOT = Path(__file__).parent.parent
LAMBDAS = ROOT / "lambdas"
CACHE = ROOT / ".cache" / "functions"

FUNCTIONS = FunctionSource(
    root=LAMBDAS,
    modules=("tuning_quality.validator", "tuning_quality.evaluator"),
    requirements=LAMBDAS / "tuning_quality" / "requirements.txt",
    services=("bedrock-runtime", "s3"),
)


class FineTuningStack(Layer):
    """The environment's fine-tuning over its lake, as ``pipelines``.

    The outputs are each state machine, and the parameter that names what it published last.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        network: Network,
        lake: DataLake,
        fine_tuning: FineTuning,
    ) -> None:
        super().__init__(
            scope,
            "fine-tuning",
            environment=environment,
            description="pipelines from data of the lake to tuned models",
        )
        self.pipelines = FineTuningPipelines(
            self,
            "FineTuning",
            fine_tuning=fine_tuning,
            name=environment.name,
            code=lambda_.Code.from_asset(str(build(FUNCTIONS, CACHE))),
            lake=lake,
            vpc=network.vpc,
            removal_policy=self.removal_policy,
        )
        for branch, machine in self.pipelines.state_machines.items():
            CfnOutput(self, f"{branch}StateMachine", value=machine.state_machine_arn)
            CfnOutput(self, f"{branch}Parameter", value=self.pipelines.parameters[branch])
