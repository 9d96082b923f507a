#!/bin/bash
#SBATCH --job-name=all-reduce-p5en
#SBATCH --partition=p5en
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=00:30:00
#SBATCH --output=%x-%j.log
# Prove that nodes with H200 reduce over EFA, and fail otherwise. From the root of this repository:
#   sbatch --nodes=4 jobs/slurm/all_reduce_p5en.sh
export RANKS_PER_NODE=8 EFA_DEVICES=16 FABRIC_BACKEND=nccl
exec bash "$SLURM_SUBMIT_DIR/jobs/slurm/all_reduce.sh" "$@"
