"""The schema of an environment: what a file in ``config/`` may say.

The values that constructs take are declared in :mod:`llm_constructs.specs` and validated in place,
so that the file and the constructor speak of the same thing.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, PrivateAttr, model_validator
from typing_extensions import override

from llm_constructs.specs.capacity import ClusterCapacity
from llm_constructs.specs.controllers import Controllers
from llm_constructs.specs.curation import Curation
from llm_constructs.specs.data_lake import LakeArea, LakeReplication, LakeRetention
from llm_constructs.specs.eks import Cluster, GpuMonitoring
from llm_constructs.specs.fine_tuning import FineTuning
from llm_constructs.specs.gateway import Gateway
from llm_constructs.specs.gateway_service import ContainerService
from llm_constructs.specs.governance import Governance
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.hyperpod_site import HyperPodSite
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.karpenter_pool import KarpenterPool
from llm_constructs.specs.lustre import LustreVolume
from llm_constructs.specs.mirror import Mirror
from llm_constructs.specs.model_offer import check_served
from llm_constructs.specs.model_placement import ModelPlacement
from llm_constructs.specs.model_source import WeightStore
from llm_constructs.specs.network import (
    Capability,
    Domain,
    ExistingVpc,
    FlowLogs,
    NatGateways,
    NewVpc,
)
from llm_constructs.specs.node_group import ReservedNodeGroup, SystemNodes
from llm_constructs.specs.observability import Observability
from llm_constructs.specs.problem import Problem, Problems, SpecificationError
from llm_constructs.specs.prometheus import PrometheusMetrics
from llm_constructs.specs.region import REGIONS, Jurisdiction
from llm_constructs.specs.residency import Residency, check_deployment, check_residency
from llm_constructs.specs.serving import Serving, ServingSurroundings
from llm_constructs.specs.team import Team, TeamPlan


def _refuse(field: str, value: object, reason: str, remedy: str) -> SpecificationError:
    return SpecificationError(field, [Problem("", value, reason, remedy)])


@contextmanager
def _inside(problems: Problems, field: str) -> Iterator[None]:
    """Note what a specification refuses as problems of ``field``."""
    try:
        yield
    except SpecificationError as error:
        for problem in error.problems:
            problems.add(f"{field}.{problem.field}", problem.value, problem.reason, problem.remedy)


def _account_id(value: str) -> str:
    if not re.fullmatch(r"\d{12}", value):
        raise _refuse(
            "account",
            value,
            "An AWS account id has twelve digits.",
            'Write it in quotes, for example "111111111111".',
        )
    return value


def _region(value: str) -> str:
    if value not in REGIONS:
        raise _refuse(
            "region",
            value,
            "It is not a region that the platform knows.",
            f"Choose one of {', '.join(sorted(REGIONS))}.",
        )
    return value


_TAG = re.compile(r"[\w .:/=+\-@]+")
_TAG_KEY_LENGTH, _TAG_VALUE_LENGTH = (
    128,
    256,
)  # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html


def _tags(value: dict[str, str]) -> dict[str, str]:
    problems = Problems("tags")
    for key, text in value.items():
        legal = _TAG.fullmatch(key) and len(key) <= _TAG_KEY_LENGTH
        problems.require(
            bool(legal) and not key.lower().startswith("aws:"),
            key,
            text,
            "AWS does not accept this tag key.",
            "Use up to 128 letters, digits, spaces and . : / = + - @ _, not starting with aws:.",
        )
        problems.require(
            _TAG.fullmatch(text) is not None and len(text) <= _TAG_VALUE_LENGTH,
            key,
            text,
            "AWS does not accept this tag value, or it says nothing.",
            "Use 1 to 256 letters, digits, spaces and . : / = + - @ _.",
        )
    for required in ("owner", "cost-center"):
        problems.require(
            required in value,
            required,
            None,
            "The tag is missing; without it nobody knows whom to call or to bill.",
            f'Add {required} = "…" to [tags].',
        )
    problems.raise_if_any()
    return value


Region = Annotated[str, AfterValidator(_region)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class NetworkTable(_Table):
    """The VPC: either one to make or one that exists, and what hangs on it."""

    vpc: NewVpc | None = None
    """A VPC to make."""
    existing_vpc: ExistingVpc | None = None
    """A VPC to use as it is."""
    endpoints_for: tuple[Capability, ...] = ()
    """Capabilities whose interface endpoints are made even though this file does not turn them on:
    for stacks of other applications in the same VPC, or ahead of time."""
    flow_logs: FlowLogs = FlowLogs()
    """The flow logs of a VPC to make; those of an existing one are its owner's."""
    domain: Domain | None = None
    """The public domain and its TLS certificate. Left out: no certificate."""

    @model_validator(mode="after")
    def _one_vpc(self) -> Self:
        if (self.vpc is None) == (self.existing_vpc is None):
            given = "both" if self.vpc else "neither"
            raise _refuse(
                "network",
                f"{given} of [network.vpc] and [network.existing_vpc]",
                "The platform runs in exactly one VPC.",
                "Keep one of the two tables.",
            )
        return self

    @property
    def chosen_vpc(self) -> NewVpc | ExistingVpc:
        """Whichever VPC it is; :meth:`_one_vpc` sees to it that it is one."""
        return self.vpc or cast("ExistingVpc", self.existing_vpc)


