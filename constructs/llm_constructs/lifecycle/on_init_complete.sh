#!/bin/bash
# OnInitComplete of a Slurm cluster: runs on a node once SageMaker has configured it.
set -euo pipefail

exec bash "$(dirname -- "${BASH_SOURCE[0]}")/provision.sh" slurm
