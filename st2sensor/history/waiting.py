"""Reads the events that wait in an outbox, as events without an end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from st2sensor.errors import HistoryError
from st2sensor.history.event import Recorded, State, trace_tag_of
from st2sensor.outbox.database.rows import COLUMNS, committed_column, entry_of
from st2sensor.outbox.entry import Entry

BUSY_TIMEOUT = 5.0
"""Maximum number of seconds to wait for the container's commits."""

LIMIT = 1000
"""Maximum number of waiting events that are read: the newest ones."""


def waiting(outbox: Path, limit: int = LIMIT) -> list[Recorded]:
    """Return the newest events that wait in an outbox, oldest first. Raises HistoryError if it cannot be read.

    :param outbox: the outbox's database; without it, nothing waits.
    """
    if not outbox.is_file():
        return []
    try:
        with closing(sqlite3.connect(outbox, timeout=BUSY_TIMEOUT)) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            query = f"SELECT {committed_column(connection)}, {COLUMNS} FROM outbox ORDER BY id DESC LIMIT ?"
            rows = connection.execute(query, (limit,)).fetchall()
    except sqlite3.Error as exception:
        raise HistoryError(f"cannot read the outbox {outbox}: {exception}") from exception
    return [_event(entry_of(row[1:]), row[0]) for row in reversed(rows)]


def _event(entry: Entry, committed: float | None) -> Recorded:
    return Recorded(
        seq=0,
        message_id=entry.message_id,
        sensor=entry.sensor,
        trigger=entry.trigger,
        trigger_type=entry.trigger_type,
        created=entry.created,
        committed=committed,
        settled=None,
        state=State.WAITING,
        reason="",
        node="",
        fence=entry.fence,
        exchange="",
        routing_key="",
        attempts=0,
        problem="",
        is_late=False,
        trace_tag=trace_tag_of(entry.body),
        tagged=entry.tagged,
        body=entry.body,
    )
