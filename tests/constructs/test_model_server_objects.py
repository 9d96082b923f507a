"""The Kubernetes objects of model servers, judged without a cluster."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs import model_router, vllm
from llm_constructs.model_server_pod import (
    ENDING_SECONDS,
    LEAVING_SECONDS,
    NODE_MINUTES,
    labels,
    pod,
    requests,
)
from llm_constructs.model_server_workload import (
    disruption_budget,
    network_policy,
    readiness_gate,
    service,
    service_account,
    target_group_binding,
    workload,
)
from llm_constructs.replica_autoscaling import (
    MetricsSource,
    autoscaling_objects,
    latency_query,
    queue_query,
)
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.instance_type import EFA_RESOURCE, DeviceKind, InstanceType
from llm_constructs.specs.model_memory import ModelShape
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.model_source import ModelSource, WeightStore
from llm_constructs.specs.replica_scaling import ReplicaScaling
from tests.constructs.model_servers import CRDS, SITE, judge, server_of, variants

CIDR = "10.0.0.0/16"
SOURCE = MetricsSource(
    region="us-east-2",
    query_endpoint="https://aps.example/workspaces/ws-1",
    load_balancer="app/a/1",
)
TINY = ModelShape(parameters_billions=0.5, layers=24, attention_heads=64, key_value_heads=64)
FILES = ModelSource(store=WeightStore.LUSTRE, path="model")
SERVABLE = [
    row for row in INSTANCE_TYPES.values() if row.accelerator_count and not row.ultraserver_sizes
]


def objects(server: ModelServer) -> Iterator[Any]:
    yield service_account(server.name, "serving")
    yield workload(server, SITE)
    yield service(server, "serving")
    yield disruption_budget(server, "serving")
    yield network_policy(server, "serving", vpc_cidrs=[CIDR])
    yield target_group_binding(
        server.name, "serving", service_name=server.name, port=8000, target_group_arn="arn"
    )
    yield from autoscaling_objects(server, "serving", SOURCE).values()
    if server.prefix_routing:
        yield from model_router.router_objects(
            server, "serving", vpc_cidrs=[CIDR], readiness_gate=readiness_gate(server.name)
        ).values()


def container_of(server: ModelServer, *, headless: bool = False) -> Any:
    (container,) = pod(server, SITE, headless=headless)["spec"]["containers"]
    return container


def argument(server: ModelServer, name: str) -> str | None:
    given: list[str] = container_of(server)["args"]
    return given[given.index(name) + 1] if name in given else None


@pytest.mark.parametrize("kind", variants())
def test_every_object_is_what_its_schema_says(kind: str) -> None:
    kinds = set()
    for made in objects(variants()[kind]):
        judge(made)
        kinds.add(made["kind"])
    assert {"ServiceAccount", "Service", "NetworkPolicy", "PodDisruptionBudget"} <= kinds


@pytest.mark.skipif(CRDS is None, reason="KUBERNETES_CRDS names no folder with KEDA's CRDs")
def test_the_schemas_refuse_what_they_do_not_know() -> None:
    made = autoscaling_objects(variants()["scaled"], "serving", SOURCE)["ScaledObject"]
    with pytest.raises(jsonschema.ValidationError, match="replicas"):
        judge({**made, "spec": {**made["spec"], "replicas": 1}})
    group: Any = workload(variants()["across-nodes"], SITE)
    with pytest.raises(jsonschema.ValidationError, match="nodes"):
        judge({**group, "spec": {**group["spec"], "nodes": 2}})
    with pytest.raises(kubernetes_validate.ValidationError):
        judge({**service(server_of(), "serving"), "replicas": 1})


@given(row=st.sampled_from(SERVABLE))
def test_as_many_pods_as_a_node_has_devices_for_fit_onto_it(row: InstanceType) -> None:
    neuron = row.device_kind is DeviceKind.NEURON
    server = server_of(
        instance_type=row.name,
        shape=TINY,
        max_model_tokens=1024,
        full_length_requests=1,
        source=FILES if neuron else ModelSource(path="model"),
    )
    requested = requests(server)
    copies = server.parallelism.copies_per_node
    free = row.allocatable()
    assert copies * int(requested["cpu"].removesuffix("m")) <= free.cpu_millis
    assert copies * int(requested["memory"].removesuffix("Mi")) <= free.memory_mib
    for key, count in row.resources(efa=False).items():
        assert copies * int(requested[key]) <= count
    tolerated = {toleration["key"] for toleration in pod(server, SITE)["spec"]["tolerations"]}
    assert {taint.key for taint in row.taints()} == tolerated


def test_a_slow_start_is_no_failure_and_a_dead_engine_is() -> None:
    container = container_of(server_of(startup_minutes=45))
    startup = container["startupProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] == 45 * 60
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}
    made: Any = workload(server_of(startup_minutes=45), SITE)
    assert made["spec"]["progressDeadlineSeconds"] > 45 * 60


@pytest.mark.parametrize("kind", ["streamed", "inferentia", "across-nodes"])
def test_what_was_begun_is_finished_before_the_pod_is_killed(kind: str) -> None:
    server = variants()[kind]
    spec = pod(server, SITE)["spec"]
    waits = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drains = int(argument(server, "--shutdown-timeout") or 0)
    assert waits >= LEAVING_SECONDS
    assert waits + drains == LEAVING_SECONDS + server.drain_seconds
    assert spec["terminationGracePeriodSeconds"] == waits + drains + ENDING_SECONDS


def test_a_copy_over_nodes_has_time_for_the_last_of_them_to_come() -> None:
    server = variants()["across-nodes"]
    startup = container_of(server)["startupProbe"]
    minutes = startup["failureThreshold"] * startup["periodSeconds"] / 60
    assert minutes == server.startup_minutes + NODE_MINUTES


def test_other_nodes_of_a_copy_stay_until_its_leader_has_answered() -> None:
    """Without their ranks the leader answers nothing, and they end as soon as they are told to."""
    server = variants()["across-nodes"]
    leader, worker = (pod(server, SITE, headless=headless)["spec"] for headless in (False, True))
    (container,) = worker["containers"]
    grace = leader["terminationGracePeriodSeconds"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == grace - ENDING_SECONDS
    assert worker["terminationGracePeriodSeconds"] == grace


def test_a_node_is_drained_only_while_all_other_copies_are_whole() -> None:
    """A copy over nodes ends with any of its pods, not with its leader alone."""
    server = variants()["across-nodes"]
    selector = disruption_budget(server, "serving")["spec"]["selector"]["matchLabels"]
    for headless in (False, True):
        carried = pod(server, SITE, headless=headless)["metadata"]["labels"]
        assert selector.items() <= carried.items()


def test_a_connection_is_closed_by_the_load_balancer_and_never_by_vllm() -> None:
    """What vLLM closes may have been taken for the next request, which then is a 502."""
    for server in (*variants().values(), server_of(idle_timeout_seconds=4000)):
        environment = {each["name"]: each.get("value") for each in container_of(server)["env"]}
        assert int(environment["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"]) > server.idle_timeout_seconds


def test_pods_run_without_privileges_and_write_to_their_own_volumes_alone() -> None:
    for server in variants().values():
        spec = pod(server, SITE)["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec["initContainers"], *spec["containers"]):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= {
                volume["name"] for volume in spec["volumes"]
            }


def test_only_the_maker_of_the_compilers_folder_is_root_and_may_only_give_it_away() -> None:
    privileged = {
        (kind, container["name"]): container["securityContext"]["capabilities"].get("add")
        for kind, server in variants().items()
        for container in pod(server, SITE)["spec"]["initContainers"]
        if container["securityContext"].get("runAsUser") == 0
    }
    assert privileged == {("inferentia", "cache"): ["CHOWN"], ("trainium", "cache"): ["CHOWN"]}


def test_keys_and_tokens_are_read_as_the_pod_starts_and_are_in_no_object() -> None:
    for made in (made for server in variants().values() for made in objects(server)):
        assert made["kind"] != "Secret"
        assert "secretKeyRef" not in json.dumps(made)
    (reader,) = pod(variants()["downloaded"], SITE)["spec"]["initContainers"]
    assert reader["args"][1::2] == ["api-key", "hub-token"]
    assert vllm.variables(variants()["downloaded"])["HF_TOKEN_PATH"] == "/run/serving/hub-token"
    assert "HF_TOKEN_PATH" not in vllm.variables(server_of())


def test_the_reader_writes_each_secret_to_its_file(tmp_path: Path) -> None:
    """Run the script with a stand-in for the command line, the shell being real."""
    (reader,) = pod(variants()["downloaded"], SITE)["spec"]["initContainers"]
    command = tmp_path / "aws"
    command.write_text('#!/bin/sh\nwhile [ "$1" != --secret-id ]; do shift; done\necho "of $2"\n')
    command.chmod(0o700)
    script = reader["command"][2].replace(vllm.SECRETS, str(tmp_path))
    subprocess.run(
        ["/bin/sh", "-ec", script, "secrets", *reader["args"]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
    )
    assert (tmp_path / "api-key").read_text() == f"of {SITE.api_key_arn}\n"
    assert (tmp_path / "api-key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "hub-token").read_text().startswith("of arn:")


@pytest.mark.parametrize("headless", [False, True])
def test_vllm_starts_with_its_arguments_as_they_are_and_the_key_in_its_environment(
    tmp_path: Path, *, headless: bool
) -> None:
    server = variants()["across-nodes"]
    container = container_of(server, headless=headless)
    (tmp_path / "api-key").write_text("s3cret\n")
    command = tmp_path / "vllm"
    command.write_text('#!/bin/sh\nprintf "%s\\n" "$VLLM_API_KEY" "$@"\n')
    command.chmod(0o700)
    script = container["command"][2].replace(vllm.SECRETS, str(tmp_path))
    result = subprocess.run(
        ["/bin/sh", "-ec", script, "vllm", *container["args"]],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "LWS_WORKER_INDEX": "1",
            "LWS_LEADER_ADDRESS": "leader.model",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    place = ["--node-rank", "1", "--master-addr", "leader.model"]
    expected = ["s3cret", "serve", *container["args"], *place, *(["--headless"] * headless)]
    assert result.stdout.splitlines() == expected


def test_weights_come_from_where_the_file_says() -> None:
    streamed, mounted = container_of(server_of()), container_of(variants()["mounted"])
    assert streamed["args"][0] == "s3://models-bucket/models/model/1"
    assert argument(server_of(), "--load-format") == "runai_streamer"
    assert mounted["args"][0] == vllm.WEIGHTS
    assert {
        "name": "lustre",
        "mountPath": vllm.WEIGHTS,
        "subPath": "models/model/1",
        "readOnly": True,
    } in mounted["volumeMounts"]
    from_s3 = variants()["mounted-from-s3"]
    assert container_of(from_s3)["args"][0] == f"{vllm.WEIGHTS}/model/1"
    assert argument(from_s3, "--safetensors-load-strategy") == "eager"
    downloaded = container_of(variants()["downloaded"])
    assert downloaded["args"][0] == "Qwen/Qwen3-8B"
    assert argument(variants()["downloaded"], "--revision") is not None


@pytest.mark.parametrize("kind", ["mounted-from-s3", "inferentia"])
def test_folders_of_the_lake_are_mounted_to_read_alone(kind: str) -> None:
    spec = pod(variants()[kind], SITE)["spec"]
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "weights"]
    assert volume["persistentVolumeClaim"] == {"claimName": "models-team", "readOnly": True}
    mounts = [
        mount
        for container in (*spec["initContainers"], *spec["containers"])
        for mount in container.get("volumeMounts", ())
        if mount["name"] == "weights"
    ]
    assert mounts == [{"name": "weights", "mountPath": vllm.WEIGHTS, "readOnly": True}]


def test_neurons_own_loader_is_told_no_strategy() -> None:
    assert argument(variants()["inferentia"], "--safetensors-load-strategy") is None


def test_ranks_follow_from_the_type() -> None:
    assert argument(variants()["sharded"], "--tensor-parallel-size") == "4"
    assert requests(variants()["sharded"])["nvidia.com/gpu"] == "4"
    trainium = requests(variants()["trainium"])
    assert trainium["aws.amazon.com/neuron"] == "1"
    assert argument(variants()["trainium"], "--tensor-parallel-size") == "4"


def test_copies_that_share_a_neuron_node_get_devices_that_lie_side_by_side() -> None:
    def scheduler(**settings: Any) -> str | None:
        spec = pod(server_of(source=FILES, **settings), SITE)["spec"]
        name: str | None = spec.get("schedulerName")
        return name

    assert scheduler(instance_type="trn2.48xlarge", tensor_parallel=16) == "neuron-scheduler"
    assert scheduler(instance_type="inf2.24xlarge") == "neuron-scheduler"
    assert scheduler(instance_type="inf2.8xlarge") is None
    assert "schedulerName" not in pod(server_of(instance_type="g6e.48xlarge"), SITE)["spec"]


def test_a_copy_across_nodes_is_one_group_over_efa() -> None:
    server = variants()["across-nodes"]
    made: Any = workload(server, SITE)
    template = made["spec"]["leaderWorkerTemplate"]
    assert template["size"] == 2
    assert template["restartPolicy"] == "RecreateGroupOnPodRestart"
    assert argument(server, "--pipeline-parallel-size") == "2"
    assert argument(server, "--tensor-parallel-size") == "8"
    assert requests(server)[EFA_RESOURCE] == "16"
    leader, worker = (template[name]["spec"] for name in ("leaderTemplate", "workerTemplate"))
    assert "readinessGates" in leader
    assert "readinessGates" not in worker
    assert "livenessProbe" not in worker["containers"][0]
    # It has no metrics, so the collector is not sent there.
    assert template["leaderTemplate"]["metadata"]["annotations"]["prometheus.io/port"] == "8000"
    assert template["workerTemplate"]["metadata"]["annotations"] == {}
    answering = service(server, "serving")["spec"]["selector"]
    assert answering == {**labels(server), "leaderworkerset.sigs.k8s.io/worker-index": "0"}


def test_the_number_of_copies_is_the_autoscalers_where_there_is_one() -> None:
    fixed: Any = workload(server_of(), SITE)
    scaled: Any = workload(variants()["scaled"], SITE)
    assert fixed["spec"]["replicas"] == 1
    assert autoscaling_objects(server_of(), "serving", SOURCE) == {}
    # `kubectl apply` of a number would take copies away that a queue has called for.
    assert "replicas" not in scaled["spec"]


def test_queries_name_metrics_and_labels_as_vllm_exposes_them() -> None:
    """https://github.com/vllm-project/vllm/blob/main/vllm/v1/metrics/loggers.py"""
    assert 'vllm:num_requests_waiting{model_name="model"}' in queue_query(server_of())
    assert 'vllm:time_to_first_token_seconds_bucket{model_name="model"}' in latency_query(
        server_of()
    )
    assert argument(server_of(), "--served-model-name") == "model"


