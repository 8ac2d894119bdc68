"""The parts of reports that the status page shows, and the differences between two of them.

A page gets every row once, and then only the fields that have changed. The size of a message is limited. Changes that
do not fit wait for the next message, and changes of states and troubles are sent before changes of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from st2sensor.reports import NodeReport, SensorReport
from st2sensor.trouble import summaries

TEXT_LIMIT = 300
"""Maximum number of characters of a text in a row. `/sensors/REF` has more of it."""

TROUBLES_LIMIT = 3
"""Maximum number of troubles in a row, the most important ones."""

LINES_LIMIT = 20
"""Maximum number of the container's notes in a row."""

URGENT = frozenset({"state", "failing", "troubles", "node"})
"""Fields whose changes are sent first."""

Row = dict[str, Any]


def row_of(report: SensorReport) -> Row:
    """Return the fields of a sensor that the page shows.

    The span that has not ended yet is left out of `recent`, because it would change with each trigger.
    """
    recent = report.recent[:-1]
    idle = next((index for index, count in enumerate(recent) if count), len(recent))
    return {
        "ref": report.ref,
        "state": report.state,
        "failing": report.failing,
        "reason": "" if report.state == "running" else _line(report.reason),
        "troubles": [
            {"kind": item.kind, "level": item.level, "text": _line(item.text), "since": item.since}
            for item in report.troubles[:TROUBLES_LIMIT]
        ],
        "node": report.node,
        "since": report.since,
        "restarts": report.restarts,
        "triggers_per_minute": report.triggers_per_minute,
        "held": report.held,
        "recent": recent[idle:],
        "memory": report.memory,
    }


def node_row_of(report: NodeReport, sensors: Iterable[SensorReport]) -> Row:
    """Return the fields of the container that the page shows.

    :param sensors: sensors whose troubles are in their own rows, so they are omitted from the notes.
    """
    sharing = report.sharing
    told = summaries(sensors)
    return {
        "name": report.name,
        "version": report.version,
        "pid": report.pid,
        "started": report.started,
        "memory": report.memory,
        "checks": [{**asdict(check), "reason": _line(check.reason)} for check in report.checks],
        "notes": [_line(note) for note in report.notes if note not in told][:LINES_LIMIT],
        "outbox_depth": report.outbox_depth,
        "sharing": None
        if sharing is None
        else {
            "up": sharing.nodes.get("up", 0),
            "drained": sharing.drained,
            "sensors": sharing.sensors,
            "held": sharing.held,
        },
    }


def difference(before: Mapping[str, Any], now: Row) -> Row:
    """Return the fields of a row that are new or have changed."""
    return {name: value for name, value in now.items() if name not in before or before[name] != value}


class Differences:
    """The rows that pages have, and the changes that they still lack. For the loop's thread."""

    def __init__(self) -> None:
        self._sent: dict[str, Row] = {}
        self._turns: dict[str, int] = {}
        """The turn in which each row was sent last."""
        self._turn = 0

    @property
    def is_empty(self) -> bool:
        return not self._sent

    def assume(self, rows: Mapping[str, Row]) -> None:
        """Note that all pages have these rows."""
        self._sent = dict(rows)

    def take(self, rows: Mapping[str, Row], room: int) -> tuple[list[Row], list[str], int]:
        """Return changed fields of rows, references of rows that are gone, and how many changes wait.

        :param rows: all rows, as they are now.
        :param room: maximum number of bytes, as JSON. At least one change is returned, so that none waits forever.
        """
        self._turn += 1
        gone: list[str] = []
        chosen: list[Row] = []
        missing = [ref for ref in self._sent if ref not in rows]
        for ref in missing:
            room -= len(orjson.dumps(ref)) + 1
            if room < 0 and gone:
                break
            gone.append(ref)
            del self._sent[ref]
            self._turns.pop(ref, None)
        changes = self._changes(rows)
        for ref, changed in changes:
            room -= len(orjson.dumps(changed)) + 1
            if room < 0 and (chosen or gone):
                break
            chosen.append(changed)
            self._sent[ref] = rows[ref]
            self._turns[ref] = self._turn
        return chosen, gone, len(missing) - len(gone) + len(changes) - len(chosen)

    def _changes(self, rows: Mapping[str, Row]) -> Sequence[tuple[str, Row]]:
        """Return the changed fields of each row: urgent ones first, then the rows that have waited longest."""
        found = []
        for ref, row in rows.items():
            changed = difference(self._sent.get(ref, {}), row)
            if changed:
                place = (URGENT.isdisjoint(changed), self._turns.get(ref, 0))
                found.append((place, ref, {"ref": ref, **changed}))
        found.sort(key=lambda item: item[0])
        return [(ref, changed) for _, ref, changed in found]


def _line(text: str) -> str:
    """Return the first line of a text, shortened."""
    line = text.partition("\n")[0]
    return line if len(line) <= TEXT_LIMIT else f"{line[: TEXT_LIMIT - 1]}…"
