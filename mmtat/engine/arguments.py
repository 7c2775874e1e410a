"""Options that the command-line tools share."""

import argparse
from typing import Any, Sequence

from mmengine.config import DictAction


class KeyValues(DictAction):
    """KEY=VALUE, with a message for whatever is not."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: Any = None,
    ) -> None:
        """Parse the values of one option.

        Args:
            parser (ArgumentParser): Tells the user what is wrong.
            namespace (Namespace): Gets the dict.
            values (Sequence[str]): As they were typed.
            option_string (str, optional): The option.
        """
        if not all('=' in value for value in values):
            parser.error(f'{option_string}: give KEY=VALUE, got {values}')
        super().__call__(parser, namespace, values, option_string)


def add_cfg_options(
    parser: argparse.ArgumentParser,
    purpose: str = 'override settings of the config, as a.b=1 or a="[1,2]"',
) -> None:
    """Add ``--cfg-options`` to a tool.

    Args:
        parser (ArgumentParser): Of the tool.
        purpose (str): Shown by ``--help``.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValues,
        default={},
        metavar='KEY=VALUE',
        help=purpose,
    )
