"""The end of a local cloud: a change is deployed, everything is deleted, and nothing is left."""

from ops.local import processes
from tests.local.conftest import Deployment


def stack_names(deployment: Deployment) -> set[str]:
    stacks = deployment.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"] for stack in stacks}


def test_a_changed_file_is_deployed_and_then_everything_is_destroyed(
    local_cloud: Deployment,
) -> None:
    cloud = local_cloud.cloud
    application = "GatewayApplicationFunction"
    functions = local_cloud.client("lambda")

    def memory() -> int:
        found = functions.list_functions()["Functions"]
        return int(next(it["MemorySize"] for it in found if application in it["FunctionName"]))

    before = memory()
    file = local_cloud.project / "config" / "local.toml"
    file.write_text(file.read_text().replace("[gateway]\n", "[gateway]\nmemory_mib = 1536\n"))
    key = local_cloud.key("kept")

    cloud.synthesise()
    cloud.deploy()

    assert (before, memory()) == (1024, 1536)
    # The table, and the key in it, outlive an update of the function.
    assert local_cloud.openai(key).models.list().data

    cloud.destroy()

    assert stack_names(local_cloud) == {"CDKToolkit"}
    names = [it["FunctionName"] for it in functions.list_functions()["Functions"]]
    tables = local_cloud.client("dynamodb").list_tables()["TableNames"]
    apis = local_cloud.client("apigateway").get_rest_apis()["items"]
    secrets = local_cloud.client("secretsmanager").list_secrets()["SecretList"]
    vpcs = local_cloud.client("ec2").describe_vpcs()["Vpcs"]
    groups = local_cloud.client("logs").describe_log_groups()["logGroups"]
    buckets = local_cloud.client("s3").list_buckets()["Buckets"]
    left = [
        group["logGroupName"] for group in groups if "custom" not in group["logGroupName"].lower()
    ]
    assert names == tables == apis == secrets == left == []
    assert [vpc for vpc in vpcs if not vpc["IsDefault"]] == []
    assert [bucket["Name"] for bucket in buckets if not bucket["Name"].startswith("cdk-")] == []

    running = [process for mark in cloud.marks.values() for process in processes.tree(mark)]
    assert running
    cloud.down()
    assert [process for process in running if processes.is_alive(process)] == []
    assert not cloud.folder.exists()
