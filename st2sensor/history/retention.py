"""Deletes the oldest events once the history exceeds a limit, or once it leaves too little space on the disk."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from st2sensor.history.file import PAGE
from st2sensor.history.rows import MICROSECONDS
from st2sensor.outbox.database.shrinking import STEP, empty_journal, shrink
from st2sensor.settings import History as Options

DAY = 86400.0
"""Seconds."""

AT_ONCE = 2000
"""Maximum number of events that one commit deletes."""

PART = 16
"""One in this many events is deleted at a time from a history that is too large."""

TIME = 0.1
"""Maximum number of seconds of one run. Events wait meanwhile."""

DROPPED_SHARE = 8
"""On a full disk, one in this many events is dropped, the oldest first."""

SPACE_KEPT, SPACE_SHARE = 32_000_000, 20
"""The history leaves at least this many bytes of the disk free for the outbox, or one part in SPACE_SHARE of a small
disk."""


class Retention:
    """Keeps a history within its limits. For the history's thread. Methods raise sqlite3.Error and OSError."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._options = options

    def run(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete events that are too old or too many, for at most TIME.

        :param now: seconds since the epoch.
        """
        until = time.monotonic() + TIME
        oldest = int((now - self._options.max_age * DAY) * MICROSECONDS)
        while time.monotonic() < until:
            through = self._too_old(connection, oldest)
            if through is None and self._size(connection) > self._options.max_bytes:
                through = _first(connection, min(AT_ONCE, _number(connection) // PART + 1))
            if through is None:
                break
            _delete(connection, through)
        while time.monotonic() < until and shrink(connection) >= STEP:
            pass

    def lacks_space(self) -> bool:
        """Return whether the disk has so little space left that the outbox may soon have none."""
        disk = os.statvfs(self._path.parent)
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        return free < min(SPACE_KEPT, total // SPACE_SHARE)

    def give_way(self, connection: sqlite3.Connection) -> int:
        """Drop the oldest part of the history, and give its space back to the disk. Return the number of events."""
        number = _number(connection)
        wanted = number // DROPPED_SHARE + 1 if number else 0
        with suppress(sqlite3.Error):
            empty_journal(connection)
        dropped = 0
        while dropped < wanted and (through := _first(connection, min(AT_ONCE, wanted - dropped))) is not None:
            dropped += _delete(connection, through)
            while shrink(connection, kept=0) >= STEP:
                empty_journal(connection)
            empty_journal(connection)
        return dropped

    def _too_old(self, connection: sqlite3.Connection, oldest: int) -> int | None:
        """Return the id through which events are too old; None if there are none."""
        query = f"SELECT seq, created + settled FROM events ORDER BY seq LIMIT {AT_ONCE}"
        through = None
        for seq, settled in connection.execute(query):
            if settled >= oldest:
                break
            through = seq
        return through

    @staticmethod
    def _size(connection: sqlite3.Connection) -> int:
        """Return the bytes of the pages in use."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * PAGE


def _number(connection: sqlite3.Connection) -> int:
    """Return about how many events there are, without counting them."""
    first, last = connection.execute("SELECT min(seq), max(seq) FROM events").fetchone()
    return 0 if first is None else int(last - first) + 1


def _first(connection: sqlite3.Connection, number: int) -> int | None:
    """Return the id of the last of the oldest events; None if there are none."""
    query = "SELECT max(seq) FROM (SELECT seq FROM events ORDER BY seq LIMIT ?)"
    (through,) = connection.execute(query, (number,)).fetchone()
    return None if through is None else int(through)


def _delete(connection: sqlite3.Connection, through: int) -> int:
    connection.execute("BEGIN")
    try:
        connection.execute(
            "DELETE FROM replays WHERE message_id IN (SELECT message_id FROM events WHERE seq <= ?)", (through,)
        )
        number = connection.execute("DELETE FROM events WHERE seq <= ?", (through,)).rowcount
        connection.execute("DELETE FROM gaps WHERE after < ?", (through,))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return int(number)
