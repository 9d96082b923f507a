"""``python -m ops fabric``: prove that an environment's nodes talk over EFA."""

import json
import re
import secrets
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.loading import load
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.problem import Problem, SpecificationError
from ops.fabric.evidence import Expectation, Verdict, judge
from ops.fabric.kubectl import ClusterError, Kubectl
from ops.fabric.node_job import manifest
from ops.fabric.nodes import FabricNodes, fabric_nodes, namespace_of
from ops.fabric.objects import NVIDIA_IMAGE, FabricRun, objects
from ops.fabric.run import Clock, logs_of

FAILED: Final = 1
_IMAGE = re.compile(r"[\w.:/-]+(?:@sha256:[0-9a-f]{64})?")


def fabric(
    env: Annotated[str, typer.Option(help="Environment whose cluster is tried.")] = "dev",
    on: Annotated[
        str | None, typer.Option(help="Pool or group. Left out: the only one with EFA.")
    ] = None,
    nodes: Annotated[int, typer.Option(help="How many of its nodes take part.")] = 2,
    instance_type: Annotated[
        str | None, typer.Option(help="Type of the nodes. Left out: the pool's first.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Left out: the last of the cluster's namespaces.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="Image with PyTorch and the OFI plugin. Required on Neuron."),
    ] = None,
    mebibytes: Annotated[int, typer.Option(min=1, help="Size of the tensor.")] = 1024,
    iterations: Annotated[int, typer.Option(min=1, help="How often it is reduced.")] = 20,
    bus_floor: Annotated[
        float | None, typer.Option(min=0, help="GB/s of bus bandwidth below which it fails.")
    ] = None,
    minutes: Annotated[
        int, typer.Option(min=1, help="How long nodes, images and ranks may take.")
    ] = 30,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig.")] = None,
    show: Annotated[
        bool, typer.Option("--print", help="Print the objects, and touch no cluster.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the verdict as JSON.")] = False,
) -> None:
    """Reduce a tensor over nodes, and fail unless its bytes crossed EFA."""
    environment = load(env)
    chosen = fabric_nodes(environment, on, nodes, instance_type)
    run = FabricRun(
        name=f"fabric-proof-{secrets.token_hex(3)}",
        namespace=namespace_of(environment, namespace),
        nodes=chosen,
        count=nodes,
        image=_image(image, chosen),
        mebibytes=mebibytes,
        iterations=iterations,
        deadline_seconds=minutes * 60,
    )
    if show:
        typer.echo(manifest(objects(run)))
        return
    expected = Expectation(
        nodes=nodes,
        ranks=chosen.row.ranks,
        efa_devices=chosen.efa_devices,
        bus_floor=bus_floor,
    )
    verdict = _prove(Kubectl(namespace=run.namespace, context=context), run, expected)
    _tell(verdict, run, as_json=as_json)
    if not verdict.proved:
        raise typer.Exit(FAILED)


def _prove(kubectl: Kubectl, run: FabricRun, expected: Expectation) -> Verdict:
    console = Console(stderr=True)
    try:
        logs = logs_of(
            kubectl,
            run,
            clock=Clock(),
            tell=lambda state: console.print(escape(state), highlight=False, soft_wrap=True),
        )
    except ClusterError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None
    verdict = judge(logs.nodes, expected)
    return Verdict(
        bus_bandwidth=verdict.bus_bandwidth,
        efa_bytes=verdict.efa_bytes,
        tcp_bytes=verdict.tcp_bytes,
        failures=(*logs.obstacles, *verdict.failures),
    )


def _tell(verdict: Verdict, run: FabricRun, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(verdict.to_json()))
        return
    table = Table("nodes", "type", "bus bandwidth", "over EFA", "over TCP", "proved")
    table.add_row(
        str(run.count),
        run.nodes.row.name,
        "none" if verdict.bus_bandwidth is None else f"{verdict.bus_bandwidth:.1f} GB/s",
        f"{verdict.efa_bytes / 1e9:.2f} GB",
        f"{verdict.tcp_bytes / 1e9:.2f} GB",
        "yes" if verdict.proved else "no",
    )
    Console().print(table)
    for failure in verdict.failures:
        Console(stderr=True).print(failure, markup=False, highlight=False, soft_wrap=True)


def _image(image: str | None, nodes: FabricNodes) -> str:
    if image is None and nodes.row.device_kind is DeviceKind.NVIDIA:
        return NVIDIA_IMAGE
    if image is None or not _IMAGE.fullmatch(image):
        raise SpecificationError(
            "fabric",
            [
                Problem(
                    "image",
                    image,
                    "It is not the name of an image."
                    if image
                    else "Neuron's images are named after each SDK release, of which the driver "
                    "on the nodes takes some.",
                    "Name one with PyTorch, of https://gallery.ecr.aws/neuron for Neuron.",
                )
            ],
        )
    return image
