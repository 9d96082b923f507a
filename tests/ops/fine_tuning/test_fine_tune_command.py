"""The fine-tune as Kubernetes objects: valid, on nodes that exist, with arguments that parse."""

import json
from typing import Any

import kubernetes_validate
import pytest
from typer.testing import CliRunner

from config.loading import load
from fine_tuning import cli
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.workload_namespaces import FILE_SYSTEM_CLAIM
from ops.__main__ import app
from ops.fabric.nodes import named_nodes
from ops.fine_tuning.objects import CLAIM, FineTune, objects

PROD = load("prod")
ARGUMENTS = {
    "--env": "prod",
    "--on": "trn2-block",
    "--name": "support",
    "--image": "registry.example.com/fine-tuning:1",
    "--model": "/fsx/models/qwen3-8b",
    "--dataset": "/fsx/datasets/support",
    "--steps": "100",
}


def printed(**changes: str) -> dict[str, Any]:
    arguments = {**ARGUMENTS, **{f"--{key}": value for key, value in changes.items()}}
    words = [word for pair in arguments.items() for word in pair]
    result = CliRunner().invoke(app, ["fine-tune", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    made = {item["kind"]: item for item in json.loads(result.stdout)["items"]}
    assert list(made) == ["ConfigMap", "Service", "Job"]
    return made


def container_of(made: dict[str, Any]) -> dict[str, Any]:
    (container,) = made["Job"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("on", ["trn2-block", "training-p5en"])
def test_the_objects_are_valid(on: str) -> None:
    for item in printed(on=on, nodes="2").values():
        kubernetes_validate.validate(item, "1.36", strict=True)


def test_pods_take_whole_nodes_of_the_group_and_meet_at_the_first() -> None:
    made = printed(nodes="4")
    spec = made["Job"]["spec"]
    pod = spec["template"]["spec"]
    container = container_of(made)
    nodes = named_nodes(PROD, "trn2-block")
    assert (spec["completions"], spec["parallelism"]) == (4, 4)
    assert pod["nodeSelector"] == nodes.selector
    assert {it["key"] for it in pod["tolerations"]} == {taint.key for taint in nodes.taints}
    assert container["resources"]["requests"]["aws.amazon.com/neuron"] == "16"
    assert container["resources"]["requests"]["vpc.amazonaws.com/efa"] == "16"
    assert container["args"][:4] == [
        "--nnodes=4",
        "--nproc-per-node=64",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=support-0.support:29500",
    ]
    assert made["Service"]["spec"]["selector"].items() <= (
        spec["template"]["metadata"]["labels"].items()
    )


def test_what_a_pod_asks_for_fits_its_node() -> None:
    for on, row in (("trn2-block", "trn2.48xlarge"), ("training-p5en", "p5en.48xlarge")):
        nodes = named_nodes(PROD, on)
        assert nodes.row.name == row
        requests = container_of(printed(on=on))["resources"]["requests"]
        allocatable = nodes.row.allocatable()
        assert int(requests["memory"].removesuffix("Mi")) < allocatable.memory_mib
        assert int(requests["cpu"].removesuffix("m")) < allocatable.cpu_millis


def test_the_program_takes_the_arguments_that_pods_give_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = container_of(printed(batch="128"))["args"]
    program = arguments[arguments.index("fine_tuning") + 1 :]
    taken: dict[str, Any] = {}
    monkeypatch.setattr(cli, "_train", lambda parsed: taken.update(vars(parsed)) or 0)
    assert cli.main(program) == 0
    assert str(taken["checkpoints"]) == "/fsx/checkpoints/support"
    assert (taken["steps"], taken["batch"], taken["save_every"]) == (100, 128, 50)


def test_pods_carry_the_whole_program_and_the_file_system() -> None:
    made = printed()
    mounts = {it["name"]: it["mountPath"] for it in container_of(made)["volumeMounts"]}
    assert mounts["program"] == "/program/fine_tuning"
    assert {"__init__.py", "__main__.py", "checkpoint_store.py", "lora.py"} <= set(
        made["ConfigMap"]["data"]
    )
    # Kubernetes refuses more: https://kubernetes.io/docs/concepts/configuration/configmap/
    assert sum(map(len, made["ConfigMap"]["data"].values())) < 1 << 20
    assert CLAIM == FILE_SYSTEM_CLAIM


def test_an_eviction_is_no_failure_and_a_pod_is_replaced_when_it_is_gone() -> None:
    spec = printed()["Job"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "Ignore"
    assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert spec["podReplacementPolicy"] == "Failed"
    # torchrun gives its ranks 30 seconds to save what they have.
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 30


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "Support_1"}, "lower-case letters"),
        ({"nodes": "5"}, "may have 4"),
        ({"batch": "100"}, "64 ranks"),
        ({"on": "general"}, "names none of the environment's pools"),
        ({"env": "dev", "on": "none"}, "Set efa = true"),
    ],
)
def test_what_cannot_run_is_refused(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(SpecificationError, match=sentence):
        printed(**changes)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SpecificationError) as raised:
        printed(name="X", nodes="9", batch="1")
    assert len(raised.value.problems) == 3


def test_a_fine_tune_has_one_name_for_all_its_objects() -> None:
    job = FineTune(
        name="a",
        namespace="training",
        nodes=named_nodes(PROD, "training-p5en"),
        count=1,
        image="i",
        options=[],
    )
    assert {item["metadata"]["name"] for item in objects(job)} == {"a"}
