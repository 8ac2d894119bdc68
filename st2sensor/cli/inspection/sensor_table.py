"""The table of `st2sensor list` and `top`: one line per sensor, as wide as the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from st2sensor.cli.text import colours, units
from st2sensor.cli.text.printable import in_line
from st2sensor.reports import SensorReport
from st2sensor.trouble import ERROR

NODE = "node"
"""The column that is omitted if no sensor has a node."""

NUMBERS = frozenset({"restarts", "/min", "memory", "cpu"})

SPARED = ("last 3 min", "last trigger", "cpu", "memory", "/min", "restarts", "since", NODE)
"""Columns that a narrow terminal lacks, the least important one first."""

WHY = "why"

ENOUGH = 26
"""Minimum width of the reasons: other columns are dropped if necessary."""

AWAY = "cannot reach "
"""Beginning of a message that is more useful than the details behind it: it names the server."""

ENCLOSED = re.compile(r"[^(]*\((.*)\)")
"""A text that ends with a message in brackets."""

ELLIPSIS = "…"

GAP = 2
"""Spaces between two columns."""

BARS = 18
"""Bars of a sparkline: three minutes."""


def table(
    found: Sequence[SensorReport], width: int, processor: Mapping[str, float | None] | None = None
) -> tuple[Table, str]:
    """Return the table, and a line about what it lacks because of its width; empty if it lacks nothing.

    If the table is too wide, the least important columns are dropped and reasons are cut.

    :param processor: percentage of a processor that each sensor uses, for a separate column; None for no column.
    """
    rows = [_row(report, processor) for report in found]
    names = _fitting(rows, width)
    left = [name for name in (rows[0] if rows else []) if name not in names and any(row[name].plain for row in rows)]
    parts = [", ".join(left)] if left else []
    made = Table(box=None, pad_edge=False)
    for name in names:
        made.add_column(name, no_wrap=True, justify="right" if name in NUMBERS else "left")
    room = max(0, width - _taken(rows, [name for name in names if name != WHY]))
    if any(row[WHY].cell_len > room for row in rows):
        parts.append("parts of why")
    for row, report in zip(rows, found, strict=True):
        row[WHY] = Text(fitting([in_line(line) for line in why(report)], room))
        made.add_row(*[row[name] for name in names])
    return made, f"left out: {', '.join(parts)}; st2sensor show has them" if parts else ""


def why(report: SensorReport) -> list[str]:
    """Return a line for each of a sensor's troubles, the most important first, or else the reason for its state."""
    found = [units.hang(report.hang) if item.kind == "hang" else item.text for item in report.troubles]
    reason = report.reason.partition("\n")[0]
    if report.state == "running" or not reason or any(reason in text for text in found):
        return found
    return [reason, *found]


def fitting(lines: Sequence[str], room: int) -> str:
    """Return lines in one cell. If a line does not fit, its message is kept, and the words before the message are cut.

    In `ended with exit code 1 (KeyError: 'x')`, the message is what the brackets hold; in `file:3: no such key`, it
    follows the last colon. The remedy, which follows the last semicolon, is cut first.

    :param room: width of the cell.
    """
    whole = "; ".join(lines)
    if cell_len(whole) <= room or not lines:
        return whole
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    text = lines[0]
    while cell_len(text + more) > room:
        shorter = text.rpartition("; ")[0] or _without_first_words(text)
        if shorter == text:
            return set_cell_size(text, max(0, room - len(more) - 1)).rstrip() + ELLIPSIS + more
        text = shorter
    return text + more


def _without_first_words(text: str) -> str:
    """Return a text without its least important words; the text itself if all of it is the message."""
    if AWAY in text:
        return text[text.index(AWAY) :].partition(": ")[0]
    enclosed = ENCLOSED.fullmatch(text)
    return enclosed[1] if enclosed else text.partition(": ")[2].strip() or text


def _state(report: SensorReport) -> Text:
    if report.failing:
        return Text("failing", "bold red")
    return Text(report.state, _colour(report))


def _colour(report: SensorReport) -> str:
    """Return the colour of a state. A sensor in trouble does not look healthy."""
    if any(item.level == ERROR for item in report.troubles):
        return "red"
    return "yellow" if report.troubles else colours.OF_STATES.get(report.state, "")


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
        WHY: in_line("; ".join(why(report))),
    }
    if processor is None:
        del cells["cpu"]
    return {name: cell if isinstance(cell, Text) else Text(cell) for name, cell in cells.items()}


def _fitting(rows: Sequence[Mapping[str, Text]], width: int) -> list[str]:
    """Return the columns that fit next to each other."""
    names = [name for name in (rows[0] if rows else []) if name != NODE or any(row[NODE] for row in rows)]
    longest = max((row[WHY].cell_len for row in rows), default=0)
    # An empty column is of no use, if without it the reasons need not be cut.
    for name in [name for name in SPARED if name in names and not any(row[name].plain for row in rows)]:
        if _taken(rows, [kept for kept in names if kept != WHY]) + max(len(WHY), longest) <= width:
            break
        names.remove(name)
    for name in SPARED:
        rest = [kept for kept in names if kept != WHY]
        if _taken(rows, rest) + max(len(WHY), min(longest, ENOUGH)) <= width:
            break
        names = [kept for kept in names if kept != name]
    return names


def _taken(rows: Sequence[Mapping[str, Text]], names: Sequence[str]) -> int:
    """Return the width of columns, including the gap after each."""
    return sum(max(len(name), *(row[name].cell_len for row in rows)) + GAP for name in names)
