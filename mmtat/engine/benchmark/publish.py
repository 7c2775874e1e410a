"""Where numbers go: the terminal, a json file, and the documentation."""

import json
from pathlib import Path
from typing import Any, Dict, Sequence

import torch

from mmtat.files import write_atomically

from ..comparison.page import insert_tables
from .machine import command, describe, machine, versions
from .result import Result, markdown


def report(
    results: Sequence[Result],
    device: torch.device,
    growth: Sequence[Dict[str, Any]] = (),
) -> Dict[str, Any]:
    """Everything that was measured, as plain values.

    Args:
        results (Sequence[Result]): The tables.
        device (torch.device): That was measured.
        growth (Sequence[dict]): Records of the points of a picture.

    Returns:
        dict[str, Any]: ``command``, ``machine``, ``versions``, ``device``,
        ``results`` and ``growth``.
    """
    return dict(
        command=command(),
        device=str(device),
        machine=machine(device),
        versions=versions(),
        results=[result.record() for result in results],
        growth=list(growth),
    )


def table_text(result: Result, device: torch.device) -> str:
    """A table with its title, its machine and the command that made it.

    Args:
        result (Result): What was measured.
        device (torch.device): Where.

    Returns:
        str: Markdown.
    """
    where = describe(machine(device), versions())
    return (
        f'**{result.title}**\n\n{markdown(result)}\n\n'
        f'Measured on {where}, by `{command()}`.'
    )


def write_report(path: Path, content: Dict[str, Any]) -> None:
    """Write a report, whole or not at all.

    Args:
        path (Path): Of the json file; its folder is made.
        content (dict): See :func:`report`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=1) + '\n')


def check_places(page: Path, names: Sequence[str]) -> None:
    """Raise now where tables would have no place in a page later.

    Args:
        page (Path): In Markdown.
        names (Sequence[str]): Of the tables.

    Raises:
        ValueError: There is no page, or a table has no place in it.
    """
    if not page.is_file():
        raise ValueError(f'docs: no page {str(page)!r}')
    insert_tables(page.read_text(), dict.fromkeys(names, ''))


def insert_results(page: Path, tables: Dict[str, str]) -> None:
    """Replace tables of a page.

    Args:
        page (Path): In Markdown, with ``<!-- table NAME -->`` and
            ``<!-- end -->`` around each.
        tables (dict[str, str]): By name.

    Raises:
        ValueError: A table has no place.
    """
    text = insert_tables(page.read_text(), tables)
    write_atomically(page, text)
