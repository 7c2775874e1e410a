#!/usr/bin/env bash
# Run the main job on data of its own: teacher, student, TaT, one table.
#
# Usage: bash tools/demo.sh [arguments of tools/demo.py]
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

exec "$PYTHON" "$root/tools/demo.py" "$@"
