"""The end of a local cloud: a change is deployed, everything is deleted, and nothing is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.fake_bedrock.control_plane import AccountSettings
from ops.fake_bedrock.server import FakeBedrock
from ops.local import processes
from tests.local.conftest import EARLIER_LOGGING, EARLIER_MODE, Deployment

CHANGES = {
    "[gateway]\n": "[gateway]\nmemory_mib = 1536\n",
    '"cloudwatch"]\n': '"cloudwatch"]\ndata = ["embedding", "text"]\n',
    'mode = "none"': 'mode = "default"',
}
"""What is changed in the environment's file: a function, and both settings of the account."""


@dataclass(frozen=True)
class State:
    """What there is at one moment."""

    memory: int | None
    logging: Any
    mode: str
    left: Mapping[str, list[str]]
    """Resources that a stack of the environment made, by service."""


@dataclass(frozen=True)
class Ending:
    """The state at each step, and what is left of the cloud itself."""

    deployed: State
    changed: State
    key_still_works: bool
    destroyed: State
    processes_ran: int
    processes_left: int
    folder: Path


@pytest.fixture(scope="module")
def ending(local_cloud: Deployment, bedrock: FakeBedrock) -> Ending:
    cloud = local_cloud.cloud
    deployed = observe(local_cloud, bedrock.account)
    key = local_cloud.key("kept")
    change(local_cloud.project / "config" / "local.toml")
    cloud.synthesise()
    cloud.deploy()
    changed = observe(local_cloud, bedrock.account)
    answers = bool(local_cloud.openai(key).models.list().data)
    cloud.destroy()
    destroyed = observe(local_cloud, bedrock.account)
    running = [process for mark in cloud.marks.values() for process in processes.tree(mark)]
    cloud.down()
    return Ending(
        deployed=deployed,
        changed=changed,
        key_still_works=answers,
        destroyed=destroyed,
        processes_ran=len(running),
        processes_left=sum(map(processes.is_alive, running)),
        folder=cloud.folder,
    )


def change(file: Path) -> None:
    text = file.read_text()
    for before, after in CHANGES.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    file.write_text(text)


def observe(deployment: Deployment, account: AccountSettings) -> State:
    functions = deployment.client("lambda").list_functions()["Functions"]
    memory = [
        it["MemorySize"] for it in functions if "GatewayApplicationFunction" in it["FunctionName"]
    ]
    return State(
        memory=memory[0] if memory else None,
        logging=account.logging,
        mode=account.mode,
        left=resources(deployment),
    )


def resources(deployment: Deployment) -> dict[str, list[str]]:
    client = deployment.client
    groups = client("logs").describe_log_groups()["logGroups"]
    found = {
        "stacks": [it["StackName"] for it in client("cloudformation").describe_stacks()["Stacks"]],
        "functions": [it["FunctionName"] for it in client("lambda").list_functions()["Functions"]],
        "tables": client("dynamodb").list_tables()["TableNames"],
        "apis": [it["id"] for it in client("apigateway").get_rest_apis()["items"]],
        "secrets": [it["Name"] for it in client("secretsmanager").list_secrets()["SecretList"]],
        "parameters": [it["Name"] for it in client("ssm").describe_parameters()["Parameters"]],
        "networks": [
            it["VpcId"] for it in client("ec2").describe_vpcs()["Vpcs"] if not it["IsDefault"]
        ],
        "buckets": [it["Name"] for it in client("s3").list_buckets()["Buckets"]],
        # Lambda makes groups for functions that name none, and no stack deletes those.
        "log groups": [
            it["logGroupName"] for it in groups if "custom" not in it["logGroupName"].lower()
        ],
    }
    return {
        service: [it for it in names if "cdk" not in it.lower()] for service, names in found.items()
    }


def test_a_changed_file_is_deployed(ending: Ending) -> None:
    assert (ending.deployed.memory, ending.changed.memory) == (1024, 1536)
    # The table, and the key in it, outlive an update of the function.
    assert ending.key_still_works


def test_a_changed_setting_of_the_account_is_put_in_force(ending: Ending) -> None:
    before, after = ending.deployed, ending.changed
    assert (before.mode, after.mode) == ("none", "default")
    assert after.logging == {**before.logging, "embeddingDataDeliveryEnabled": True}
    assert after.logging != before.logging


def test_destroying_puts_the_accounts_settings_back(ending: Ending) -> None:
    assert ending.destroyed.logging == EARLIER_LOGGING
    assert ending.destroyed.mode == EARLIER_MODE


def test_destroying_leaves_no_resource(ending: Ending) -> None:
    assert all(ending.changed.left.values())
    assert not any(ending.destroyed.left.values()), ending.destroyed.left


def test_ending_the_cloud_leaves_no_process_and_no_file(ending: Ending) -> None:
    assert ending.processes_ran
    assert ending.processes_left == 0
    assert not ending.folder.exists()
