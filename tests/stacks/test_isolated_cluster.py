"""A cluster in a network without a way out: charts as files, images from the account's ECR."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from config import ConfigError
from llm_constructs.specs.controller_charts import KEDA, NVIDIA_DEVICE_PLUGIN
from llm_constructs.specs.mirror import PREFIXES, mirrored
from llm_constructs.specs.problem import SpecificationError
from ops.__main__ import app
from ops.kubernetes.consistency import check_clusters
from ops.kubernetes.contents import ClusterContents
from stacks.eks import PROJECT
from stacks.platform import build_app
from tests.constructs.charts import write_charts
from tests.constructs.synthesis import Template
from tests.minimal_environment import MINIMAL_WITH_ACCELERATORS, loaded
from tests.team_environment import TeamEnvironment

TEAM = (
    MINIMAL_WITH_ACCELERATORS
    + """nat_gateways = "none"

[network.domain]
name = "llm.example.com"
hosted_zone_id = "Z1"

[data]

[eks.cluster]
gpu_monitoring = "prometheus"

[eks.mirror]
charts = "{charts}"
github_secret_arn = "arn:aws:secretsmanager:us-east-2:111111111111:secret:ecr-pullthroughcache/github-AbCdEf"
docker_hub_secret_arn = "arn:aws:secretsmanager:us-east-2:111111111111:secret:ecr-pullthroughcache/hub-AbCdEf"

[[eks.pools]]
name = "general"
instance_families = ["m7i"]
max_vcpus = 64
ami_version = "v20260903"

[[eks.pools]]
name = "gpus"
workload = "serving"
instance_types = ["g6e.2xlarge"]
max_devices = 4
ami_version = "v20260903"

[[eks.pools]]
name = "training"
workload = "training"
instance_types = ["p5en.48xlarge"]
capacity_types = ["on-demand"]
zones = ["us-east-2b"]
max_devices = 16
efa = true
ami_version = "v20260903"

[eks.controllers]
leader_worker_set = true
mounted_models = ["qwen"]

[[eks.teams]]
name = "research"
namespaces = ["training"]
quotas = [{{ pool = "gpus", devices = 1 }}]

[[serving.models]]
name = "qwen"
source = {{ path = "qwen/1" }}
shape = {{ parameters_billions = 8.2, layers = 36, attention_heads = 32, key_value_heads = 8 }}
pool = "gpus"
instance_type = "g6e.2xlarge"
prefix_routing = true
scaling = {{ minimum = 1, maximum = 2 }}