def triggers_of(server: ModelServer) -> list[Any]:
    return list(autoscaling_objects(server, "serving", SOURCE)["ScaledObject"]["spec"]["triggers"])


def test_a_sleeping_model_is_woken_by_its_load_balancer_and_by_the_clock() -> None:
    triggers = triggers_of(variants()["scaled"])
    waking = {
        trigger["metadata"]["metricName"]: trigger["metadata"]
        for trigger in triggers
        if trigger["type"] == "aws-cloudwatch"
    }
    assert set(waking) == {"HTTPCode_ELB_503_Count", "RequestCount"}
    for metadata in waking.values():
        assert metadata["dimensionValue"] == "app/a/1"
        assert metadata["activationTargetMetricValue"] == "0"
        # It wakes one copy, and leaves their number to the queue.
        assert int(metadata["targetMetricValue"]) >= 1_000_000
    (clock,) = [trigger["metadata"] for trigger in triggers if trigger["type"] == "cron"]
    assert clock == {
        "timezone": "UTC",
        "start": "0 8 * * 1-5",
        "end": "0 18 * * 1-5",
        "desiredReplicas": "2",
    }


def test_a_model_that_never_sleeps_asks_no_load_balancer() -> None:
    server = server_of(scaling=ReplicaScaling(minimum=1, maximum=3, waiting_requests=7))
    triggers = triggers_of(server)
    assert [trigger["metadata"]["threshold"] for trigger in triggers] == ["7", "5"]
    assert [trigger["metricType"] for trigger in triggers] == ["AverageValue", "Value"]
    assert {trigger["authenticationRef"]["name"] for trigger in triggers} == {"model"}


