"""Pods that ask to be scraped."""

from typing import Any

import pytest

from llm_constructs.scrape_configuration import scrape_annotations
from llm_constructs.specs.problem import Problems
from ops.kubernetes.scraping import check_scraping
from tests.ops.kubernetes.clusters import cluster, workload

OPEN = {"ports": [{"containerPort": 8080}, {"containerPort": 9443}, {"containerPort": 443}]}


def told(annotations: dict[str, str], *containers: dict[str, Any]) -> str:
    made = workload(containers=list(containers) or [OPEN])
    made["spec"]["template"]["metadata"]["annotations"] = annotations
    problems = Problems("planted")
    check_scraping(cluster(made), problems)
    return str(problems.error())


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {"prometheus.io/scrape": "false", "prometheus.io/port": "1"},
        scrape_annotations(port=9443),
    ],
    ids=str,
)
def test_a_pod_that_opens_the_port_it_names_is_fine(annotations: dict[str, str]) -> None:
    assert told(dict(annotations)) == ""


def test_a_port_may_be_that_of_any_container() -> None:
    assert told(dict(scrape_annotations(port=8080)), {}, OPEN) == ""


@pytest.mark.parametrize("port", ["443", "10080", "metrics", None])
def test_a_port_that_the_scraper_does_not_reach_is_told(port: str | None) -> None:
    annotations = {"prometheus.io/scrape": "true"}
    message = told({**annotations, "prometheus.io/port": port} if port else annotations)
    assert "the scraper reaches the ports 8000 to 9999 alone" in message


@pytest.mark.parametrize(
    ("container", "opened"), [(OPEN, "[443, 8080, 9443]"), ({}, "no port")], ids=str
)
def test_metrics_that_nobody_serves_are_told(container: dict[str, Any], opened: str) -> None:
    message = told(dict(scrape_annotations(port=9400)), container)
    assert f"its containers open {opened}." in message