[[serving.models]]
name = "qwen-files"
source = {{ store = "mountpoint", path = "qwen/1" }}
shape = {{ parameters_billions = 8.2, layers = 36, attention_heads = 32, key_value_heads = 8 }}
pool = "gpus"
instance_type = "g6e.2xlarge"
"""  # noqa: E501 - secrets have long names
)

MIRROR = "111111111111.dkr.ecr.us-east-2.amazonaws.com"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def text() -> Iterator[str]:
    """Yield the file, with charts in a folder of the project that git does not know."""
    cache = PROJECT / ".cache"
    cache.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="charts-", dir=cache))
    write_charts(folder)
    yield TEAM.format(charts=folder.relative_to(PROJECT))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def environment(text: str, tmp_path_factory: pytest.TempPathFactory) -> TeamEnvironment:
    return TeamEnvironment(text, tmp_path_factory.mktemp("isolated"))


@pytest.fixture(scope="module")
def template(environment: TeamEnvironment) -> Template:
    return environment.template("eks")


@pytest.fixture
def contents(environment: TeamEnvironment) -> ClusterContents:
    return environment.contents


def test_it_synthesises_without_a_finding_and_fits_together(
    environment: TeamEnvironment, contents: ClusterContents
) -> None:
    assert environment.findings == []
    check_clusters([contents])


def test_every_chart_comes_from_the_assets_of_the_deployment(template: Template) -> None:
    charts = template.properties("Custom::AWSCDK-EKS-HelmChart")
    assert len(charts) == 9
    for chart in charts:
        assert "cdk-" in json.dumps(chart["ChartAssetURL"])
        assert "Repository" not in chart
        assert "Chart" not in chart


def test_every_chart_is_found_in_the_assembly(contents: ClusterContents) -> None:
    folders = [release.folder for release in contents.releases]
    assert len(set(folders)) == 9
    for folder in folders:
        assert folder is not None
        # An app that made the same asset before in this process has the files themselves.
        files = {file.name for file in folder.glob("*")}
        assert not files or "Chart.yaml" in files


def test_the_functions_that_apply_charts_may_read_those_files_alone(template: Template) -> None:
    (policy,) = [
        body["PolicyDocument"]
        for body in template.properties("AWS::IAM::Policy")
        if "KubectlRole" in json.dumps(body["Roles"])
    ]
    (read,) = [each for each in policy["Statement"] if "s3:GetObject" in each["Action"]]
    files = [json.dumps(resource) for resource in read["Resource"]]
    assert len(files) == 9
    for chart in template.properties("Custom::AWSCDK-EKS-HelmChart"):
        name = str(chart["ChartAssetURL"]).rpartition("/")[2].rstrip("'}")
        assert any(name in file for file in files)
    assert not any("*" in file for file in files)


def images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value["image"]
        for each in value.values():
            yield from images(each)
    elif isinstance(value, list):
        for each in value:
            yield from images(each)


def test_every_image_of_every_object_comes_from_the_account(contents: ClusterContents) -> None:
    named = {image for made in contents.objects for image in images(made.body)}
    assert {image.split("/")[1] for image in named} == {"docker-hub", "ecr-public"}
    assert all(image.startswith(f"{MIRROR}/") for image in named)


def test_values_name_no_public_registry(contents: ClusterContents) -> None:
    values = {each.release: each.values for each in contents.releases}
    assert values["keda"]["image"]["webhooks"] == {"registry": f"{MIRROR}/github"}
    assert values["karpenter"]["controller"]["image"] == {
        "repository": f"{MIRROR}/ecr-public/karpenter/controller"
    }
    # Beside what the controller is told anyway.
    assert values["karpenter"]["controller"]["resources"]["requests"]["cpu"] == "250m"
    assert values["karpenter"]["settings"]["isolatedVPC"] is True
    assert values["nvidia-device-plugin"]["image"]["repository"] == (
        f"{MIRROR}/nvidia/nvidia/k8s-device-plugin"
    )
    # EKS has this one in each region.
    assert values["aws-efa-k8s-device-plugin"]["image"]["repository"] == (
        "602401143452.dkr.ecr.us-east-2.amazonaws.com/eks/aws-efa-k8s-device-plugin"
    )
    told = json.dumps(values)
    for registry in PREFIXES:
        assert registry not in told


def test_caches_are_made_for_what_is_used_and_repositories_for_what_ecr_does_not_cache(
    template: Template,
) -> None:
    rules = {
        rule["EcrRepositoryPrefix"]: (rule["UpstreamRegistryUrl"], "CredentialArn" in rule)
        for rule in template.properties("AWS::ECR::PullThroughCacheRule")
    }
    assert rules == {
        "docker-hub": ("registry-1.docker.io", True),
        "ecr-public": ("public.ecr.aws", False),
        "github": ("ghcr.io", True),
        "kubernetes": ("registry.k8s.io", False),
    }
    repositories = {
        made["RepositoryName"]: made["ImageTagMutability"]
        for made in template.properties("AWS::ECR::Repository")
    }
    assert repositories == {
        "nvidia/nvidia/k8s-device-plugin": "IMMUTABLE",
        "nvidia/nvidia/k8s/dcgm-exporter": "IMMUTABLE",
    }


def test_a_folder_of_the_lake_is_a_volume_that_can_only_be_read(contents: ClusterContents) -> None:
    (volume,) = [each for each in contents.of_kind("PersistentVolume") if "serving" in each.name]
    spec = volume.body["spec"]
    assert spec["accessModes"] == ["ReadOnlyMany"]
    assert spec["mountOptions"] == [
        "read-only",
        "allow-other",
        "region us-east-2",
        "prefix models/qwen/",
    ]
    assert spec["csi"]["driver"] == "s3.csi.aws.com"
    (claim,) = [
        each
        for each in contents.of_kind("PersistentVolumeClaim")
        if (each.namespace, each.name) == ("serving", "models-qwen")
    ]
    assert claim.body["spec"]["volumeName"] == volume.name
    handles = [
        each.body["spec"]["csi"]["volumeHandle"] for each in contents.of_kind("PersistentVolume")
    ]
    assert len(set(handles)) == len(handles)


def test_a_mounted_model_is_read_by_the_driver_and_not_by_its_pods(
    environment: TeamEnvironment,
) -> None:
    serving = environment.template("serving")
    actions = {
        key: json.dumps(body["Properties"]["PolicyDocument"])
        for key, body in serving.of_type("AWS::IAM::Policy").items()
    }
    (files,) = [text for key, text in actions.items() if "QwenFiles" in key]
    assert "s3:" not in files
    assert any("s3:GetObject" in text for text in actions.values())


OPERATOR = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: operator
spec:
  selector:
    matchLabels: {app: operator}
  template:
    metadata:
      labels: {app: operator}
    spec:
      containers:
        - name: operator
          image: IMAGE
"""


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return charts of which two have pods, with images from the values that they are given."""
    folder = tmp_path_factory.mktemp("rendered")
    write_charts(folder, [KEDA, NVIDIA_DEVICE_PLUGIN])
    for chart, image in (
        (KEDA, "{{ .Values.image.keda.registry }}/kedacore/keda:2.20.1"),
        (NVIDIA_DEVICE_PLUGIN, "{{ .Values.image.repository }}:v0.18.2"),
    ):
        home = folder / f"{chart.name}-{chart.version}"
        (home / "templates" / "operator.yaml").write_text(OPERATOR.replace("IMAGE", image))
    return folder


def run_images(environment: TeamEnvironment, charts: Path, *options: str) -> Any:
    folders = ["--output", str(environment.directory), "--charts", str(charts)]
    return CliRunner().invoke(app, ["images", *folders, *options], env={"COLUMNS": "300"})


def test_a_script_learns_what_to_bring_into_the_account_and_how(
    environment: TeamEnvironment, charts: Path
) -> None:
    result = run_images(environment, charts, "--lines")
    assert result.exit_code == 0, result.output
    lines = {tuple(line.split("\t")) for line in result.stdout.splitlines()}
    sources = {source.partition("@")[0]: (how, mirror) for how, source, mirror in lines}
    # Of objects, and of the charts that are there.
    assert sources["docker.io/vllm/vllm-openai:v0.28.0"][0] == "pull"
    assert sources["docker.io/vllm/vllm-router:v0.1.14"][0] == "pull"
    assert sources["public.ecr.aws/aws-cli/aws-cli:2.36.15"][0] == "pull"
    assert sources["ghcr.io/kedacore/keda:2.20.1"] == (
        "pull",
        f"{MIRROR}/github/kedacore/keda:2.20.1",
    )
    assert sources["nvcr.io/nvidia/k8s-device-plugin:v0.18.2"] == (
        "copy",
        f"{MIRROR}/nvidia/nvidia/k8s-device-plugin:v0.18.2",
    )
    assert len(sources) == len(lines) == 5
    for how, source, mirror in lines:
        assert mirrored(source, account="111111111111", region="us-east-2") == mirror, how


def test_charts_that_are_not_there_are_named_with_what_is_known_of_their_images(
    environment: TeamEnvironment, charts: Path
) -> None:
    result = run_images(environment, charts)
    assert result.exit_code == 0, result.output
    assert "registry.k8s.io/kueue/kueue …" in result.stdout
    assert f"{MIRROR}/kubernetes/kueue/kueue …" in result.stdout
    # AWS has it in the region.
    assert "602401143452.dkr.ecr.us-east-2" in result.stdout
    assert "kueue" in result.stderr
    assert "keda" not in result.stderr


def test_an_image_that_a_chart_takes_from_elsewhere_is_told(
    environment: TeamEnvironment, charts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "charts"
    shutil.copytree(charts, folder)
    home = folder / f"{KEDA.name}-{KEDA.version}"
    (home / "templates" / "job.yaml").write_text(
        OPERATOR.replace("IMAGE", "quay.io/team/sidecar:1").replace(
            "name: operator\nspec", "name: job\n  annotations: {helm.sh/hook: pre-install}\nspec", 1
        )
    )
    result = run_images(environment, folder)
    assert isinstance(result.exception, SpecificationError)
    assert "quay.io/team/sidecar:1" in str(result.exception)
    assert "a network without a way out does not reach" in str(result.exception)


def test_names_are_not_the_clusters_where_route_53_is_not_reached(
    contents: ClusterContents,
) -> None:
    assert "external-dns" not in {each.release for each in contents.releases}


def test_the_workspace_of_metrics_has_an_endpoint(environment: TeamEnvironment) -> None:
    network = environment.template("network")
    services = [str(each["ServiceName"]) for each in network.properties("AWS::EC2::VPCEndpoint")]
    assert any("aps-workspaces" in service for service in services)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("github_secret_arn", "# github_secret_arn", "eks.mirror.github_secret_arn"),
        ("docker_hub_secret_arn", "# docker_hub", "eks.mirror.docker_hub_secret_arn"),
        ("ecr-pullthroughcache/", "", "whose name begins with ecr-pullthroughcache/"),
        ('charts = "', 'charts = "/', "It is not a folder inside the project."),
        ("[eks.mirror]", "[eks.mirrors]", "mirrors"),
        (
            '{ path = "qwen/1"',
            (
                '{ store = "hub", path = "Qwen/Qwen3-8B", '
                'revision = "0123456789abcdef0123456789abcdef01234567"'
            ),
            "which the network does not reach",
        ),
    ],
)
def test_what_cannot_work_without_a_way_out_is_refused(
    text: str, tmp_path: Path, old: str, new: str, told: str
) -> None:
    with pytest.raises((ConfigError, SpecificationError)) as caught:
        loaded(tmp_path, text.replace(old, new))
    assert told in str(caught.value)


HYPERPOD = """
[lustre]

