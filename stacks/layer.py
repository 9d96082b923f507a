"""What every stack of the platform has in common."""

from aws_cdk import Environment as CdkEnvironment
from aws_cdk import RemovalPolicy, Stack, Tags
from constructs import Construct

from config import Environment


class Layer(Stack):
    """A stack of one environment, named ``llm-<environment>-<name>``.

    It is deployed to the environment's account and to ``region`` (default: the environment's), and
    every resource carries the environment's tags. A stack that ``holds_data`` cannot be deleted
    while the environment retains its data.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        environment: Environment,
        description: str,
        region: str | None = None,
        holds_data: bool = False,
    ) -> None:
        super().__init__(
            scope,
            f"llm-{environment.name}-{name}",
            env=CdkEnvironment(account=environment.account, region=region or environment.region),
            description=f"LLM Platform, {environment.name}: {description}",
            termination_protection=holds_data and environment.retain_data,
        )
        self.layer_name = name
        self.environment_name = environment.name
        self.removal_policy = (
            RemovalPolicy.RETAIN if environment.retain_data else RemovalPolicy.DESTROY
        )
        tags = Tags.of(self)
        for key, value in environment.tags.items():
            tags.add(key, value)
        tags.add("environment", environment.name)
        tags.add("layer", name)
