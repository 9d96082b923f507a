#!/bin/bash
#SBATCH --job-name=all-reduce-trn2
#SBATCH --partition=trn2
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=00:30:00
#SBATCH --output=%x-%j.log
# Prove that nodes with Trainium2 reduce over EFA, and fail otherwise. From the root of this repository:
#   sbatch --nodes=4 jobs/slurm/all_reduce_trn2.sh
export RANKS_PER_NODE=64 EFA_DEVICES=16 FABRIC_BACKEND=neuron
exec bash "$SLURM_SUBMIT_DIR/jobs/slurm/all_reduce.sh" "$@"
