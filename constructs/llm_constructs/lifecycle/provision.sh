#!/bin/bash
# Runs one sequence of steps on this node, alone and logged, and fails the node if any step fails.
# Usage: provision.sh slurm|legacy-slurm|eks
#
# LIFECYCLE_ROOT is put before every path and is empty on a node; LIFECYCLE_FLUSH_SECONDS is how long
# a failed run waits for its log to be shipped.
set -euo pipefail
umask 022

sequence=$1
root=${LIFECYCLE_ROOT:-}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# The file that HyperPod's own scripts log to.
log=$root/var/log/provision/provisioning.log
lock=$root/run/llm-lifecycle.lock
# Where images keep what no login shell has put on the path yet.
for folder in /usr/sbin /opt/slurm/bin /opt/aws/neuron/bin /opt/aws/amazon-cloudwatch-agent/bin; do
  PATH=$PATH:$root$folder
done
export PATH

fail() {
  local message
  message="$(date --utc +%FT%TZ) FAILED $sequence: $*"
  printf '%s\n' "$message" >&2
  printf '%s\n' "$message" >>"$log" || true
  # SageMaker takes a failed node away, and with it whatever was not shipped by then.
  sync -- "$log" || true
  sleep "${LIFECYCLE_FLUSH_SECONDS:-10}"
  exit 1
}

mkdir -p -- "${log%/*}" "${lock%/*}"
printf '%s\n' "$(date --utc +%FT%TZ) Running $sequence from $here" >>"$log" ||
  fail "$log cannot be written: the disk is full or read-only."

exec 9>"$lock"
flock --nonblock 9 || fail "Another run holds $lock: wait for it, or end it, and start again."

# -I and -S keep whatever a user or image has installed for Python out of what runs as root.
python3 -I -S -B "$here" "$sequence" 9>&- 2>&1 | tee -a "$log" ||
  fail "The node is not what settings.json says; the reason stands above and in $log."
