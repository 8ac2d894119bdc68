"""The table, printed row by row in Markdown, because a run takes long and may be interrupted."""

from __future__ import annotations

from tests.real_packs.own_tests import TestRow
from tests.real_packs.trial import SensorRow

HEADING = "| pack | file | result | triggers that arrived | note |\n|---|---|---|---|---|"


def sensor(row: SensorRow) -> str:
    """Return the row of a sensor's file."""
    arrived = ", ".join(f"{trigger} x {count}" for trigger, count in sorted(row.triggers.items()))
    return _line(row.pack, row.file, f"NO: {row.error}" if row.error else "loads", arrived, row.note)


def tests(row: TestRow) -> str:
    """Return the row of a file of tests."""
    return _line(row.pack, row.file, f"{row.passed} of {row.run} tests passed", "", row.note)


def _line(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
