#!/bin/bash
# The batch script of all_reduce_*.sh: reduce over all ranks, then judge what the adapters counted.
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
export JOB_PYTHON=${JOB_PYTHON:-/fsx/environments/fine-tuning/bin/python}
export FABRIC_MEBIBYTES=${FABRIC_MEBIBYTES:-1024} FABRIC_ITERATIONS=${FABRIC_ITERATIONS:-20}
export NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=INIT,NET
# A second try would hide that the first one failed.
export MAX_RESTARTS=0

logs=all-reduce-$SLURM_JOB_ID
mkdir "$logs"
# Nodes that failed have no report, and that is judged.
srun --kill-on-bad-exit=1 --output="$logs/%n.log" \
  bash jobs/slurm/torchrun.sh ops/fabric/all_reduce.py || true
exec "$JOB_PYTHON" -m ops.fabric --nodes "$SLURM_JOB_NUM_NODES" --ranks "$RANKS_PER_NODE" \
  --efa-devices "$EFA_DEVICES" "$@" "$logs"/*.log
