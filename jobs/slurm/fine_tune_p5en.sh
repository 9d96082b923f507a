#!/bin/bash
#SBATCH --job-name=fine-tune-p5en
#SBATCH --partition=p5en
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=2-00:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
# Fine-tune with LoRA on H200. From the root of this repository on the shared file system:
#   sbatch jobs/slurm/fine_tune_p5en.sh --checkpoints /fsx/checkpoints/<run> --dataset … --model … --steps …
export RANKS_PER_NODE=8
exec bash "$SLURM_SUBMIT_DIR/jobs/slurm/fine_tune.sh" "$@"
