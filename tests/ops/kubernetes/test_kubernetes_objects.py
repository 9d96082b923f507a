"""What goes into the clusters of every environment, and what the command says of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from llm_constructs.specs.problem import Problems, SpecificationError
from ops.__main__ import app
from ops.kubernetes.consistency import check_clusters, problems_of
from ops.kubernetes.contents import ClusterContents, clusters
from ops.kubernetes.object_schemas import CRD_SOURCES, ObjectSchemas, schemas_of
from ops.kubernetes.quantity import quantity
from tests.assembly import Assembly
from tests.constructs.custom_resources import CRDS
from tests.ops.kubernetes.clusters import cluster, named, workload

GO_TYPES = {"elbv2.k8s.aws", "kueue.x-k8s.io"}
"""Groups whose CRDs only their charts carry; the objects follow the charts' Go types."""


@pytest.fixture
def found(assembly: Assembly) -> tuple[ClusterContents, ...]:
    return clusters(assembly.directory)


@pytest.mark.synth
def test_every_object_of_every_environment_fits_its_cluster(
    found: tuple[ClusterContents, ...],
) -> None:
    assert [contents.name for contents in found] == [
        "llm-dev-eks",
        "llm-prod-eks",
        "llm-staging-eks",
    ]
    assert {contents.name: list(map(str, problems_of(contents))) for contents in found} == {
        contents.name: [] for contents in found
    }
    # Serving belongs to the cluster that it depends on.
    assert all(any(made.kind == "Deployment" for made in each.objects) for each in found)


@pytest.mark.synth
@pytest.mark.skipif(CRDS is None, reason="KUBERNETES_CRDS names no folder of CRDs")
def test_no_object_goes_without_a_schema_but_those_of_charts_alone(
    found: tuple[ClusterContents, ...],
) -> None:
    schemas = ObjectSchemas(Path(CRDS or "").glob("*.yaml"))
    problems = Problems("kubernetes")
    left = {made.group for each in found for made in schemas.check(each, problems)}
    assert str(problems.error()) == ""
    assert left == GO_TYPES


@pytest.mark.synth
def test_every_foreign_object_is_of_a_group_whose_schema_has_a_source(
    found: tuple[ClusterContents, ...],
) -> None:
    problems = Problems("kubernetes")
    left = {made.group for each in found for made in ObjectSchemas().check(each, problems)}
    assert str(problems.error()) == ""
    assert left <= set(CRD_SOURCES)


@pytest.mark.synth
def test_references_of_templates_become_ids_of_their_kind(
    found: tuple[ClusterContents, ...],
) -> None:
    for contents in found:
        for made in contents.of_kind("EC2NodeClass"):
            for term in made.body["spec"]["subnetSelectorTerms"]:
                assert term["id"].startswith("subnet-")
            for term in made.body["spec"]["securityGroupSelectorTerms"]:
                assert term["id"].startswith("sg-")
        for made in contents.of_kind("TargetGroupBinding"):
            assert made.body["spec"]["targetGroupARN"].startswith("arn:aws:")
        assert "unknown" not in json.dumps([made.body for made in contents.objects])


@pytest.mark.synth
def test_the_command_ends_with_a_sentence_for_what_does_not_fit(
    assembly: Assembly, tmp_path: Path
) -> None:
    copied = tmp_path / "cdk.out"
    copied.mkdir()
    for file in assembly.directory.glob("*.json"):
        shutil.copy(file, copied)
    runner = CliRunner()
    result = runner.invoke(app, ["kubernetes", "--output", str(copied)])
    assert result.exception is None
    assert "llm-dev-eks" in result.output
    template = copied / "llm-dev-serving.template.json"
    template.write_text(template.read_text().replace("g6.xlarge", "g6.48xlarge"))
    spoilt = runner.invoke(app, ["kubernetes", "--output", str(copied)])
    assert isinstance(spoilt.exception, SpecificationError)
    assert "Deployment serving/qwen3-4b of llm-dev-serving" in str(spoilt.exception)
    with pytest.raises(SpecificationError, match="No node of the cluster takes its pods"):
        check_clusters(clusters(copied))


def told(contents: ClusterContents, schemas: ObjectSchemas) -> str:
    problems = Problems("planted")
    schemas.check(contents, problems)
    return str(problems.error())


def test_a_field_that_kubernetes_does_not_have_is_told() -> None:
    service = named("Service", "a", spec={"ports": [{"port": 80}], "prots": []})
    assert "Service serving/a of planted = 'spec': Its schema refuses it" in told(
        cluster(service, objects=cluster(service).objects[-1:]), ObjectSchemas()
    )


def test_an_object_of_an_unknown_group_is_told() -> None:
    alien = workload() | {"apiVersion": "example.com/v1"}
    message = told(cluster(objects=cluster(alien).objects[-1:]), ObjectSchemas())
    assert "Nothing here knows this API group." in message


DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "kueue.x-k8s.io",
        "names": {"kind": "LocalQueue"},
        "versions": [
            {
                "name": "v1beta2",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "clusterQueue": {"type": "string"},
                                    "size": {
                                        "type": "string",
                                        "x-kubernetes-int-or-string": True,
                                    },
                                },
                            },
                        },
                    }
                },
            }
        ],
    },
}


def test_objects_of_a_crd_are_held_to_it(tmp_path: Path) -> None:
    file = tmp_path / "crds.yaml"
    file.write_text(f"---\n{json.dumps(DEFINITION)}\n---\n", encoding="utf-8")
    schemas = ObjectSchemas([file])
    assert [key for key, _ in schemas_of(DEFINITION)] == [
        ("kueue.x-k8s.io", "LocalQueue", "v1beta2")
    ]
    queue = named("LocalQueue", "a", spec={"clusterQueue": "team", "size": 1})
    queue["apiVersion"] = "kueue.x-k8s.io/v1beta2"
    right = cluster(objects=cluster(queue).objects[-1:])
    assert told(right, schemas) == ""
    assert schemas.check(right, Problems("planted")) == ()
    queue["spec"] = {"clusterQeue": "team"}
    assert "clusterQeue" in told(cluster(objects=cluster(queue).objects[-1:]), schemas)


@given(st.integers(0, 10**9), st.sampled_from(["", "m", "k", "Ki", "M", "Mi", "Gi"]))
def test_quantities_grow_with_their_number_and_suffixes_agree(number: int, suffix: str) -> None:
    assert quantity(f"{number}{suffix}") * 2 == quantity(f"{number * 2}{suffix}")
    assert quantity("1Ki") == 1024
    assert quantity("1500m") == quantity("1.5") == quantity("15e-1")


def test_what_is_no_quantity_is_refused() -> None:
    for text in ("", "Gi", "1 Gi", "1gi"):
        with pytest.raises(ValueError, match="is no quantity"):
            quantity(text)
