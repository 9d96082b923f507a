#!/bin/bash
# One node's part of a job, started by srun: torchrun with this node's ranks.
set -euo pipefail
# Asked for in the step and not in the batch script: HyperPod may have replaced a node in between.
mapfile -t nodes < <(scontrol show hostnames "$SLURM_STEP_NODELIST")
# A provider other than EFA is an error, and no second choice.
export FI_PROVIDER=efa FI_EFA_FORK_SAFE=1 NCCL_SOCKET_IFNAME=^lo,docker PYTHONUNBUFFERED=1
# Data loaders fork, for which huge pages are too few.
# https://github.com/aws-samples/awsome-distributed-training/blob/main/1.architectures/efa-cheatsheet.md
export FI_EFA_USE_HUGE_PAGE=0
# Otherwise the node that stays tells the one that joins later no address, and both wait in vain.
# https://github.com/pytorch/pytorch/blob/main/torch/distributed/elastic/rendezvous/dynamic_rendezvous.py
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec "$JOB_PYTHON" -m torch.distributed.run \
  --nnodes="$SLURM_STEP_NUM_NODES" \
  --nproc-per-node="$RANKS_PER_NODE" \
  --rdzv-backend=c10d \
  --rdzv-endpoint="${nodes[0]}:29500" \
  --rdzv-id="$SLURM_JOB_ID" \
  --max-restarts="$MAX_RESTARTS" \
  "$@"
