"""Prints tables whose names can be copied."""

from __future__ import annotations

import sys
from collections.abc import Collection

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

OTHERS = 24
"""Width that every other column gets at least, if its cells are that long."""

GAP = 1
"""Width of the space between two columns."""


def print_table(out: Console, table: Table, *, names: Collection[str]) -> None:
    """Print a table. Unless it goes to a terminal, names are never cut: a program or a paste needs all of them.

    :param out: is made wider if necessary.
    :param names: the headers of the columns that hold names.
    """
    if not sys.stdout.isatty():
        needed = 0
        for column in table.columns:
            longest = _longest(column)
            if str(column.header) in names:
                column.no_wrap, column.max_width, column.min_width = True, None, longest
            needed += (longest if column.min_width is not None else min(longest, OTHERS)) + GAP
        out.width = max(out.width, needed)
    out.print(table)


def _longest(column: Column) -> int:
    cells = (column.header, *column.cells)
    return max(cell_len(cell.plain if isinstance(cell, Text) else str(cell)) for cell in cells)
