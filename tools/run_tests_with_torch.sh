#!/usr/bin/env bash
# Run the tests with another torch, in an environment of its own.
#
# Usage: bash tools/run_tests_with_torch.sh VERSION [pytest arguments]
#
# As in: bash tools/run_tests_with_torch.sh 2.4.0
#
# The environment is .venv-torch-VERSION, made if it is not there: this torch,
# the torchvision that is built for it, everything else as in
# requirements/constraints.txt. pip reads its settings as always, such as the
# index in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL. A Python that this torch has
# wheels for can be named: PYTHON=python3.11.
set -euo pipefail

if ! [[ ${1:-} =~ ^[0-9]+\.[0-9]+(\.[0-9]+)?$ ]]; then
    echo "VERSION must be a release of torch, as 2.4.0, got '${1:-}'." \
        "Usage: bash $0 VERSION [pytest arguments]" >&2
    exit 2
fi

# Read by setup_env.sh.
export torch=$1
exec bash "$(dirname "${BASH_SOURCE[0]}")/run_tests.sh" "${@:2}"
