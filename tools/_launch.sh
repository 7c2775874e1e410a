# Shared by the scripts that start several processes.

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The Python that PYTHON names, that of the active environment, that of the
# checkout's own, or whatever `python` is: the first of them that exists.
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    for candidate in "${VIRTUAL_ENV:-$tools/../.venv}" "$tools/../.venv"; do
        if [ -x "$candidate/bin/python" ]; then
            PYTHON=$candidate/bin/python
            break
        fi
    done
fi

is_count() {
    [[ $1 =~ ^[1-9][0-9]*$ ]]
}

# Print how many GPUs this machine offers; 0 without one.
present_gpus() {
    "$PYTHON" -c 'import torch; print(torch.cuda.device_count())'
}

# The status of a run that can go on later; see mmtat.PreemptionHook.
PREEMPTED=75

# make_notes FOLDER: make one in which processes say that they were asked to
# leave. They end with 0 then, for torchrun begins anew what ends otherwise,
# and srun kills the others.
make_notes() {
    notes=$(mktemp -d "$1/.mmtat-launch-XXXXXX")
    trap 'rm -rf "$notes"' EXIT
    export MMTAT_LAUNCH_NOTES=$notes
}

were_asked() {
    compgen -G "$notes/asked-*" >/dev/null
}

# pass_on SIGNAL: to the processes that save and leave by it.
pass_on() {
    interrupted=yes was_asked=yes
    local listening=("$notes"/listening-*)
    if [ -e "${listening[0]}" ]; then
        kill -s "$1" "${listening[@]##*-}" 2>/dev/null || true
    else
        # They have nothing to save yet.
        kill -s TERM "$agent" 2>/dev/null || true
    fi
}

# launch SCRIPT GPUS [ARGUMENTS...]: run a tool in GPUS processes by torchrun.
launch() {
    local script=$1 gpus=$2 present
    shift 2
    present=$(present_gpus)
    if [ "$present" -gt 0 ] && [ "$gpus" -gt "$present" ]; then
        echo "GPUS is $gpus, but this machine offers $present. Ask for at" \
            "most $present, or look at CUDA_VISIBLE_DEVICES." >&2
        exit 1
    fi
    if [ "$present" -eq 0 ] && [ -z "${OMP_NUM_THREADS:-}" ]; then
        # torchrun would give every process one thread.
        OMP_NUM_THREADS=$("$PYTHON" -c "import os
print(max(1, len(os.sched_getaffinity(0)) // $gpus))")
        export OMP_NUM_THREADS
    fi
    make_notes "${TMPDIR:-/tmp}"
    trap 'pass_on USR1' USR1
    trap 'pass_on TERM' TERM
    trap interrupted=yes INT
    (
        # torchrun would die of USR1; a script's background ignores INT.
        trap '' USR1
        trap - TERM INT EXIT
        exec "$PYTHON" -m torch.distributed.run \
            --nnodes "${NNODES:-1}" \
            --node_rank "${NODE_RANK:-0}" \
            --master_addr "${MASTER_ADDR:-127.0.0.1}" \
            --master_port "${PORT:-29500}" \
            --nproc_per_node "$gpus" \
            ${MAX_RESTARTS:+--max_restarts "$MAX_RESTARTS"} \
            "$tools/$script" "$@" --launcher pytorch
    ) <&0 &
    agent=$!
    was_asked=
    while :; do
        interrupted= status=0
        wait "$agent" || status=$?
        [ -n "$interrupted" ] || break
    done
    if were_asked || { [ -n "$was_asked" ] && [ "$status" -ne 0 ]; }; then
        status=$PREEMPTED
    fi
    exit "$status"
}