def test_the_router_finds_exactly_the_copies_of_its_model() -> None:
    server = variants()["routed"]
    given = model_router.arguments(server, "serving")
    start = given.index("--selector") + 1
    assert given[start : start + 2] == [f"{key}={text}" for key, text in labels(server).items()]
    made: Any = model_router.router_objects(
        server, "serving", vpc_cidrs=[CIDR], readiness_gate=readiness_gate("model")
    )
    assert made["RouterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    ]
    chosen = made["RouterService"]["spec"]["selector"]
    assert (
        chosen.items() <= made["RouterDeployment"]["spec"]["template"]["metadata"]["labels"].items()
    )
    assert not chosen.items() <= labels(server).items()


def test_nothing_outside_the_vpc_reaches_a_pod() -> None:
    for server in variants().values():
        for made in objects(server):
            if made["kind"] == "NetworkPolicy":
                peers = [peer for rule in made["spec"]["ingress"] for peer in rule["from"]]
                blocks = {peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer}
                assert blocks == {CIDR}
                assert made["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_every_image_of_the_platform_is_pinned() -> None:
    for server in variants().values():
        for made in objects(server):
            for image in images(made):
                assert "@sha256:" in image or image.startswith("public.ecr.aws/neuron/")
                assert ":latest" not in image


def images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "image":
                yield item
            yield from images(item)
    elif isinstance(value, list):
        for item in value:
            yield from images(item)