[training]
orchestrator = "eks"
unlisted_kubernetes = true

[[training.groups]]
name = "p5"
instance_type = "p5.48xlarge"
count = 1

[training.kubernetes]
"""
CHART = f'chart = {{ path = "chart", version = "0.1.0", digest = "sha256:{"0" * 64}" }}\n'


def test_hyperpod_needs_its_chart_from_the_platform_and_an_account_for_its_images(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"training\.kubernetes\.chart: .* public registries"):
        loaded(tmp_path, text + HYPERPOD)
    assert loaded(tmp_path, text + HYPERPOD + CHART).is_isolated
    without = text.replace("docker_hub_secret_arn", "# docker_hub")
    models = without.index("[[serving.models]]")
    with pytest.raises(ConfigError, match=r"docker_hub_secret_arn.*Kubeflow's operators"):
        loaded(tmp_path, without[:models] + HYPERPOD + CHART)
    assert loaded(tmp_path, f"{without[:models]}{HYPERPOD}{CHART}kubeflow = false\n").is_isolated


def test_without_a_mirror_the_cluster_is_refused(text: str, tmp_path: Path) -> None:
    start, end = text.index("[eks.mirror]"), text.index("[[eks.pools]]")
    with pytest.raises(ConfigError, match=r"take them from the account with \[eks\.mirror\]"):
        loaded(tmp_path, text[:start] + text[end:])


def test_charts_that_are_not_there_or_of_another_version_are_named(
    text: str, tmp_path: Path
) -> None:
    charts = PROJECT / text.partition('charts = "')[2].partition('"')[0]
    keda = next(charts.glob("keda-*"))
    chart = keda / "Chart.yaml"
    written = chart.read_text()
    try:
        chart.write_text(written.replace('version: "2', 'version: "1'))
        with pytest.raises(SpecificationError, match=r"It has keda 1\.20\.1, and keda 2\.20\.1"):
            build_app([loaded(tmp_path, text)], outdir=tmp_path / "out").synth()
        chart.unlink()
        with pytest.raises(SpecificationError, match="Fetch it with `python -m ops charts`"):
            build_app([loaded(tmp_path, text)], outdir=tmp_path / "out").synth()
    finally:
        chart.write_text(written)


REACHED_ELSEWHERE = {
    "acm": "the controller looks for certificates of ingresses, which name theirs",
    "ecr-public": "charts are files, and the public registry is not asked",
    "iam": "its endpoint is in one region of each partition; Karpenter only tidies up by it",
    "pricing": "Karpenter is told that there is none, and knows the prices of its release",
}
"""What nothing in the VPC reaches, and why things work without it."""

GATEWAYS = {"s3", "dynamodb"}

ENDPOINTS_OF = {
    "aps": "aps-workspaces",
    "cloudwatch": "monitoring",
    "ecr": "ecr.api",
}
"""Endpoints of services whose actions have another prefix.

https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
"""


def test_whatever_roles_of_functions_and_pods_may_call_has_an_endpoint(
    environment: TeamEnvironment,
) -> None:
    endpoints = {
        str(made["ServiceName"]).removeprefix("com.amazonaws.us-east-2.")
        for made in environment.template("network").properties("AWS::EC2::VPCEndpoint")
    }
    called = {
        action.partition(":")[0]
        for layer in ("eks", "serving")
        for body in environment.template(layer).properties("AWS::IAM::Policy")
        for statement in body["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    }
    assert called >= {"lambda", "eks", "secretsmanager", *REACHED_ELSEWHERE}
    needed = called - REACHED_ELSEWHERE.keys() - GATEWAYS
    assert {ENDPOINTS_OF.get(service, service) for service in needed} <= endpoints


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value