class DataTable(_Table):
    """The S3 data lake."""

    retention: LakeRetention = LakeRetention()
    """How long objects are kept."""
    replication: LakeReplication | None = None
    """A copy in a second region. Left out: none."""


class EksTable(_Table):
    """An EKS cluster with its controllers and nodes."""

    cluster: Cluster = Cluster()
    """The cluster itself."""
    system_nodes: SystemNodes = SystemNodes()
    """The nodes of the cluster's own controllers."""
    pools: tuple[KarpenterPool, ...] = ()
    """Nodes that come and go with the pods that need them."""
    groups: tuple[ReservedNodeGroup, ...] = ()
    """Nodes on reserved accelerators."""
    controllers: Controllers = Controllers()
    """Controllers that not every cluster needs."""
    prometheus: PrometheusMetrics = PrometheusMetrics()
    """The metrics of pods, by which model servers scale."""
    mirror: Mirror | None = None
    """Charts as files and images from the account's ECR, for a network without NAT gateways. Left
    out: both come from public registries."""
    teams: tuple[Team, ...] = ()
    """Teams that share the cluster by quotas. Left out: no queues, first come, first served."""

    @property
    def managed_system_nodes(self) -> SystemNodes | None:
        """The system nodes, ``None`` with EKS Auto Mode, where there are none."""
        return None if self.cluster.is_automatic else self.system_nodes

    @property
    def device_kinds(self) -> frozenset[DeviceKind]:
        """The kinds of accelerators that nodes may have, and ``none`` where some have none."""
        rows = [pool.rows[0] for pool in self.pools] + [group.row for group in self.groups]
        return frozenset(row.device_kind for row in rows)

    @property
    def needs_neuron_topology(self) -> bool:
        """Whether nodes may have several Neuron devices, which pods must get side by side."""
        rows = [row for pool in self.pools for row in pool.rows]
        rows += [group.row for group in self.groups]
        return any(
            row.device_kind is DeviceKind.NEURON and row.accelerator_count > 1 for row in rows
        )

    def team_plan(self, hyperpod: HyperPod | None = None) -> TeamPlan:
        """Return the teams beside what the pools and groups can give, and those of ``hyperpod`` if
        the cluster orchestrates it.

        Raises :class:`SpecificationError` with everything that does not fit together.
        """
        return TeamPlan(
            teams=self.teams,
            pools=self.pools,
            groups=self.groups,
            namespaces=self.cluster.namespaces,
            hyperpod_groups=hyperpod.groups if hyperpod else (),
            governed=hyperpod is not None and hyperpod.governs_tasks,
        )


