"""``python -m ops fine-tune``: write a LoRA fine-tune as Kubernetes objects."""

import re
from typing import Annotated, Final

import typer

from config import Environment
from config.loading import load
from llm_constructs.specs.problem import Problems
from ops.fabric.node_job import manifest
from ops.fabric.nodes import FabricNodes, named_nodes, namespace_of
from ops.fine_tuning.objects import MOUNT, FineTune, objects

_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?")
"""What pods may be called by, with the Job's index behind it, in 63 letters."""


def fine_tune(
    name: Annotated[str, typer.Option(help="Of the run; its checkpoints lie under it.")],
    image: Annotated[str, typer.Option(help="Image with PyTorch, transformers and PEFT.")],
    model: Annotated[str, typer.Option(help="Folder of the base model on the file system.")],
    dataset: Annotated[str, typer.Option(help="Folder of a dataset that curation published.")],
    steps: Annotated[int, typer.Option(min=1, help="Of the whole run.")],
    env: Annotated[str, typer.Option(help="Environment whose cluster it runs in.")] = "dev",
    on: Annotated[
        str | None, typer.Option(help="Pool or group. Left out: the only one with EFA.")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="How many of its nodes take part.")] = 1,
    instance_type: Annotated[
        str | None, typer.Option(help="Type of the nodes. Left out: the pool's first.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Left out: the last of the cluster's namespaces.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Sequences of a step. Left out: one for each rank.")
    ] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
) -> None:
    """Write a LoRA fine-tune as objects for `kubectl apply -f -`; touch no cluster."""
    environment = load(env)
    chosen = named_nodes(environment, on, instance_type)
    ranks = nodes * chosen.row.ranks
    size = ranks if batch is None else batch
    _check(environment, chosen, name=name, nodes=nodes, batch=size)
    options = {
        "checkpoints": f"{MOUNT}/checkpoints/{name}",
        "dataset": dataset,
        "model": model,
        "steps": steps,
        "batch": size,
        "save-every": save_every,
    }
    job = FineTune(
        name=name,
        namespace=namespace_of(environment, namespace),
        nodes=chosen,
        count=nodes,
        image=image,
        options=[f"--{key}={value}" for key, value in options.items()],
    )
    typer.echo(manifest(objects(job)))


def _check(
    environment: Environment, chosen: FabricNodes, *, name: str, nodes: int, batch: int
) -> None:
    """Raise a sentence for each thing that the cluster, or the first step, would refuse."""
    problems = Problems("fine-tune")
    ranks = nodes * chosen.row.ranks
    problems.require(
        _NAME.fullmatch(name) is not None,
        "name",
        name,
        "It names pods and a folder: lower-case letters, digits and dashes, 50 at most, a letter "
        "first.",
        "Choose one like support-qwen3.",
    )
    problems.require(
        environment.lustre is not None,
        "env",
        environment.name,
        "The environment has no file system to keep checkpoints on.",
        "Choose one with a [lustre] table.",
    )
    problems.require(
        nodes <= chosen.most,
        "nodes",
        nodes,
        f"{chosen.name} may have {chosen.most}.",
        f"Choose up to {chosen.most}.",
    )
    problems.require(
        batch % ranks == 0,
        "batch",
        batch,
        f"{ranks} ranks, one for each GPU or logical NeuronCore, cannot share it evenly.",
        f"Take a multiple of {ranks}.",
    )
    problems.raise_if_any()
