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
    exec "$PYTHON" -m torch.distributed.run \
        --nnodes "${NNODES:-1}" \
        --node_rank "${NODE_RANK:-0}" \
        --master_addr "${MASTER_ADDR:-127.0.0.1}" \
        --master_port "${PORT:-29500}" \
        --nproc_per_node "$gpus" \
        "$tools/$script" "$@" --launcher pytorch
}
