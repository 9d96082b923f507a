"""Who gets what: the app with every stack of the environments that were asked for."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from config import Environment
from llm_constructs.network import Network
from stacks.checks import add_checks
from stacks.curation import CurationStack
from stacks.data import DataStack, ReplicaStack
from stacks.eks import EksStack
from stacks.fine_tuning import FineTuningStack
from stacks.gateway import GatewayStack
from stacks.governance import GovernanceStack
from stacks.layer import Layer
from stacks.network import NetworkStack
from stacks.observability import ObservabilityStack
from stacks.serving import ServingStack
from stacks.training import TrainingStack

CDK_JSON = Path(__file__).parent.parent / "cdk.json"

REPRODUCIBLE = {
    # Creation stack traces hold random paths of jsii's kernel.
    "aws:cdk:disable-creation-stack-traces": True,
    # What the command line sets by itself.
    "aws:cdk:enable-asset-metadata": True,
    "aws:cdk:enable-path-metadata": True,
}
"""Context with which every run, with or without the command line, writes the same cdk.out.

The command line refuses these keys in cdk.json because of their prefix.
"""


def build_app(
    environments: Iterable[Environment],
    *,
    outdir: Path | None = None,
    context: Mapping[str, Any] | None = None,
) -> cdk.App:
    """Return an app with the stacks and checks of ``environments``, ready for ``synth()``.

    The feature flags of ``cdk.json`` apply even when no CDK command line passes them, so that a
    plain Python run gives the same templates. ``context`` overrides them; ``outdir`` defaults to
    ``CDK_OUTDIR`` or a temporary folder.
    """
    selected = tuple(environments)
    app = cdk.App(
        outdir=str(outdir) if outdir else None,
        context={
            **flags_of(CDK_JSON),
            **REPRODUCIBLE,
            **_availability_zones(selected),
            **(context or {}),
        },
    )
    add_checks(app, selected)
    for environment in selected:
        add_stacks(app, environment)
    return app


def add_stacks(app: cdk.App, environment: Environment) -> None:
    """Add the stacks that ``environment`` has to ``app``."""
    network = NetworkStack(app, environment=environment).network
    data = _add_data(app, environment, network)
    eks = _add_eks(app, environment, network, data)
    if environment.training is not None:
        TrainingStack(
            app,
            environment=environment,
            network=network,
            training=environment.training,
            data=data,
            eks=eks,
        )
    serving = None
    if environment.serving is not None and eks is not None:
        serving = ServingStack(
            app,
            environment=environment,
            network=network,
            eks=eks,
            lake=data.lake if data else None,
            serving=environment.serving,
        )
    if environment.curation is not None and data is not None and data.lake is not None:
        CurationStack(
            app,
            environment=environment,
            network=network,
            lake=data.lake,
            curation=environment.curation,
        )
    if environment.fine_tuning is not None and data is not None and data.lake is not None:
        FineTuningStack(
            app,
            environment=environment,
            network=network,
            lake=data.lake,
            fine_tuning=environment.fine_tuning,
        )
    if environment.gateway is not None:
        GatewayStack(
            app,
            environment=environment,
            network=network,
            gateway=environment.gateway,
            endpoints=serving.endpoints if serving else None,
        )
    _add_governance(app, environment, data)
    # Last: it watches every stack that the environment has got by now.
    _add_observability(app, environment, eks)


def _add_governance(app: cdk.App, environment: Environment, data: DataStack | None) -> None:
    governance = environment.governance
    if governance is not None and governance.makes_resources:
        GovernanceStack(app, environment=environment, governance=governance, data=data)


def _add_observability(app: cdk.App, environment: Environment, eks: EksStack | None) -> None:
    if environment.observability is None:
        return
    ObservabilityStack(
        app,
        environment=environment,
        observability=environment.observability,
        layers=[
            stack
            for stack in app.node.children
            if isinstance(stack, Layer) and stack.environment_name == environment.name
        ],
        prometheus=eks.prometheus if eks else None,
    )


def _add_eks(
    app: cdk.App, environment: Environment, network: Network, data: DataStack | None
) -> EksStack | None:
    if environment.eks is None:
        return None
    return EksStack(
        app,
        environment=environment,
        network=network,
        eks=environment.eks,
        file_system=data.file_system if data else None,
        lake=data.lake if data else None,
        hyperpod=environment.hyperpod_on_eks,
    )


def _add_data(app: cdk.App, environment: Environment, network: Network) -> DataStack | None:
    data = environment.data
    if data is None and environment.lustre is None:
        return None
    replicas = None
    if data is not None and data.replication is not None:
        replicas = ReplicaStack(
            app, environment=environment, replication=data.replication, data=data
        ).buckets
    return DataStack(
        app,
        environment=environment,
        network=network,
        data=data,
        lustre=environment.lustre,
        replicas=replicas,
    )


def flags_of(cdk_json: Path) -> dict[str, Any]:
    """Return the context that a ``cdk.json`` sets."""
    context: dict[str, Any] = json.loads(cdk_json.read_text(encoding="utf-8"))["context"]
    return context


def _availability_zones(environments: Iterable[Environment]) -> dict[str, list[str]]:
    # `ec2.Vpc` asks for the region's zones even when its own are given, and without an answer the
    # command line runs the app twice or wants credentials.
    zones: defaultdict[str, set[str]] = defaultdict(set)
    for environment in environments:
        key = f"availability-zones:account={environment.account}:region={environment.region}"
        zones[key].update(environment.network.chosen_vpc.availability_zones)
    return {key: sorted(names) for key, names in zones.items()}
