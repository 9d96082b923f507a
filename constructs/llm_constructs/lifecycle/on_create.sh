#!/bin/bash
# OnCreate of a Slurm cluster with the legacy provisioning_parameters.json beside these scripts.
set -euo pipefail

exec bash "$(dirname -- "${BASH_SOURCE[0]}")/provision.sh" legacy-slurm
