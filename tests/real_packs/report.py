"""The tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from tests.real_packs.own_tests import TestRow
from tests.real_packs.trial import SensorRow


def sensors(rows: Sequence[SensorRow]) -> Table:
    """Return a table with a row for each sensor's file."""
    table = Table("pack", "sensor file", "loads", "triggers that arrived", "note", show_lines=True)
    for row in rows:
        loads = Text(f"NO: {row.error}", "red") if row.error else Text("yes", "green")
        arrived = "\n".join(f"{trigger} x {count}" for trigger, count in sorted(row.triggers.items()))
        table.add_row(row.pack, row.file, loads, arrived, Text(row.note))
    return table


def tests(rows: Sequence[TestRow]) -> Table:
    """Return a table with a row for each file of tests."""
    table = Table("pack", "test file", "passed / run", "note", show_lines=True)
    for row in rows:
        colour = "green" if row.run and row.passed == row.run else "red"
        table.add_row(row.pack, row.file, Text(f"{row.passed} / {row.run}", colour), Text(row.note))
    return table
