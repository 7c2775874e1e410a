#!/usr/bin/env bash
# Train as a job of a Slurm cluster.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}

if [ $# -lt 3 ] || ! is_count "$GPUS" || ! is_count "$GPUS_PER_NODE"; then
    cat >&2 <<USAGE
Usage: bash $0 PARTITION JOB_NAME CONFIG [WORK_DIR] [arguments of tools/train.py]

From the environment: GPUS (8) in all, GPUS_PER_NODE (8), CPUS_PER_TASK (5),
SRUN_ARGS (more arguments of srun), PY_ARGS (more arguments of train.py).
In a batch job, SIGTERM or SIGUSR1 (#SBATCH --signal=USR1@120) saves the run,
requeues the job and leaves with status 75; the requeued job resumes.
USAGE
    exit 2
fi
if ! command -v srun >/dev/null; then
    echo "srun is not found: this is not a node of a Slurm cluster. On one" \
        "machine, use tools/dist_train.sh." >&2
    exit 1
fi

partition=$1 job_name=$2 config=$3
shift 3
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    set -- --work-dir "$1" "${@:2}"
fi

# SRUN_ARGS and PY_ARGS are lists of words.
# shellcheck disable=SC2086
set -- srun \
    --partition "$partition" \
    --job-name "$job_name" \
    --gres "gpu:$GPUS_PER_NODE" \
    --ntasks "$GPUS" \
    --ntasks-per-node "$GPUS_PER_NODE" \
    --cpus-per-task "$CPUS_PER_TASK" \
    --kill-on-bad-exit 1 \
    ${SRUN_ARGS:-} \
    "$PYTHON" -u "$tools/train.py" "$config" "$@" ${PY_ARGS:-} \
    --launcher slurm
if [ -z "${SLURM_JOB_ID:-}" ]; then
    exec "$@"
fi

# A batch job that was asked to leave goes on later. No signal is trapped
# here: scancel ends this script too, and its job is not to be begun again.
make_notes "$PWD"
status=0
"$@" || status=$?
if were_asked || [ "$status" -eq "$PREEMPTED" ]; then
    status=$PREEMPTED
    scontrol requeue "$SLURM_JOB_ID" || echo "Job $SLURM_JOB_ID was saved" \
        "but cannot be requeued: submit it again with --resume." >&2
fi
exit "$status"
