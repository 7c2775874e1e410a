"""Write the config reference from the docstrings of the components.

python tools/config_reference.py           # write docs/reference.md
python tools/config_reference.py --check   # exit 1 where it is out of date
"""

import argparse
import sys
from pathlib import Path

from mmtat.engine.documentation import reference_page
from mmtat.engine.user_errors import readable_errors

PAGE = Path(__file__).resolve().parents[1] / 'docs' / 'reference.md'


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Write the config reference from the docstrings'
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; exit 1 where the page is out of date',
    )
    parser.add_argument(
        '--out', type=Path, default=PAGE, help='the page; now %(default)s'
    )
    return parser.parse_args()


def main() -> None:
    """Write the page, or look whether it is what would be written."""
    args = parse_args()
    if not args.out.parent.is_dir() or args.out.is_dir():
        sys.exit(f"error: --out must be a page in a folder, got '{args.out}'")
    with readable_errors():
        text = reference_page()
    if not args.check:
        args.out.write_text(text, encoding='utf-8')
        return
    is_there = args.out.is_file()
    if not is_there or args.out.read_text(encoding='utf-8') != text:
        sys.exit(
            f'error: {args.out} is out of date; run python '
            'tools/config_reference.py'
        )


if __name__ == '__main__':
    main()
