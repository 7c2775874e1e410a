#!/usr/bin/env bash
# Evaluate a checkpoint in several processes.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

if [ $# -lt 3 ] || ! is_count "$3"; then
    cat >&2 <<USAGE
Usage: bash $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]

GPUS is the number of GPUs of this machine to use; without a GPU, the number
of processes. From the environment: PORT (29500), and on several machines
NNODES, NODE_RANK and MASTER_ADDR.
USAGE
    exit 2
fi

launch test.py "$3" "$1" "$2" "${@:4}"
