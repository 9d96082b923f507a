"""What the tables of an environment say of one another."""

import re
from typing import TYPE_CHECKING

from config.cluster_consistency import check_eks, check_serving
from llm_constructs.specs.data_lake import LakeArea
from llm_constructs.specs.gateway_service import ContainerService
from llm_constructs.specs.hyperpod_site import HyperPodSite
from llm_constructs.specs.model_offer import check_served
from llm_constructs.specs.network import NatGateways
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import REGIONS, Jurisdiction
from llm_constructs.specs.residency import Residency, check_deployment, check_residency

if TYPE_CHECKING:
    from config.environment import Environment


def check(environment: "Environment") -> None:
    """Compare the tables with one another.

    Raises :class:`~llm_constructs.specs.problem.SpecificationError` with everything that does not
    fit together.
    """
    problems = Problems("environment")
    _check_regions(environment, problems)
    _check_zones(environment, problems)
    _check_curation(environment, problems)
    _check_fine_tuning(environment, problems)
    _check_lustre(environment, problems)
    check_eks(environment, problems)
    check_serving(environment, problems)
    _check_training(environment, problems)
    _check_gateway(environment, problems)
    _check_governance(environment, problems)
    problems.raise_if_any()


def _check_regions(environment: "Environment", problems: Problems) -> None:
    problems.require(
        REGIONS[environment.region] is environment.jurisdiction,
        "jurisdiction",
        str(environment.jurisdiction),
        f"{environment.region} lies in the jurisdiction {REGIONS[environment.region]}.",
        f'Write jurisdiction = "{REGIONS[environment.region]}", or choose another region.',
    )
    replication = environment.data.replication if environment.data else None
    if replication is None:
        return
    field = "data.replication.region"
    inside = sorted(
        region
        for region, jurisdiction in REGIONS.items()
        if jurisdiction is environment.jurisdiction and region != environment.region
    )
    choice = (
        f"Choose one of {', '.join(inside)}."
        if inside
        else "This jurisdiction has no second region: remove [data.replication]."
    )
    problems.require(
        REGIONS.get(replication.region) is environment.jurisdiction,
        field,
        replication.region,
        f"The copy would leave the jurisdiction {environment.jurisdiction}.",
        choice,
    )
    problems.require(
        replication.region != environment.region,
        field,
        replication.region,
        "A copy in the same region is lost with it.",
        choice,
    )


def _check_zones(environment: "Environment", problems: Problems) -> None:
    for zone in environment.network.chosen_vpc.availability_zones:
        problems.require(
            re.fullmatch(rf"{environment.region}[a-z]", zone) is not None,
            "network.availability_zones",
            zone,
            f"It is not a zone of {environment.region}.",
            f"Zones there are named {environment.region}a, {environment.region}b and so on.",
        )


def _check_curation(environment: "Environment", problems: Problems) -> None:
    if environment.curation is None:
        return
    problems.require(
        environment.data is not None,
        "curation",
        None,
        "The pipeline reads and writes the lake, and this environment has none.",
        "Add a [data] table, or remove [curation].",
    )
    gpu = environment.curation.gpu_deduplication
    for field, rows in (
        ("instance_families", environment.curation.rows),
        ("gpu_deduplication.instance_types", gpu.rows if gpu else ()),
    ):
        for row in rows:
            problems.require(
                environment.region in row.regions,
                f"curation.{field}",
                row.name,
                f"EC2 does not offer it in {environment.region}.",
                "Choose one that is offered there.",
            )


def _check_fine_tuning(environment: "Environment", problems: Problems) -> None:
    if environment.fine_tuning is None:
        return
    problems.require(
        environment.data is not None,
        "fine_tuning",
        None,
        "The pipelines read and write the lake, and this environment has none.",
        "Add a [data] table, or remove [fine_tuning].",
    )
    environment.fine_tuning.check_region(problems, environment.region)
    bedrock = environment.fine_tuning.bedrock
    if bedrock is not None:
        check_residency(
            problems,
            "fine_tuning.bedrock.base_model",
            bedrock.model.evaluated_as,
            residency=Residency.GEO,
            jurisdiction=environment.jurisdiction,
        )


