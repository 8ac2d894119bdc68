"""Reads the events that wait in an outbox, as events without an end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from st2sensor.history.event import Recorded, State, recorded
from st2sensor.history.file import unreadable
from st2sensor.outbox.database.rows import COLUMNS, committed_column, entry_of

BUSY_TIMEOUT = 5.0
"""Maximum number of seconds to wait for the container's commits."""

LIMIT = 1000
"""Maximum number of waiting events that are read: the newest ones."""


DROPPED = (
    "SELECT sensor, trigger_type, duplicates, sampled FROM limit_counts "
    "WHERE duplicates > 0 OR sampled > 0 ORDER BY 1, 2"
)


class Dropped(NamedTuple):
    """Numbers of events that limits have dropped: repeats, and events left out of a sample."""

    sensor: str
    trigger_type: str
    duplicates: int
    sampled_out: int


def waiting(outbox: Path, limit: int = LIMIT) -> list[Recorded]:
    """Return the newest events that wait in an outbox, oldest first. Raises HistoryError if it cannot be read.

    :param outbox: the outbox's database; without it, nothing waits.
    """
    try:
        if not outbox.is_file():
            return []
        with closing(sqlite3.connect(outbox, timeout=BUSY_TIMEOUT)) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            held = "held" if _has_limits(connection) else "NULL"
            query = f"SELECT {held}, {committed_column(connection)}, {COLUMNS} FROM outbox ORDER BY id DESC LIMIT ?"
            rows = connection.execute(query, (limit,)).fetchall()
    except (sqlite3.Error, OSError) as exception:
        raise unreadable(outbox, exception, "outbox") from exception
    return [
        recorded(entry_of(row[2:]), State.WAITING if row[0] is None else State.HELD, row[1]) for row in reversed(rows)
    ]


def dropped(outbox: Path) -> list[Dropped]:
    """Return how many events limits have dropped, by sensor and trigger type. Raises HistoryError."""
    try:
        if not outbox.is_file():
            return []
        with closing(sqlite3.connect(outbox, timeout=BUSY_TIMEOUT)) as connection:
            if not _has_limits(connection):
                return []
            return [Dropped(*row) for row in connection.execute(DROPPED)]
    except (sqlite3.Error, OSError) as exception:
        raise unreadable(outbox, exception, "outbox") from exception


def _has_limits(connection: sqlite3.Connection) -> bool:
    """Return whether the file knows limits: an earlier version may have made it."""
    return any(row[1] == "held" for row in connection.execute("PRAGMA table_info(outbox)"))
