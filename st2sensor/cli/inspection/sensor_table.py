"""The table of `st2sensor list` and `top`: one line per sensor, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from st2sensor.cli.text import colours, units
from st2sensor.cli.text.printable import in_line
from st2sensor.reports import SensorReport

NODE = "node"
"""The column that is omitted if no sensor has a node."""

NUMBERS = frozenset({"restarts", "/min", "memory", "cpu"})

SPARED = ("last 3 min", "last trigger", "cpu", "memory", "/min", "restarts", "since", NODE)
"""Columns that a narrow terminal lacks, the least important one first."""

WHY = "why"

ENOUGH = 16
"""Width that a reason gets, even if another column must be dropped for it."""

GAP = 2
"""Spaces between two columns."""

BARS = 18
"""Bars of a sparkline: three minutes."""


def table(found: Sequence[SensorReport], width: int, processor: Mapping[str, float | None] | None = None) -> Table:
    """Return the table. If it is too wide, the least important columns are dropped and reasons are cut.

    :param processor: percentage of a processor that each sensor uses, for a separate column; None for no column.
    """
    rows = [_row(report, processor) for report in found]
    names = _fitting(rows, width)
    made = Table(box=None, pad_edge=False)
    for name in names:
        made.add_column(name, no_wrap=True, justify="right" if name in NUMBERS else "left")
    room = max(0, width - _taken(rows, [name for name in names if name != WHY]))
    for row in rows:
        row[WHY].truncate(room, overflow="ellipsis")
        made.add_row(*[row[name] for name in names])
    return made


def why(report: SensorReport) -> str:
    """Return a line about a sensor's problem; empty if it has none."""
    hang = units.hang(report.hang)
    if report.state != "running":
        reason = report.reason.partition("\n")[0]
        return f"{reason}; {hang}" if hang else reason
    if hang:
        return hang
    if not report.failing:
        return report.held_back or unrouted(report)
    ended, error = report.last_exit, report.last_error
    if ended is not None and (error is None or error.at < ended.at):
        return ended.text.partition("\n")[0]
    return "" if error is None else error.text.rstrip().rpartition("\n")[2]


def unrouted(report: SensorReport) -> str:
    """Return a line about triggers that no queue has taken; empty if there are none."""
    return f"{units.count(report.unrouted, 'trigger')} unrouted: no queue takes them" if report.unrouted else ""


def _state(report: SensorReport) -> Text:
    if report.failing:
        return Text("failing", "bold red")
    return Text(report.state, "yellow" if report.hang else colours.OF_STATES.get(report.state, ""))


def _row(report: SensorReport, processor: Mapping[str, float | None] | None) -> dict[str, Text]:
    """Return all cells, by the names of their columns."""
    cells: dict[str, str | Text] = {
        "sensor": in_line(report.ref),
        "state": _state(report),
        NODE: in_line(report.node or ""),
        "since": units.ago(report.since),
        "restarts": str(report.restarts or ""),
        "/min": str(report.triggers_per_minute or ""),
        "last trigger": units.ago(report.triggered_at),
        "memory": units.size(report.memory),
        "cpu": "" if processor is None else units.percent(processor.get(report.ref)),
        "last 3 min": units.sparkline(report.recent, BARS).strip(),
        WHY: in_line(why(report)),
    }
    if processor is None:
        del cells["cpu"]
    return {name: cell if isinstance(cell, Text) else Text(cell) for name, cell in cells.items()}


def _fitting(rows: Sequence[Mapping[str, Text]], width: int) -> list[str]:
    """Return the columns that fit next to each other."""
    names = [name for name in (rows[0] if rows else []) if name != NODE or any(row[NODE] for row in rows)]
    longest = max((row[WHY].cell_len for row in rows), default=0)
    for name in SPARED:
        rest = [kept for kept in names if kept != WHY]
        if _taken(rows, rest) + max(len(WHY), min(longest, ENOUGH)) <= width:
            break
        names = [kept for kept in names if kept != name]
    return names


def _taken(rows: Sequence[Mapping[str, Text]], names: Sequence[str]) -> int:
    """Return the width of columns, including the gap after each."""
    return sum(max(len(name), *(row[name].cell_len for row in rows)) + GAP for name in names)
