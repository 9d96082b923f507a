"""Charts by the real Helm: rendered, linted, held to their digests, and not reached."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llm_constructs.specs.controller_charts import CHARTS
from llm_constructs.specs.helm_chart import HelmChart, merged, nested
from llm_constructs.specs.problem import Problems, SpecificationError
from ops.__main__ import app
from ops.kubernetes import command
from ops.kubernetes.chart_files import ChartFiles, fetch_all
from ops.kubernetes.consistency import problems_of
from ops.kubernetes.helm import Helm, HelmError
from ops.kubernetes.ownership import check_ownership
from tests.constructs.charts import write_charts
from tests.loopback_server import LoopbackServer
from tests.ops.kubernetes.clusters import cluster, release

# Helm is unpacked, and started for each chart.
pytestmark = pytest.mark.slow

HELM = Helm("1.36")
CHART = HelmChart(
    name="keda", repository="https://charts.example.com", version="1.0.0", namespace="keda"
)

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: operator
spec:
  replicas: {{ add 0 (int (default 1 .Values.copies)) }}
  {{- if not (kindIs "int64" (default 1 .Values.copies | int64)) }}{{ fail "no number" }}{{ end }}
  paused: {{ ne .Values.quiet true }}
  selector:
    matchLabels: {app: operator}
  template:
    metadata:
      labels: {app: operator}
      annotations:
    spec:
      nodeSelector: {{ toJson .Values.nodeSelector }}
      containers:
        - name: operator
          image: {{ required "An image must be given." .Values.image }}
          resources: {requests: {cpu: 100m, memory: 128Mi}}
---
apiVersion: v1
kind: Pod
metadata:
  name: test
  annotations: {helm.sh/hook: test}
spec:
  nodeSelector: {never: there}
  containers: [{name: test, image: test}]
"""

