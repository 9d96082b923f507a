"""The batch scripts with Slurm's commands as stubs: they come back while there is progress."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.fabric.whole_node import PORT

ROOT = Path(__file__).parents[3]
SLURM = ROOT / "jobs" / "slurm"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Cluster:
    """Slurm's commands as stubs on the path; they note what they were asked."""

    folder: Path

    def run(
        self, script: str, *arguments: str, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        env = {
            "PATH": f"{self.folder}:/usr/bin:/bin",
            "SLURM_SUBMIT_DIR": str(self.folder / "submitted"),
            "SLURM_JOB_ID": "42",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_STEP_NUM_NODES": "2",
            "SLURM_STEP_NODELIST": "node-[1-2]",
            "JOB_PYTHON": str(self.folder / "python"),
            "HYPERPOD": str(self.folder),
            "CALLS": str(self.folder / "calls"),
            "REAL_PYTHON": sys.executable,
            **variables,
        }
        return subprocess.run(
            ["bash", str(SLURM / script), *arguments],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


SRUN = r"""#!/bin/bash
echo "srun $*" >>"$CALLS"
while [[ $1 == --* ]]; do
  case $1 in --output=*) output=${1#--output=} ;; esac
  shift
done
if [[ -n ${output-} ]]; then exec "$@" >"${output/\%n/0}"; fi
exec "$@"
"""
SCONTROL = r"""#!/bin/bash
if [[ $1 == show ]]; then printf 'node-1\nnode-2\n'; else echo "scontrol $*" >>"$CALLS"; fi
"""
# torchrun leaves the checkpoint that the test wants; everything else is the real program.
PYTHON = r"""#!/bin/bash
if [[ $* == *torch.distributed.run* ]]; then
  echo "torchrun $*" >>"$CALLS"
  if [[ -n ${REACHES-} ]]; then
    "$REAL_PYTHON" -S - "$CHECKPOINTS" "$REACHES" <<'END'
import sys, pathlib
from fine_tuning.checkpoint_store import CheckpointStore
with CheckpointStore(pathlib.Path(sys.argv[1])).writing(int(sys.argv[2]), {}) as folder:
    (folder / "state").write_bytes(b"state")
END
  fi
  if [[ -n ${SAYS-} ]]; then echo "$SAYS"; fi
  exit "${ENDS:-0}"
fi
exec "$REAL_PYTHON" "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python": PYTHON}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    submitted = tmp_path / "submitted"
    submitted.mkdir()
    for name in ("jobs", "ops", "constructs"):
        (submitted / name).symlink_to(ROOT / name)
    return Cluster(tmp_path)


def fine_tune(cluster: Cluster, **variables: str) -> "subprocess.CompletedProcess[str]":
    checkpoints = str(cluster.folder / "checkpoints")
    options = {"checkpoints": checkpoints, "dataset": "d", "model": "m", "steps": "10"}
    return cluster.run(
        "fine_tune_trn2.sh",
        *(f"--{name}={value}" for name, value in options.items()),
        CHECKPOINTS=checkpoints,
        **variables,
    )


def test_a_step_runs_every_rank_with_the_arguments_and_may_be_resumed(cluster: Cluster) -> None:
    result = fine_tune(cluster, REACHES="10")
    assert result.returncode == 0, result.stderr
    srun, torchrun = cluster.calls
    assert "--auto-resume=1" in srun
    assert "--nnodes=2 --nproc-per-node=64" in torchrun
    assert f"--rdzv-endpoint=node-1:{PORT}" in torchrun
    assert "--max-restarts=3 -m fine_tuning train --checkpoints=" in torchrun


def test_other_slurms_are_not_asked_to_resume(cluster: Cluster) -> None:
    fine_tune(cluster, HYPERPOD="/nowhere")
    assert "--auto-resume" not in cluster.calls[0]


def test_a_job_that_made_progress_goes_back_to_the_queue(cluster: Cluster) -> None:
    result = fine_tune(cluster, REACHES="5", ENDS="1")
    assert result.returncode == 0, result.stderr
    assert cluster.calls[-1] == "scontrol requeue 42"
    assert "up to step 5" in result.stderr


def test_a_job_that_makes_no_progress_fails(cluster: Cluster) -> None:
    fine_tune(cluster, REACHES="5", ENDS="1")
    result = fine_tune(cluster, ENDS="1")
    assert result.returncode == 1
    assert cluster.calls.count("scontrol requeue 42") == 1
    assert "No step was saved since 5" in result.stderr


def test_a_job_whose_last_step_was_saved_is_finished_however_it_ended(cluster: Cluster) -> None:
    assert fine_tune(cluster, REACHES="10", ENDS="1").returncode == 0
    assert not any("requeue" in call for call in cluster.calls)


def test_arguments_that_the_program_refuses_start_nothing(cluster: Cluster) -> None:
    assert cluster.run("fine_tune_trn2.sh", "--steps=10").returncode == 2
    assert cluster.calls == []


def report(**changes: object) -> str:
    measured = {
        "node": 0,
        "host": "node-1",
        "nodes": 2,
        "ranks": 128,
        "bytes": 1 << 30,
        "iterations": 20,
        "seconds": 1.0,
        "right": True,
        "efa_devices": 16,
        "efa_bytes": 30 << 30,
        "tcp_bytes": 1000,
    }
    return "FABRIC " + json.dumps({**measured, **changes})


def test_a_proof_without_a_report_of_each_node_fails(cluster: Cluster) -> None:
    result = cluster.run("all_reduce_trn2.sh", SAYS=report())
    assert result.returncode == 1
    assert "Node 1 did not report" in result.stderr
    assert "--auto-resume" not in cluster.calls[0]
    assert "--max-restarts=0 ops/fabric/all_reduce.py" in cluster.calls[1]
    assert json.loads(result.stdout)["proved"] is False


def test_a_proof_whose_bytes_went_over_tcp_fails(cluster: Cluster) -> None:
    said = report(efa_bytes=0, tcp_bytes=30 << 30)
    result = cluster.run("all_reduce_p5en.sh", SAYS=said, SLURM_JOB_NUM_NODES="1")
    assert result.returncode == 1
    assert "sent nothing over EFA" in result.stderr


def test_what_the_adapters_counted_can_be_judged_on_a_node(tmp_path: Path) -> None:
    for node in range(2):
        (tmp_path / f"{node}.log").write_text(f"noise\n{report(node=node)}\n")
    command = [sys.executable, "-S", "-m", "ops.fabric", "--nodes=2", "--ranks=64"]
    result = subprocess.run(
        [*command, "--efa-devices=16", *map(str, tmp_path.glob("*.log"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["proved"] is True
