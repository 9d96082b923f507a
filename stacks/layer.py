"""What every stack of the platform has in common."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import CfnResource, RemovalPolicy, Stack, Tags
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct, IConstruct

from config import Environment

REQUIRED_TAGS: Final = frozenset({"owner", "cost-center", "environment", "layer"})
"""What every resource bears that can bear tags; every synthesis looks."""

TAGS_BY_KEY: Final = frozenset({"AWS::SSM::Parameter"})
"""Types whose tags are an object, where others have a list."""


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
        self.tags_of_all: Mapping[str, str] = {
            **environment.tags,
            "environment": environment.name,
            "layer": name,
        }
        tags = Tags.of(self)
        for key, value in self.tags_of_all.items():
            tags.add(key, value)

    def tag(self, *resources: IConstruct | None) -> None:
        """Give resources the stack's tags that the CDK makes without any way to bear them.

        Whatever is no resource, or is not there, is passed over.
        """
        for resource in resources:
            if isinstance(resource, CfnResource):
                by_key = resource.cfn_resource_type in TAGS_BY_KEY
                resource.add_property_override(
                    "Tags",
                    dict(self.tags_of_all)
                    if by_key
                    else [{"Key": key, "Value": it} for key, it in self.tags_of_all.items()],
                )
