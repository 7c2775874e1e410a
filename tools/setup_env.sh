# Sets PYTHON to a Python whose environment satisfies setup.py: the active
# virtual environment if it does, else the checkout's own .venv, which is made
# or finished first. Sourced by run_tests.sh and demo.sh; the former may set
# extras to names of setup.py that must be there too, as export,timm, and
# torch to a release, which then has an environment of its own beside it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv${torch:+-torch-$torch}

satisfies() {
    [ -x "$1" ] && "$1" "$root/tools/setup_env.py" check \
        ${extras:+--extras "$extras"} ${torch:+--torch "$torch"} "${@:2}"
}

can_make_venv() {
    "$1" -c 'import ensurepip, sys, venv
sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null
}

find_base_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} \
        python3.12 python3.11 python3 python; do
        if can_make_venv "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "mmtat needs Python 3.11 or 3.12 with its venv module, and none of" \
        "${PYTHON:-} python3.12 python3.11 python3 python is that. Install" \
        "one (on Debian the packages python3 and python3-venv), or name" \
        "one: PYTHON=/path/to/python3.12 bash $0" >&2
    return 1
}

make_venv() {
    local base
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        base=$(find_base_python) || return
        echo "Making $venv with $("$base" --version)."
        "$base" -m venv --clear "$venv"
    elif ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        # The making of it was interrupted while it brought in pip.
        rm -rf "$venv"/lib/python3*/site-packages/pip{,-*}
        "$venv/bin/python" -m ensurepip --upgrade --default-pip
    fi && "$venv/bin/python" "$root/tools/setup_env.py" install \
        ${extras:+--extras "$extras"} ${torch:+--torch "$torch"}
}

choose_python() {
    if [ -n "${VIRTUAL_ENV:-}" ] &&
        satisfies "$VIRTUAL_ENV/bin/python" --quiet; then
        PYTHON=$VIRTUAL_ENV/bin/python
        return
    fi
    if ! satisfies "$venv/bin/python" --quiet; then
        (
            # Two commands at once must not fill one environment.
            if command -v flock >/dev/null && ! flock -n 9; then
                echo "Waiting for the command that is making $venv."
                flock 9
            fi
            satisfies "$venv/bin/python" --quiet || make_venv
        ) 9>"$venv.lock" || return
    fi
    PYTHON=$venv/bin/python
}

choose_python || exit 1
