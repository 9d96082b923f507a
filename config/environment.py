"""The schema of an environment: what a file in ``config/`` may say.

The values that constructs take are declared in :mod:`llm_constructs.specs` and validated in place,
so that the file and the constructor speak of the same thing.
"""

from typing import Any, Self

from pydantic import PrivateAttr, model_validator
from typing_extensions import override

from config import consistency
from config.account import AccountId, Region, Tags
from config.tables import DataTable, EksTable, NetworkTable, Table
from llm_constructs.specs.curation import Curation
from llm_constructs.specs.fine_tuning import FineTuning
from llm_constructs.specs.gateway import Gateway
from llm_constructs.specs.governance import Governance
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.lustre import LustreVolume
from llm_constructs.specs.network import Capability, NatGateways
from llm_constructs.specs.observability import Observability
from llm_constructs.specs.region import Jurisdiction
from llm_constructs.specs.serving import Serving


class Environment(Table):
    """One environment: an account and region, and what the platform has there."""

    account: AccountId
    """The AWS account id, in quotes."""
    region: Region
    """The region that everything lives in, unless a table says otherwise."""
    jurisdiction: Jurisdiction
    """Where data must stay. Regions outside it are refused everywhere in the file."""
    retain_data: bool = True
    """Whether buckets, file systems and keys outlive their stack, and the stacks that hold them
    refuse deletion. Only an environment without any data worth keeping says false."""
    tags: Tags
    """Tags of every resource. `owner` and `cost-center` are required."""
    network: NetworkTable
    """The VPC."""
    data: DataTable | None = None
    """The S3 data lake. Left out: no lake."""
    curation: Curation | None = None
    """The pipeline that makes datasets of raw text. Left out: none."""
    fine_tuning: FineTuning | None = None
    """Pipelines that tune models on data of the lake. Left out: none."""
    lustre: LustreVolume | None = None
    """FSx for Lustre in the accelerator subnet, joined to the lake. Left out: no file system."""
    eks: EksTable | None = None
    """An EKS cluster. Left out: none."""
    serving: Serving | None = None
    """Models that vLLM serves on the cluster. Left out: none."""
    training: HyperPod | None = None
    """A SageMaker HyperPod cluster. Left out: none."""
    gateway: Gateway | None = None
    """The OpenAI-compatible API in front of Bedrock and `[serving]`. Left out: no gateway."""
    observability: Observability | None = None
    """Dashboards, alarms and whom they tell. Left out: nobody is told of anything."""
    governance: Governance | None = None
    """Budgets, the audit log, and tags that are looked after. Left out: none of them."""

    _name: str = PrivateAttr(default="")

    @override
    def model_post_init(self, context: Any, /) -> None:
        if context:
            self._name = context["name"]

    @property
    def name(self) -> str:
        """The name of the file without its ending."""
        return self._name

    @property
    def hyperpod_on_eks(self) -> HyperPod | None:
        """The HyperPod cluster whose nodes the EKS cluster orchestrates, if there is one."""
        training = self.training
        if training is None or self.eks is None or training.orchestrator != Orchestrator.EKS:
            return None
        return training

    @property
    def is_isolated(self) -> bool:
        """Whether nothing reaches the internet; of an existing VPC the file does not tell."""
        nat = self.network.vpc.nat_gateways if self.network.vpc else None
        return nat in (NatGateways.CLOSED, NatGateways.NONE)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the environment turns on, which decides the VPC's endpoints."""
        tables = {
            Capability.CURATION: self.curation,
            Capability.FINE_TUNING: self.fine_tuning,
            Capability.EKS: self.eks,
            Capability.TRAINING: self.training,
            Capability.GATEWAY: self.gateway,
            Capability.GATEWAY_SERVICE: self.gateway.service if self.gateway else None,
        }
        turned_on = {capability for capability, table in tables.items() if table is not None}
        if self.is_isolated and self.eks is not None and self.eks.prometheus.enabled:
            # KEDA asks the workspace, which is elsewhere reached over the internet.
            turned_on.add(Capability.OBSERVABILITY)
        return frozenset(self.network.endpoints_for) | turned_on

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        consistency.check(self)
        return self
