#!/usr/bin/env bash
# Train in several processes on one machine, or on each of several.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

if [ $# -lt 2 ] || ! is_count "$2" ||
    { [ -n "${MAX_RESTARTS:-}" ] && ! is_count "$MAX_RESTARTS"; }; then
    cat >&2 <<USAGE
Usage: bash $0 CONFIG GPUS [arguments of tools/train.py]

GPUS is the number of GPUs of this machine to use; without a GPU, the number
of processes. From the environment: PORT (29500), and on several machines
NNODES, NODE_RANK and MASTER_ADDR. With MAX_RESTARTS, so often all processes
begin anew when one fails, from the newest checkpoint. SIGTERM or SIGUSR1 saves
the run and leaves with status 75.
USAGE
    exit 2
fi

launch train.py "$2" "$1" "${@:3}"
