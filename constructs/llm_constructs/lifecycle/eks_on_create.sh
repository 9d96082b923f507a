#!/bin/bash
# OnCreate of a cluster that EKS orchestrates: runs before the node joins it.
set -euo pipefail

exec bash "$(dirname -- "${BASH_SOURCE[0]}")/provision.sh" eks
