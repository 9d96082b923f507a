#!/bin/bash
# The batch script of fine_tune_*.sh: run until the time is over, and come back if there is more.
set -euo pipefail
export JOB_PYTHON=${JOB_PYTHON:-/fsx/environments/fine-tuning/bin/python}
export PYTHONPATH=$SLURM_SUBMIT_DIR/jobs
# After a rank fails, torchrun starts all of them again, from the newest checkpoint.
export MAX_RESTARTS=3

status() { "$JOB_PYTHON" -m fine_tuning status "$@"; }

step=(srun --kill-on-bad-exit=1)
# HyperPod replaces a faulty node and starts the step again; other Slurms do not know the option.
# https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-resiliency-slurm-auto-resume.html
if [[ -d ${HYPERPOD:-/opt/sagemaker_cluster} ]]; then
  step+=(--auto-resume=1)
fi

before=$(status "$@")
if "${step[@]}" bash "$SLURM_SUBMIT_DIR/jobs/slurm/torchrun.sh" -m fine_tuning train "$@"; then
  exit 0
fi
after=$(status "$@")
if [[ $after == finished ]]; then
  exit 0
fi
if [[ $after == "$before" ]]; then
  echo "No step was saved since $before: starting again would not help." >&2
  exit 1
fi
echo "Saved up to step $after. The job goes back to the queue." >&2
scontrol requeue "$SLURM_JOB_ID"
