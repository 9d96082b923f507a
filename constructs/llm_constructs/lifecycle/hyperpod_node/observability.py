"""Logs and metrics through the CloudWatch agent that the image brings.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-Configuration-File-Details.html
"""

from __future__ import annotations

import json
from typing import Any

from hyperpod_node.host import Host, say
from hyperpod_node.node_identity import NodeIdentity
from hyperpod_node.settings import Observability, Settings

AGENT = "amazon-cloudwatch-agent-ctl"
CONFIGURATION = "/opt/aws/amazon-cloudwatch-agent/etc/llm-lifecycle.json"

LOGS = {
    "provision": "/var/log/provision/*.log",
    "slurmctld": "/var/log/slurm/slurmctld.log",
    "slurmd": "/var/log/slurm/slurmd.log",
}
"""Streams of a node, and the files that they follow; the agent waits for missing ones."""

METRICS: dict[str, dict[str, Any]] = {
    "cpu": {"measurement": ["usage_active"], "totalcpu": True},
    "mem": {"measurement": ["used_percent"]},
    "disk": {"measurement": ["used_percent"], "resources": ["/", "/opt/sagemaker"]},
    "net": {"measurement": ["drop_in", "drop_out"]},
}

PERIOD_SECONDS = 60


def configure_agent(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """Add this cluster's logs and metrics to whatever the agent sends already."""
    if settings.observability is None:
        say("No observability is configured")
        return
    text = json.dumps(_configuration(settings.observability, identity), indent=2, sort_keys=True)
    changed = host.write(CONFIGURATION, text + "\n")
    if changed or not _is_running(host):
        # -a append-config keeps what SageMaker has configured; -s starts the agent again.
        host.change(
            AGENT, "-a", "append-config", "-m", "ec2", "-s",
            "-c", f"file:{host.path(CONFIGURATION)}",
        )  # fmt: skip


def _is_running(host: Host) -> bool:
    status = host.run_json(AGENT, "-m", "ec2", "-a", "status")
    return isinstance(status, dict) and status.get("status") == "running"


def _configuration(observability: Observability, identity: NodeIdentity) -> dict[str, Any]:
    node = f"{identity.group}/{identity.instance}"
    dimensions = {
        "ClusterName": identity.cluster,
        "InstanceGroup": identity.group,
        "Instance": identity.instance,
    }
    files = [
        {
            "file_path": path,
            "log_group_name": observability.log_group,
            "log_stream_name": f"{node}/{stream}",
        }
        for stream, path in LOGS.items()
    ]
    return {
        "agent": {"metrics_collection_interval": PERIOD_SECONDS, "omit_hostname": True},
        "logs": {"logs_collected": {"files": {"collect_list": files}}},
        "metrics": {
            "namespace": observability.metrics_namespace,
            "metrics_collected": {
                name: {**metric, "append_dimensions": dimensions}
                for name, metric in METRICS.items()
            },
        },
    }
