"""What the batch scripts ask for, against the catalogue and the environments' groups."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.loading import load
from llm_constructs.specs.instance_group import InstanceGroup
from ops.fabric.objects import BACKENDS
from ops.fabric.whole_node import EFA_ENVIRONMENT, PORT
from ops.fine_tuning.objects import ENVIRONMENT

ROOT = Path(__file__).parents[3]
SLURM = ROOT / "jobs" / "slurm"
SCRIPTS = sorted([*SLURM.glob("fine_tune_*.sh"), *SLURM.glob("all_reduce_*.sh")])
TRAINING = load("prod").training
GROUPS = {group.name: group for group in (TRAINING.groups if TRAINING else ())}


def directives(script: Path) -> Mapping[str, str]:
    """Return the options that sbatch reads: those before the first command."""
    head = script.read_text(encoding="utf-8").partition("\nexport ")[0]
    lines = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.+))?$", head, re.MULTILINE)
    assert len(lines) == head.count("#SBATCH")
    return dict(lines)


def exported(script: Path) -> dict[str, str]:
    lines = re.findall(r"^export (.+)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for line in lines for word in shlex.split(line)]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def group_of(script: Path) -> InstanceGroup:
    return GROUPS[directives(script)["partition"]]


def test_there_is_a_script_of_each_kind_for_each_accelerator() -> None:
    assert [it.name for it in SCRIPTS] == [
        "all_reduce_p5en.sh",
        "all_reduce_trn2.sh",
        "fine_tune_p5en.sh",
        "fine_tune_trn2.sh",
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda it: it.stem)
def test_a_script_starts_one_torchrun_on_each_of_its_partitions_whole_nodes(script: Path) -> None:
    asked = directives(script)
    group = group_of(script)
    assert group.partition in (None, asked["partition"])
    assert asked["ntasks-per-node"] == "1"
    assert "exclusive" in asked
    assert int(asked["nodes"]) >= 2
    assert exported(script)["RANKS_PER_NODE"] == str(group.row.ranks)


@pytest.mark.parametrize(
    "script", [it for it in SCRIPTS if "all_reduce" in it.name], ids=lambda it: it.stem
)
def test_a_proof_expects_the_adapters_and_the_backend_of_its_type(script: Path) -> None:
    row = group_of(script).row
    assert row.efa
    assert exported(script)["EFA_DEVICES"] == str(row.efa.interfaces)
    assert exported(script)["FABRIC_BACKEND"] == BACKENDS[row.device_kind]


@pytest.mark.parametrize(
    "script", [it for it in SCRIPTS if "fine_tune" in it.name], ids=lambda it: it.stem
)
def test_a_fine_tune_is_warned_before_its_time_is_over_and_may_come_back(script: Path) -> None:
    asked = directives(script)
    signal, _, seconds = asked["signal"].partition("@")
    # Without "B:" the step gets it, and not the batch script, which decides what comes next.
    assert signal == "TERM"
    # torchrun gives ranks 30 seconds, and the batch script reads checkpoints after that.
    assert int(seconds) >= 120
    assert "requeue" in asked
    assert asked["open-mode"] == "append"


def test_slurms_nodes_get_the_environment_of_kubernetes_pods() -> None:
    exports = exported(SLURM / "torchrun.sh")
    assert exports.items() >= EFA_ENVIRONMENT.items()
    assert exports == {key: it for key, it in ENVIRONMENT.items() if key != "PYTHONPATH"}
    assert f'"${{nodes[0]}}:{PORT}"' in (SLURM / "torchrun.sh").read_text()