CERTIFICATE = """{{- $drawn := genSelfSignedCert "keda" nil nil 365 }}
apiVersion: v1
kind: Secret
metadata:
  name: certificate
data:
  tls.crt: {{ $drawn.Cert | b64enc }}
---
"""
"""Something that comes out different every time."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    charts = tmp_path / "charts"
    write_charts(charts, [CHART])
    home = charts / "keda-1.0.0"
    (home / "templates" / "deployment.yaml").write_text(DEPLOYMENT)
    (home / "values.yaml").write_text('image: ""\nnodeSelector: {}\n')
    (home / "templates" / "configuration.yaml").unlink()
    (home / "templates" / "certificate.yaml").write_text(CERTIFICATE)
    return charts


def test_objects_of_a_chart_take_part_in_the_checks(folder: Path) -> None:
    problems = Problems("planted")
    files = ChartFiles(folder, folder / "lock.json")
    keda = release("keda", namespace="keda", image="keda:1", nodeSelector={"disk": "fast"})
    contents, definitions = files.rendered(cluster(releases=(keda,)), HELM, problems)
    assert str(problems.error()) == ""
    assert definitions == []
    made = {each.title: each for each in contents.objects if each.chart}
    # Hooks are not the release's, and the namespace is where nothing else is said.
    assert set(made) == {
        "Deployment keda/operator of the chart keda in planted",
        "Secret keda/certificate of the chart keda in planted",
    }
    # What a template leaves empty is not there, as for the API server.
    operator = made["Deployment keda/operator of the chart keda in planted"].body
    assert set(operator["spec"]["template"]["metadata"]) == {"labels"}
    assert [each.rendered for each in contents.releases] == [True]
    told = [problem.reason for problem in problems_of(contents) if "operator" in problem.field]
    assert len(told) == 1
    assert "it wants the label disk In fast" in told[0]


def test_values_that_a_chart_refuses_are_told_in_its_own_words(folder: Path) -> None:
    problems = Problems("planted")
    files = ChartFiles(folder, folder / "lock.json")
    contents, _ = files.rendered(
        cluster(releases=(release("keda", namespace="keda"),)), HELM, problems
    )
    assert "An image must be given." in str(problems.error())
    assert [each.rendered for each in contents.releases] == [False]


def test_a_chart_that_travels_with_the_assembly_is_rendered_from_there(folder: Path) -> None:
    # As HyperPod's is, whose release bears no chart's name, nor its version.
    travelling = replace(
        release("hyperpod-dependencies", image="agent:1"), version="", folder=folder / "keda-1.0.0"
    )
    problems = Problems("planted")
    files = ChartFiles(folder / "none", folder / "lock.json")
    contents, _ = files.rendered(cluster(releases=(travelling,)), HELM, problems)
    assert str(problems.error()) == ""
    assert ("Deployment", "kube-system", "operator") in contents.names
    assert [each.rendered for each in contents.releases] == [True]


def test_how_its_authors_wrote_a_chart_is_no_problem(folder: Path) -> None:
    # Helm warns of it, and the chart of the EFA plugin is published so.
    (folder / "keda-1.0.0" / "Chart.yaml").write_text(
        "apiVersion: v2\nname: keda\nversion: v1.0.0\ndescription: A chart of the tests\n"
    )
    HELM.lint(folder / "keda-1.0.0", {"image": "keda:1"})


def test_what_is_wrong_with_a_chart_is_told(folder: Path) -> None:
    (folder / "keda-1.0.0" / "Chart.yaml").write_text("apiVersion: v2\nname: keda\n")
    with pytest.raises(HelmError, match=r"\[ERROR\] Chart.yaml: version is required"):
        HELM.lint(folder / "keda-1.0.0", {"image": "keda:1"})


def test_a_chart_that_is_not_there_is_left_to_its_values(tmp_path: Path) -> None:
    problems = Problems("planted")
    contents = cluster(releases=(release("keda", namespace="keda"),))
    files = ChartFiles(tmp_path, tmp_path / "lock.json")
    assert files.rendered(contents, HELM, problems) == (contents, [])


def told_of_values(folder: Path, **values: Any) -> str:
    problems = Problems("planted")
    keda = release("keda", namespace="keda", image="keda:1", **values)
    files = ChartFiles(folder, folder / "lock.json")
    files.rendered(cluster(releases=(keda,)), HELM, problems)
    return str(problems.error())


@pytest.mark.parametrize(
    "values",
    [
        # Among those that the chart lists.
        {"nodeSelector": {}},
        # Below one that it passes on whole.
        {"nodeSelector": {"disk": "fast"}},
        # Used by a template, and listed nowhere; the chart refuses words in the place of a number.
        {"copies": 3},
        {"quiet": True},
    ],
    ids=str,
)
def test_values_that_reach_an_object_are_fine(folder: Path, values: dict[str, Any]) -> None:
    assert told_of_values(folder, **values) == ""


@pytest.mark.parametrize(
    ("values", "path", "remedy"),
    [
        (
            {"nodeSelectors": {"disk": "fast"}},
            "nodeSelectors.disk",
            "Give nodeSelector.disk instead.",
        ),
        ({"unheardOf": 3}, "unheardOf", "Correct the name by the chart's values.yaml"),
    ],
)
def test_a_value_that_a_chart_does_not_know_is_told(
    folder: Path, values: dict[str, Any], path: str, remedy: str
) -> None:
    message = told_of_values(folder, **values)
    assert f"keda of planted = '{path}': The chart has no such value" in message
    assert remedy in message


def test_definitions_that_helm_keeps_are_no_objects_of_the_release(folder: Path) -> None:
    """Or a chart of CRDs beside a chart that brings them as well would look installed twice."""
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
    }
    home = folder / "keda-1.0.0"
    (home / "crds").mkdir()
    (home / "crds" / "things.yaml").write_text(json.dumps(definition))
    other = HelmChart(name="keda-crd", repository="", version="1.0.0", namespace="keda")
    write_charts(folder, [other])
    (folder / "keda-crd-1.0.0" / "templates" / "things.yaml").write_text(json.dumps(definition))
    problems = Problems("planted")
    contents, definitions = ChartFiles(folder, folder / "lock.json").rendered(
        cluster(
            releases=(
                release("keda", namespace="keda", image="keda:1"),
                release("keda-crd", namespace="keda"),
            )
        ),
        HELM,
        problems,
    )
    assert [each["metadata"]["name"] for each in definitions] == ["things.example.com"] * 2
    assert [each.chart for each in contents.of_kind("CustomResourceDefinition")] == ["keda-crd"]
    check_ownership(contents, problems)
    assert str(problems.error()) == ""


@pytest.fixture
def repository(folder: Path, tmp_path: Path) -> Iterator[str]:
    """Serve the chart from a chart repository on loopback."""
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "keda-1.0.0.tgz", "w:gz") as archive:
        archive.add(folder / "keda-1.0.0", "keda")
    entry = {"name": "keda", "version": "1.0.0", "apiVersion": "v2", "urls": ["keda-1.0.0.tgz"]}
    index = {"apiVersion": "v1", "entries": {"keda": [entry]}}
    (served / "index.yaml").write_text(json.dumps(index))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with LoopbackServer(partial(Quiet, directory=str(served))) as server:
        yield server.url


def pinned(repository: str) -> HelmChart:
    return HelmChart(name="keda", repository=repository, version="1.0.0", namespace="keda")


def test_a_fetched_chart_is_locked_and_fetched_once(repository: str, tmp_path: Path) -> None:
    files = ChartFiles(tmp_path / "fetched", tmp_path / "lock.json")
    problems = Problems("charts")
    assert fetch_all(files, HELM, problems, [pinned(repository)]) == {"keda": True}
    assert fetch_all(files, HELM, problems, [pinned(repository)]) == {"keda": False}
    assert str(problems.error()) == ""
    archive = (tmp_path / "served" / "keda-1.0.0.tgz").read_bytes()
    assert json.loads((tmp_path / "lock.json").read_text()) == {
        "keda-1.0.0": hashlib.sha256(archive).hexdigest()
    }
    assert (tmp_path / "fetched" / "keda-1.0.0" / "Chart.yaml").exists()


def test_a_chart_that_was_published_anew_is_refused(repository: str, tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text(json.dumps({"keda-1.0.0": "0" * 64}))
    files = ChartFiles(tmp_path / "fetched", tmp_path / "lock.json")
    with pytest.raises(HelmError, match="somebody published this version anew"):
        files.fetch(pinned(repository), HELM)
    assert not (tmp_path / "fetched").exists()


def test_a_registry_that_is_not_reached_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = HelmChart(
        name="keda", repository="http://127.0.0.1:9", version="1.0.0", namespace="keda"
    )
    monkeypatch.setattr(
        command,
        "fetch_all",
        lambda files, helm, problems: fetch_all(files, helm, problems, [nobody]),
    )
    result = CliRunner().invoke(app, ["charts", "--folder", str(tmp_path)])
    assert "0 charts fetched, 0 were there." in result.output
    assert isinstance(result.exception, SpecificationError)
    message = str(result.exception)
    assert "keda = '1.0.0': It could not be fetched from http://127.0.0.1:9" in message
    assert "Try again where the registry is reached" in message


def test_charts_of_the_tests_are_charts_to_helm(tmp_path: Path) -> None:
    write_charts(tmp_path, CHARTS[:1])
    (home,) = tmp_path.iterdir()
    HELM.lint(home, {"a": {"b": 1}})
    (home / "Chart.yaml").write_text("name: broken\n")
    with pytest.raises(HelmError):
        HELM.lint(home, {})


def test_values_are_laid_over_each_other_as_helm_does() -> None:
    values = {"image": {"repository": "a", "tag": "1"}, "replicas": 2}
    over = nested({"image.repository": "b", "image.pull.policy": "Always"})
    assert over == {"image": {"repository": "b", "pull": {"policy": "Always"}}}
    assert merged(values, over) == {
        "image": {"repository": "b", "tag": "1", "pull": {"policy": "Always"}},
        "replicas": 2,
    }
    assert values["replicas"] == 2
