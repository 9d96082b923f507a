"""Whether pods that ask to be scraped can be: the scraper reaches some ports, and they open one."""

from collections.abc import Iterator

from llm_constructs.scrape_configuration import METRICS_PORTS, scrape_annotations
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.pods import PodTemplate, pods_of

_SCRAPE, _PORT, _ = scrape_annotations(port=METRICS_PORTS[0])


def check_scraping(contents: ClusterContents, problems: Problems) -> None:
    """Note pods whose annotations ask for a scrape that comes to nothing."""
    for made in contents.objects:
        for pod in pods_of(made):
            annotations = pod.metadata.get("annotations", {})
            if annotations.get(_SCRAPE) == "true":
                _check_port(pod, annotations.get(_PORT), problems)


def _check_port(pod: PodTemplate, port: str | None, problems: Problems) -> None:
    first, last = METRICS_PORTS
    if port is None or not port.isdecimal() or not first <= int(port) <= last:
        problems.add(
            f"{pod.title}: {_PORT}",
            port,
            f"The pod asks to be scraped, and the scraper reaches the ports {first} to {last} "
            "alone.",
            "Give its metrics such a port, or take the annotation away.",
        )
        return
    opened = sorted(set(_ports(pod)))
    problems.require(
        int(port) in opened,
        f"{pod.title}: {_PORT}",
        port,
        f"The pod asks to be scraped there, and its containers open {opened or 'no port'}.",
        "Turn its metrics on, or correct the port.",
    )


def _ports(pod: PodTemplate) -> Iterator[int]:
    for container in pod.containers:
        for port in container.get("ports", ()):
            yield port["containerPort"]
