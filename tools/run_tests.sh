#!/usr/bin/env bash
# Run the tests in an environment that fits, made first if there is none.
#
# Usage: bash tools/run_tests.sh [pytest arguments]
#
# Paths are relative to the checkout. --all runs the slow tests as well, and
# those of optional packages, which it installs; a browser it only looks for.
# --faults kills, damages and cuts off runs instead (docs/reliability.md).
set -euo pipefail

for argument in "$@"; do
    if [ "$argument" = --all ]; then
        extras=browser,docs,export,tensorboard,timm
    fi
done

source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

if [ -z "${OMP_NUM_THREADS:-}" ]; then
    # More threads than this only wait for each other on small models.
    OMP_NUM_THREADS=$("$PYTHON" -c \
        'import os; print(min(4, len(os.sched_getaffinity(0))))')
    export OMP_NUM_THREADS
fi

cd "$root"
exec "$PYTHON" -m pytest "$@"