def _check_lustre(environment: "Environment", problems: Problems) -> None:
    if environment.lustre is None:
        return
    problems.require(
        environment.network.chosen_vpc.accelerator_zone is not None,
        "lustre",
        None,
        "The file system lives in the accelerator subnet, and the network has none.",
        "Set accelerator_zone in the network's VPC, or remove [lustre].",
    )
    problems.require(
        environment.data is not None or not environment.lustre.repositories,
        "lustre.repositories",
        [repository.path for repository in environment.lustre.repositories],
        "They link the file system to the lake, and this environment has no lake.",
        "Add a [data] table, or set repositories = [].",
    )
    for index, repository in enumerate(environment.lustre.repositories):
        problems.require(
            repository.data in set(LakeArea),
            f"lustre.repositories.{index}.data",
            repository.data,
            "The lake has no such area.",
            f"Choose one of {', '.join(LakeArea)}.",
        )


def _check_training(environment: "Environment", problems: Problems) -> None:
    if environment.training is None:
        return
    with problems.inside("training"):
        HyperPodSite(
            cluster=environment.training,
            account=environment.account,
            region=environment.region,
            zones=environment.network.chosen_vpc.availability_zones,
            accelerator_zone=environment.network.chosen_vpc.accelerator_zone,
            kubernetes_version=environment.eks.cluster.version if environment.eks else None,
            has_file_system=environment.lustre is not None,
            has_teams=environment.eks is not None and bool(environment.eks.teams),
            has_prometheus=environment.eks is not None and environment.eks.prometheus.enabled,
        )


def _check_gateway(environment: "Environment", problems: Problems) -> None:
    if environment.gateway is None:
        return
    environment.gateway.check_residency(problems, environment.jurisdiction, field="gateway.models")
    servers = environment.serving.models if environment.serving else ()
    check_served(
        problems,
        environment.gateway.models,
        {server.name: server for server in servers},
        field="gateway.models",
    )
    for index, model in enumerate(environment.gateway.models):
        if model.model_id is None:
            continue
        check_deployment(
            problems,
            f"gateway.models.{index}.model_id",
            model.model_id,
            account=environment.account,
            region=environment.region,
        )
    nat = environment.network.vpc.nat_gateways if environment.network.vpc else None
    problems.require(
        environment.gateway.oidc is None or nat not in (NatGateways.CLOSED, NatGateways.NONE),
        "gateway.oidc",
        environment.gateway.oidc and environment.gateway.oidc.issuer,
        "The authoriser fetches the issuer's keys from the internet, which the network does "
        "not reach.",
        'Set nat_gateways = "one" or more in the network\'s VPC, or remove [gateway.oidc].',
    )
    _check_gateway_service(environment, problems, environment.gateway.service)


def _check_gateway_service(
    environment: "Environment", problems: Problems, service: ContainerService | None
) -> None:
    if service is None:
        return
    problems.require(
        environment.network.domain is not None,
        "gateway.service.domain_prefix",
        service.domain_prefix,
        "The load balancer speaks nothing but TLS, and the network has no domain with a "
        "certificate.",
        "Add [network.domain], or remove [gateway.service].",
    )
    problems.require(
        not service.internet_facing or environment.network.chosen_vpc.has_public_subnets,
        "gateway.service.internet_facing",
        True,
        "The network has no public subnets.",
        "Say false, or give the VPC public subnets.",
    )


def _check_governance(environment: "Environment", problems: Problems) -> None:
    if environment.governance is None or environment.governance.spending is None:
        return
    problems.require(
        environment.observability is not None,
        "governance.spending",
        None,
        "Budgets tell the topics of [observability], and there are none.",
        "Add [observability] with addresses, or remove [governance.spending].",
    )
    problems.require(
        environment.jurisdiction is not Jurisdiction.US_GOV,
        "governance.spending",
        str(environment.jurisdiction),
        "GovCloud has neither AWS Budgets nor Cost Anomaly Detection: its bill is that of a "
        "commercial account.",
        "Set budgets in that account, and remove [governance.spending].",
    )
