"""All faults of one side, in a process that has imported what it needs.

python -m tests.faults.side SIDE FOLDER JSON KILLS EACH SEED EVERY
"""

import json
import random
import sys
import time
import warnings
from pathlib import Path

from .damage import damages
from .disks import full_disks, read_only
from .kills import kills
from .runs import prepare


def main() -> None:
    """Run the suite of a side and write its records."""
    side, folder, out, *numbers = sys.argv[1:]
    count, each, seed, every = map(int, numbers)
    prepare(side)
    # Of the environment variable that lets mmengine load its own files.
    warnings.filterwarnings('ignore', 'Environment variable TORCH_FORCE')
    folder = Path(folder)
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f'[{time.monotonic() - begun:5.0f} s] {line}', flush=True)

    # A draw for each part, so that a part is repeated by itself.
    seeds = [random.Random(f'{seed}/{n}').randrange(2**31) for n in range(4)]
    names = ('kills', 'damages', 'full disk', 'read-only')
    say(f'{side}: seeds {dict(zip(names, seeds))}')
    records = dict(
        seeds=dict(zip(names, seeds)),
        kills=kills(side, folder / 'kills', count, seeds[0], every, say),
        damages=damages(side, folder / 'damages', each, seeds[1], say),
        disks=[
            *full_disks(side, folder / 'full', each, seeds[2], say),
            *read_only(side, folder / 'frozen', each, seeds[3], say),
        ],
        uses_mmtat='mmtat' in sys.modules,
    )
    Path(out).write_text(json.dumps(records))


if __name__ == '__main__':
    main()
