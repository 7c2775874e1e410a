"""Options that the command-line tools share."""

import argparse
from typing import Any, List, Sequence

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
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, RecursionError):
            # Of mmengine's parser, which knows lists and plain values alone.
            parser.error(
                f'{option_string}: a value is a word, a number or a list as '
                f'[1,2] or (1,2), without calls as dict(...), got {values}'
            )


def positive(text: str) -> int:
    """Read an option that counts something.

    Args:
        text (str): As it was typed.

    Returns:
        int: From 1 on.

    Raises:
        ArgumentTypeError: Anything else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f'must be a whole number of at least 1, got {text!r}'
        )
    return int(text)


def gpu_numbers(text: str) -> List[int]:
    """Read an option that names GPUs.

    Args:
        text (str): As it was typed.

    Returns:
        list[int]: From 0 on.

    Raises:
        ArgumentTypeError: Anything else.
    """
    numbers = text.split(',')
    if not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(f'give numbers as 0,1, got {text!r}')
    return [int(number) for number in numbers]


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


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint`` to a tool that reads checkpoints.

    Args:
        parser (ArgumentParser): Of the tool, which runs under
            :func:`mmtat.models.utils.trust_checkpoints`.
    """
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='let checkpoints that hold more than weights RUN what they hold; '
        'now they are refused',
    )
