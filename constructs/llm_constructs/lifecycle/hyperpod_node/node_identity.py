"""Which node of the cluster this machine is.

``resource_config.json`` lists every node with its addresses. This machine finds itself by an
address of its own or, where that fails, by the instance id of the metadata service.
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-lifecycle-best-practices-slurm-slurm-base-config.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperpod_node.host import Host, NodeError, say
from hyperpod_node.settings import Expectation, Settings

RESOURCE_CONFIG = "/opt/ml/config/resource_config.json"
"""Where SageMaker puts the list, unless it sets SAGEMAKER_RESOURCE_CONFIG_PATH."""

PROVISIONING_PARAMETERS = "provisioning_parameters.json"
"""The legacy file that gives groups their roles; the user puts it beside the scripts."""


@dataclass(frozen=True)
class NodeIdentity:
    """This machine's place in the cluster."""

    cluster: str
    group: str
    instance: str
    expectation: Expectation

    @property
    def role(self) -> str:
        """``controller``, ``login`` or ``compute``."""
        return self.expectation.role


def identify(host: Host, settings: Settings) -> NodeIdentity:
    """Return who this machine is; raise :class:`NodeError` if the lists do not know it."""
    nodes = list(_nodes(_resource_config(host)))
    addresses = _addresses(host)
    found = [node for node in nodes if node[1].get("CustomerIpAddress") in addresses]
    by = "address"
    if not found:
        by = "instance id"
        instance_id = _instance_id()
        found = [node for node in nodes if node[1].get("InstanceId") == instance_id]
    if len(found) != 1:
        raise NodeError(
            f"{len(found)} of the {len(nodes)} nodes in {RESOURCE_CONFIG} are this machine, whose "
            f"addresses are {', '.join(sorted(addresses)) or 'none'}. SageMaker writes the list: "
            "replace the node, and if that does not help, look at its subnet."
        )
    group, node = found[0]
    expectation = settings.groups.get(group)
    if expectation is None:
        raise NodeError(
            f"settings.json has no instance group {group}, only "
            f"{', '.join(sorted(settings.groups))}. Deploy the cluster's stack again."
        )
    instance = str(node.get("InstanceName") or node.get("InstanceId") or "unnamed")
    say(f"This is {instance} of group {group}, a {expectation.role} node, known by its {by}")
    return NodeIdentity(settings.cluster, group, instance, expectation)


def check_legacy_role(folder: Path, identity: NodeIdentity) -> None:
    """Raise :class:`NodeError` unless ``provisioning_parameters.json`` gives the same role."""
    try:
        parameters = json.loads((folder / PROVISIONING_PARAMETERS).read_text(encoding="utf-8"))
        workers = [worker["instance_group_name"] for worker in parameters.get("worker_groups", [])]
        roles = {
            **dict.fromkeys(workers, "compute"),
            parameters.get("login_group"): "login",
            parameters["controller_group"]: "controller",
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NodeError(
            f"{PROVISIONING_PARAMETERS} beside the scripts cannot be used ({error!r}). A cluster "
            "that is configured through the API starts on_init_complete.sh and needs none."
        ) from None
    role = roles.get(identity.group)
    if role != identity.role:
        raise NodeError(
            f"{PROVISIONING_PARAMETERS} makes group {identity.group} "
            f"{role or 'no part of the cluster'}, and settings.json {identity.role}. Make both the "
            "same."
        )


def _resource_config(host: Host) -> Any:
    override = os.environ.get("SAGEMAKER_RESOURCE_CONFIG_PATH")
    text = host.read(override or RESOURCE_CONFIG)
    try:
        return json.loads(text)
    except ValueError as error:
        raise NodeError(f"{override or RESOURCE_CONFIG} is no JSON: {error}.") from None


def _nodes(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for group in config["InstanceGroups"]:
            for node in group["Instances"]:
                yield group["Name"], dict(node)
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError(
            f"{RESOURCE_CONFIG} does not look like SageMaker's list of nodes: {error!r}."
        ) from None


def _addresses(host: Host) -> set[str]:
    """IPv4 addresses of all interfaces but the loopback."""
    interfaces = host.run_json("ip", "-json", "-4", "address", "show")
    return {
        address["local"]
        for interface in interfaces
        for address in interface.get("addr_info", [])
        if address.get("scope") == "global"
    }


def _instance_id() -> str:
    # Most nodes never ask, and importing an HTTP client takes longer than all the rest.
    from hyperpod_node.instance_metadata import MetadataError, instance_id

    try:
        return instance_id()
    except MetadataError as error:
        raise NodeError(
            f"No address of this machine is in {RESOURCE_CONFIG}, and the instance metadata "
            f"service does not answer either ({error}). Replace the node."
        ) from None
