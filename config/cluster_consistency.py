"""What an environment says of its cluster, beside everything else that it has."""

from typing import TYPE_CHECKING

from config.tables import EksTable
from llm_constructs.specs.capacity import ClusterCapacity
from llm_constructs.specs.eks import GpuMonitoring
from llm_constructs.specs.hyperpod import Orchestrator
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.model_placement import ModelPlacement
from llm_constructs.specs.model_source import WeightStore
from llm_constructs.specs.node_image import check_kubelet
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import Jurisdiction
from llm_constructs.specs.serving import Serving, ServingSurroundings

if TYPE_CHECKING:
    from config.environment import Environment


def check_eks(environment: "Environment", problems: Problems) -> None:
    """Note what the cluster cannot be, in this region and network."""
    if environment.eks is None:
        return
    with problems.inside("eks"):
        ClusterCapacity(
            region=environment.region,
            zones=environment.network.chosen_vpc.availability_zones,
            accelerator_zone=environment.network.chosen_vpc.accelerator_zone,
            profile=environment.eks.cluster.compute,
            system_nodes=environment.eks.system_nodes
            if "system_nodes" in environment.eks.model_fields_set
            else environment.eks.managed_system_nodes,
            pools=environment.eks.pools,
            groups=environment.eks.groups,
        )
    with problems.inside("eks.teams"):
        environment.eks.team_plan(environment.hyperpod_on_eks)
    _check_kubelets(problems, environment.eks)
    if environment.eks.cluster.is_automatic:
        _check_auto_mode(environment, problems, environment.eks)
    _check_controllers(environment, problems, environment.eks)
    _check_registries(environment, problems, environment.eks)


def _check_kubelets(problems: Problems, eks: EksTable) -> None:
    version = eks.cluster.version
    system = eks.managed_system_nodes
    if system is not None and system.ami_release is not None:
        check_kubelet(problems, "eks.system_nodes.ami_release", system.ami_release, version)
    for group in eks.groups:
        check_kubelet(problems, f"eks.groups.{group.name}.ami_release", group.ami_release, version)


def _check_auto_mode(environment: "Environment", problems: Problems, eks: EksTable) -> None:
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
        environment.serving is None,
        "serving",
        [model.name for model in environment.serving.models] if environment.serving else [],
        "Model servers wait for gates of the AWS Load Balancer Controller, and EKS Auto Mode "
        "brings a controller of its own.",
        remedy,
    )
    problems.require(
        environment.hyperpod_on_eks is None,
        "training.orchestrator",
        str(Orchestrator.EKS),
        "Nodes of HyperPod need the cluster's own network plugin and device plugins, and with "
        "EKS Auto Mode it has none.",
        'Choose orchestrator = "slurm", or write compute = "karpenter" in [eks.cluster].',
    )
    problems.require(
        environment.lustre is None,
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


def _check_controllers(environment: "Environment", problems: Problems, eks: EksTable) -> None:
    problems.require(
        environment.data is not None or not eks.controllers.mounted_models,
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
        environment.jurisdiction is not Jurisdiction.US_GOV or not eks.prometheus.enabled,
        "eks.prometheus.enabled",
        True,
        "AWS has no agentless scrapers in GovCloud, and the workspace would stay empty.",
        "Write enabled = false in [eks.prometheus]; model servers then have a fixed number of "
        "copies.",
    )


def _check_registries(environment: "Environment", problems: Problems, eks: EksTable) -> None:
    vpc = environment.network.vpc
    if vpc is None:
        return
    problems.require(
        not environment.is_isolated or eks.mirror is not None,
        "network.vpc.nat_gateways",
        vpc.nat_gateways.value,
        "The cluster's controllers come as charts and images from public registries, and "
        "without a NAT gateway the VPC reaches none.",
        'Choose "one" or "one-per-zone", or take them from the account with [eks.mirror].',
    )
    _check_mirror(environment, problems, eks)


def _check_mirror(environment: "Environment", problems: Problems, eks: EksTable) -> None:
    downloaded = [
        model.name
        for model in (environment.serving.models if environment.serving else ())
        if model.source.store == WeightStore.HUB
    ]
    problems.require(
        not (environment.is_isolated and downloaded),
        "serving.models",
        downloaded,
        "Their weights come from the hub, which the network does not reach.",
        "Copy them into the lake, or give the VPC a NAT gateway.",
    )
    hyperpod = environment.hyperpod_on_eks
    kubernetes = hyperpod.kubernetes if hyperpod else None
    chart = kubernetes.chart if kubernetes else None
    problems.require(
        not environment.is_isolated or hyperpod is None or chart is not None,
        "training.kubernetes.chart",
        None,
        "HyperPod's chart takes images from public registries, which the network does not reach, "
        "unless the platform installs it.",
        'Pin the chart, choose orchestrator = "slurm", or give the VPC a NAT gateway.',
    )
    if eks.mirror is None:
        return
    credentials = eks.mirror.credentials()
    kubeflow = chart is not None and kubernetes is not None and kubernetes.kubeflow
    images = {
        "docker.io": (
            environment.serving is not None or kubeflow,
            "those of vLLM and Kubeflow's operators",
        ),
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


def check_serving(environment: "Environment", problems: Problems) -> None:
    """Note what keeps the models from being served on the cluster."""
    if environment.serving is None:
        return
    problems.require(
        environment.network.domain is not None,
        "serving",
        [model.name for model in environment.serving.models],
        "Their load balancers speak nothing but TLS, and the network has no domain with a "
        "certificate.",
        "Add [network.domain], or remove [serving].",
    )
    if environment.eks is None:
        problems.add(
            "serving",
            [model.name for model in environment.serving.models],
            "Models run on the cluster, and this environment has none.",
            "Add [eks], or remove [serving].",
        )
        return
    _check_tokens(environment, problems, environment.serving)
    environment.serving.check(
        problems,
        ServingSurroundings(
            placement=ModelPlacement(
                pools=environment.eks.pools,
                groups=environment.eks.groups,
                system_nodes=environment.eks.managed_system_nodes,
            ),
            namespaces=environment.eks.cluster.namespaces,
            has_lake=environment.data is not None,
            has_file_system=environment.lustre is not None,
            scales=environment.eks.controllers.autoscaling and environment.eks.prometheus.enabled,
            has_leader_worker_sets=environment.eks.controllers.leader_worker_set,
            hosts=_gateway_hosts(environment),
            mounts=environment.eks.controllers.mounts,
        ),
    )


def _check_tokens(environment: "Environment", problems: Problems, serving: Serving) -> None:
    """Note every token of the hub that pods would look for in another region than its own."""
    for number, model in enumerate(serving.models):
        arn = model.source.token_secret_arn
        region = arn.split(":")[3] if arn else environment.region
        problems.require(
            region == environment.region,
            f"serving.models.{number}.source.token_secret_arn",
            arn,
            f"The secret lies in {region}, and pods ask Secrets Manager in {environment.region}.",
            f"Replicate the secret to {environment.region}, and give the replica's ARN.",
        )


def _gateway_hosts(environment: "Environment") -> dict[str, str]:
    if environment.gateway is None:
        return {}
    hosts = {environment.gateway.domain_prefix: "the gateway"}
    if environment.gateway.service is not None:
        hosts[environment.gateway.service.domain_prefix] = "the gateway's container service"
    return hosts