class Environment(_Table):
    """One environment: an account and region, and what the platform has there."""

    account: Annotated[str, AfterValidator(_account_id)]
    """The AWS account id, in quotes."""
    region: Region
    """The region that everything lives in, unless a table says otherwise."""
    jurisdiction: Jurisdiction
    """Where data must stay. Regions outside it are refused everywhere in the file."""
    retain_data: bool = True
    """Whether buckets, file systems and keys outlive their stack, and the stacks that hold them
    refuse deletion. Only an environment without any data worth keeping says false."""
    tags: Annotated[dict[str, str], AfterValidator(_tags)]
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
        problems = Problems("environment")
        self._check_regions(problems)
        self._check_zones(problems)
        self._check_curation(problems)
        self._check_fine_tuning(problems)
        self._check_lustre(problems)
        self._check_eks(problems)
        self._check_serving(problems)
        self._check_training(problems)
        self._check_gateway(problems)
        self._check_governance(problems)
        problems.raise_if_any()
        return self

    def _check_regions(self, problems: Problems) -> None:
        problems.require(
            REGIONS[self.region] is self.jurisdiction,
            "jurisdiction",
            str(self.jurisdiction),
            f"{self.region} lies in the jurisdiction {REGIONS[self.region]}.",
            f'Write jurisdiction = "{REGIONS[self.region]}", or choose another region.',
        )
        replication = self.data.replication if self.data else None
        if replication is None:
            return
        field = "data.replication.region"
        inside = sorted(
            region
            for region, jurisdiction in REGIONS.items()
            if jurisdiction is self.jurisdiction and region != self.region
        )
        choice = (
            f"Choose one of {', '.join(inside)}."
            if inside
            else "This jurisdiction has no second region: remove [data.replication]."
        )
        problems.require(
            REGIONS.get(replication.region) is self.jurisdiction,
            field,
            replication.region,
            f"The copy would leave the jurisdiction {self.jurisdiction}.",
            choice,
        )
        problems.require(
            replication.region != self.region,
            field,
            replication.region,
            "A copy in the same region is lost with it.",
            choice,
        )

    def _check_governance(self, problems: Problems) -> None:
        if self.governance is None or self.governance.spending is None:
            return
        problems.require(
            self.observability is not None,
            "governance.spending",
            None,
            "Budgets tell the topics of [observability], and there are none.",
            "Add [observability] with addresses, or remove [governance.spending].",
        )
        problems.require(
            self.jurisdiction is not Jurisdiction.US_GOV,
            "governance.spending",
            str(self.jurisdiction),
            "GovCloud has neither AWS Budgets nor Cost Anomaly Detection: its bill is that of a "
            "commercial account.",
            "Set budgets in that account, and remove [governance.spending].",
        )

    def _check_zones(self, problems: Problems) -> None:
        for zone in self.network.chosen_vpc.availability_zones:
            problems.require(
                re.fullmatch(rf"{self.region}[a-z]", zone) is not None,
                "network.availability_zones",
                zone,
                f"It is not a zone of {self.region}.",
                f"Zones there are named {self.region}a, {self.region}b and so on.",
            )

    def _check_lustre(self, problems: Problems) -> None:
        if self.lustre is None:
            return
        problems.require(
            self.network.chosen_vpc.accelerator_zone is not None,
            "lustre",
            None,
            "The file system lives in the accelerator subnet, and the network has none.",
            "Set accelerator_zone in the network's VPC, or remove [lustre].",
        )
        problems.require(
            self.data is not None or not self.lustre.repositories,
            "lustre.repositories",
            [repository.path for repository in self.lustre.repositories],
            "They link the file system to the lake, and this environment has no lake.",
            "Add a [data] table, or set repositories = [].",
        )
        for index, repository in enumerate(self.lustre.repositories):
            problems.require(
                repository.data in set(LakeArea),
                f"lustre.repositories.{index}.data",
                repository.data,
                "The lake has no such area.",
                f"Choose one of {', '.join(LakeArea)}.",
            )

    def _check_eks(self, problems: Problems) -> None:
        if self.eks is None:
            return
        with _inside(problems, "eks"):
            ClusterCapacity(
                region=self.region,
                zones=self.network.chosen_vpc.availability_zones,
                accelerator_zone=self.network.chosen_vpc.accelerator_zone,
                profile=self.eks.cluster.compute,
                system_nodes=self.eks.system_nodes
                if "system_nodes" in self.eks.model_fields_set
                else self.eks.managed_system_nodes,
                pools=self.eks.pools,
                groups=self.eks.groups,
            )
        with _inside(problems, "eks.teams"):
            self.eks.team_plan(self.hyperpod_on_eks)
        if self.eks.cluster.is_automatic:
            self._check_auto_mode(problems, self.eks)
        self._check_controllers(problems, self.eks)
        self._check_registries(problems, self.eks)

    def _check_auto_mode(self, problems: Problems, eks: EksTable) -> None:
        """Note what the platform builds on its own nodes alone."""
        problems.require(
            DeviceKind.NONE in eks.device_kinds,
            "eks.pools",
            [pool.name for pool in eks.pools],
            "The cluster's add-ons and charts would have no node: EKS Auto Mode has only those of "
            "pools, and nodes with accelerators keep others away.",
            'Add a pool without accelerators, such as one of the family "m7g".',
        )
        remedy = 'Leave it out, or write compute = "karpenter" in [eks.cluster].'
        problems.require(
            self.serving is None,
            "serving",
            [model.name for model in self.serving.models] if self.serving else [],
            "Model servers wait for gates of the AWS Load Balancer Controller, and EKS Auto Mode "
            "brings a controller of its own.",
            remedy,
        )
        problems.require(
            self.hyperpod_on_eks is None,
            "training.orchestrator",
            str(Orchestrator.EKS),
            "Nodes of HyperPod need the cluster's own network plugin and device plugins, and with "
            "EKS Auto Mode it has none.",
            'Choose orchestrator = "slurm", or write compute = "karpenter" in [eks.cluster].',
        )
        problems.require(
            self.lustre is None,
            "lustre",
            None,
            "Nodes of EKS Auto Mode run Bottlerocket, on which the driver of FSx for Lustre is not "
            "tried.",
            remedy,
        )
        problems.require(
            not eks.controllers.mounted_models,
            "eks.controllers.mounted_models",
            list(eks.controllers.mounted_models),
            "Their driver is not tried on nodes of EKS Auto Mode.",
            remedy,
        )
        problems.require(
            not eks.needs_neuron_topology,
            "eks.pools",
            [pool.name for pool in eks.pools if pool.device_kind is DeviceKind.NEURON],
            "A node with several Neuron devices needs the Neuron scheduler, whose chart brings a "
            "second device plugin beside the one of EKS Auto Mode.",
            'Name types with one device, or write compute = "karpenter" in [eks.cluster].',
        )

    def _check_controllers(self, problems: Problems, eks: EksTable) -> None:
        problems.require(
            self.data is not None or not eks.controllers.mounted_models,
            "eks.controllers.mounted_models",
            list(eks.controllers.mounted_models),
            "They are folders of the lake, and this environment has no lake.",
            "Add a [data] table, or leave mounted_models out.",
        )
        problems.require(
            eks.prometheus.enabled or eks.cluster.gpu_monitoring is not GpuMonitoring.PROMETHEUS,
            "eks.cluster.gpu_monitoring",
            str(eks.cluster.gpu_monitoring),
            "There is no Prometheus workspace for the GPUs' metrics.",
            "Choose node-repair or metrics, or set enabled = true in [eks.prometheus].",
        )
        problems.require(
            self.jurisdiction is not Jurisdiction.US_GOV or not eks.prometheus.enabled,
            "eks.prometheus.enabled",
            True,
            "AWS has no agentless scrapers in GovCloud, and the workspace would stay empty.",
            "Write enabled = false in [eks.prometheus]; model servers then scale by CloudWatch.",
        )

    def _check_training(self, problems: Problems) -> None:
        if self.training is None:
            return
        with _inside(problems, "training"):
            HyperPodSite(
                cluster=self.training,
                account=self.account,
                region=self.region,
                zones=self.network.chosen_vpc.availability_zones,
                accelerator_zone=self.network.chosen_vpc.accelerator_zone,
                kubernetes_version=self.eks.cluster.version if self.eks else None,
                has_file_system=self.lustre is not None,
                has_teams=self.eks is not None and bool(self.eks.teams),
                has_prometheus=self.eks is not None and self.eks.prometheus.enabled,
            )

    def _check_registries(self, problems: Problems, eks: EksTable) -> None:
        vpc = self.network.vpc
        if vpc is None:
            return
        problems.require(
            not self.is_isolated or eks.mirror is not None,
            "network.vpc.nat_gateways",
            vpc.nat_gateways.value,
            "The cluster's controllers come as charts and images from public registries, and "
            "without a NAT gateway the VPC reaches none.",
            'Choose "one" or "one-per-zone", or take them from the account with [eks.mirror].',
        )
        self._check_mirror(problems, eks)

    def _check_mirror(self, problems: Problems, eks: EksTable) -> None:
        downloaded = [
            model.name
            for model in (self.serving.models if self.serving else ())
            if model.source.store == WeightStore.HUB
        ]
        problems.require(
            not (self.is_isolated and downloaded),
            "serving.models",
            downloaded,
            "Their weights come from the hub, which the network does not reach.",
            "Copy them into the lake, or give the VPC a NAT gateway.",
        )
        problems.require(
            not self.is_isolated or self.hyperpod_on_eks is None,
            "training.orchestrator",
            str(Orchestrator.EKS),
            "HyperPod's chart takes its images from public registries, which the network does not "
            "reach.",
            'Choose orchestrator = "slurm", or give the VPC a NAT gateway.',
        )
        if eks.mirror is None:
            return
        credentials = eks.mirror.credentials()
        images = {
            "docker.io": (self.serving is not None, "those of vLLM"),
            "ghcr.io": (eks.controllers.autoscaling, "those of KEDA"),
        }
        for registry, (used, whose) in images.items():
            name = "docker_hub" if registry == "docker.io" else "github"
            problems.require(
                not used or credentials[registry] is not None,
                f"eks.mirror.{name}_secret_arn",
                None,
                f"ECR caches images of {registry}, {whose} among them, for those alone who have an "
                "account there.",
                "Give the ARN of a secret with its user name and access token.",
            )

    def _check_serving(self, problems: Problems) -> None:
        if self.serving is None:
            return
        problems.require(
            self.network.domain is not None,
            "serving",
            [model.name for model in self.serving.models],
            "Their load balancers speak nothing but TLS, and the network has no domain with a "
            "certificate.",
            "Add [network.domain], or remove [serving].",
        )
        if self.eks is None:
            problems.add(
                "serving",
                [model.name for model in self.serving.models],
                "Models run on the cluster, and this environment has none.",
                "Add [eks], or remove [serving].",
            )
            return
        self.serving.check(
            problems,
            ServingSurroundings(
                placement=ModelPlacement(
                    pools=self.eks.pools,
                    groups=self.eks.groups,
                    system_nodes=self.eks.managed_system_nodes,
                ),
                namespaces=self.eks.cluster.namespaces,
                has_lake=self.data is not None,
                has_file_system=self.lustre is not None,
                scales=self.eks.controllers.autoscaling and self.eks.prometheus.enabled,
                has_leader_worker_sets=self.eks.controllers.leader_worker_set,
                hosts=self._gateway_hosts(),
            ),
        )

    def _gateway_hosts(self) -> dict[str, str]:
        if self.gateway is None:
            return {}
        hosts = {self.gateway.domain_prefix: "the gateway"}
        if self.gateway.service is not None:
            hosts[self.gateway.service.domain_prefix] = "the gateway's container service"
        return hosts

    def _check_curation(self, problems: Problems) -> None:
        if self.curation is None:
            return
        problems.require(
            self.data is not None,
            "curation",
            None,
            "The pipeline reads and writes the lake, and this environment has none.",
            "Add a [data] table, or remove [curation].",
        )
        gpu = self.curation.gpu_deduplication
        for field, rows in (
            ("instance_families", self.curation.rows),
            ("gpu_deduplication.instance_types", gpu.rows if gpu else ()),
        ):
            for row in rows:
                problems.require(
                    self.region in row.regions,
                    f"curation.{field}",
                    row.name,
                    f"EC2 does not offer it in {self.region}.",
                    "Choose one that is offered there.",
                )

    def _check_fine_tuning(self, problems: Problems) -> None:
        if self.fine_tuning is None:
            return
        problems.require(
            self.data is not None,
            "fine_tuning",
            None,
            "The pipelines read and write the lake, and this environment has none.",
            "Add a [data] table, or remove [fine_tuning].",
        )
        self.fine_tuning.check_region(problems, self.region)
        bedrock = self.fine_tuning.bedrock
        if bedrock is not None:
            check_residency(
                problems,
                "fine_tuning.bedrock.base_model",
                bedrock.model.evaluated_as,
                residency=Residency.GEO,
                jurisdiction=self.jurisdiction,
            )

    def _check_gateway(self, problems: Problems) -> None:
        if self.gateway is None:
            return
        self.gateway.check_residency(problems, self.jurisdiction, field="gateway.models")
        servers = self.serving.models if self.serving else ()
        check_served(
            problems,
            self.gateway.models,
            {server.name: server for server in servers},
            field="gateway.models",
        )
        for index, model in enumerate(self.gateway.models):
            if model.model_id is None:
                continue
            check_deployment(
                problems,
                f"gateway.models.{index}.model_id",
                model.model_id,
                account=self.account,
                region=self.region,
            )
        nat = self.network.vpc.nat_gateways if self.network.vpc else None
        problems.require(
            self.gateway.oidc is None or nat not in (NatGateways.CLOSED, NatGateways.NONE),
            "gateway.oidc",
            self.gateway.oidc and self.gateway.oidc.issuer,
            "The authoriser fetches the issuer's keys from the internet, which the network does "
            "not reach.",
            'Set nat_gateways = "one" or more in the network\'s VPC, or remove [gateway.oidc].',
        )
        self._check_gateway_service(problems, self.gateway.service)

    def _check_gateway_service(self, problems: Problems, service: ContainerService | None) -> None:
        if service is None:
            return
        problems.require(
            self.network.domain is not None,
            "gateway.service.domain_prefix",
            service.domain_prefix,
            "The load balancer speaks nothing but TLS, and the network has no domain with a "
            "certificate.",
            "Add [network.domain], or remove [gateway.service].",
        )
        problems.require(
            not service.internet_facing or self.network.chosen_vpc.has_public_subnets,
            "gateway.service.internet_facing",
            True,
            "The network has no public subnets.",
            "Say false, or give the VPC public subnets.",
        )
