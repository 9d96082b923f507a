"""Names of images at their sources and in mirrors, and what no mirror takes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.specs.mirror import PREFIXES, mirrored, source_of
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.images import Way, check_images, images_of, open_charts
from tests.ops.kubernetes.clusters import cluster, release, workload

ACCOUNT = "111111111111.dkr.ecr.us-east-2.amazonaws.com"
AWS = "602401143452.dkr.ecr.us-east-2.amazonaws.com"


def running(*images: str, **settings: Any) -> ClusterContents:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return cluster(workload(containers=containers), **settings)


def told(contents: ClusterContents) -> str:
    problems = Problems("planted")
    check_images(contents, problems)
    return str(problems.error())


@given(
    registry=st.sampled_from(sorted(PREFIXES)),
    path=st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9-]{1,8}){0,3}", fullmatch=True),
    version=st.sampled_from(["", ":v1.2", f"@sha256:{'0' * 64}", f":v1@sha256:{'0' * 64}"]),
)
def test_the_source_of_a_mirrored_image_is_found_again(
    registry: str, path: str, version: str
) -> None:
    image = f"{registry}/{path}{version}"
    assert source_of(image) is None
    assert source_of(mirrored(image, account="111111111111", region="us-east-2")) == image


@pytest.mark.parametrize(
    ("image", "way", "source"),
    [
        (f"{ACCOUNT}/quay/team/app:1", Way.PULL, "quay.io/team/app:1"),
        (f"{ACCOUNT}/nvidia/nvidia/dcgm:1", Way.COPY, "nvcr.io/nvidia/dcgm:1"),
        (f"{ACCOUNT}/llm/app:1", Way.PRESENT, f"{ACCOUNT}/llm/app:1"),
        (f"{AWS}/eks/plugin:1", Way.PRESENT, f"{AWS}/eks/plugin:1"),
        ("quay.io/team/app:1", Way.PUBLIC, "quay.io/team/app:1"),
    ],
)
def test_an_image_says_how_it_gets_to_the_nodes(image: str, way: Way, source: str) -> None:
    (found,) = images_of(running(image, image))
    assert (found.way, found.source, found.owners) == (way, source, ("planted",))


def test_a_chart_that_nobody_rendered_tells_what_its_values_say() -> None:
    scheduler = {"repository": "registry.k8s.io/kube-scheduler", "tag": "v1.36.3"}
    charts = (
        release("neuron-helm-chart", scheduler={"customScheduler": {"image": scheduler}}),
        release("karpenter-crd"),
        release("somebodys"),
    )
    contents = cluster(releases=charts)
    found = {image.name: image.whole for image in images_of(contents)}
    assert found["registry.k8s.io/kube-scheduler:v1.36.3"] is True
    assert found["public.ecr.aws/neuron/neuron-scheduler"] is False
    # It is known to have none.
    assert {each.release for each in open_charts(contents)} == {"neuron-helm-chart", "somebodys"}


def test_without_a_mirror_images_come_from_where_they_are() -> None:
    assert told(running("quay.io/team/app:1")) == ""


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("quay.io/team/app:1", "would come from its own registry"),
        (f"{ACCOUNT}/github/team/app:1", "Neither a pull-through cache nor a repository"),
        (f"{ACCOUNT}/nvidia/nvidia/other:1", "Neither a pull-through cache nor a repository"),
    ],
)
def test_an_image_that_the_mirror_does_not_take_is_told(image: str, reason: str) -> None:
    message = told(running(image, mirrors=frozenset({"quay", "nvidia/nvidia/dcgm"})))
    assert reason in message
    assert image in message


@pytest.mark.parametrize(
    "image",
    [
        f"{ACCOUNT}/quay/team/app:1",
        f"{ACCOUNT}/nvidia/nvidia/dcgm:1@sha256:{'0' * 64}",
        f"{AWS}/a:1",
    ],
)
def test_what_the_mirror_or_aws_has_is_fine(image: str) -> None:
    assert told(running(image, mirrors=frozenset({"quay", "nvidia/nvidia/dcgm"}))) == ""
