"""Gives room on the disk back once a file holds less than it did: after an outage, or when dead letters are purged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from st2sensor.outbox.database.file import INCREMENTAL

KEPT = 1024
"""Free pages that a file keeps, to be used again."""

STEP = 256
"""Pages that are given back in one commit, at most: so few that they fit into SQLite's cache, and are not written."""

SMALL = 2048
"""Pages in use of a file of an earlier version that is written again as a whole, so that it gives pages back, too."""

BUSY_TIMEOUT = 100
"""Milliseconds that emptying the journal waits for those that read."""


def shrink(connection: sqlite3.Connection, kept: int = KEPT, step: int = STEP) -> int:
    """Give some free pages back; returns how many, of which there may be more when these are `step` or more.

    The file becomes smaller once the journal is emptied. Raises sqlite3.Error.

    :param kept: free pages that stay.
    :param step: pages that are given back in one commit, at most.
    """
    free, pages = _number(connection, "freelist_count"), _number(connection, "page_count")
    if _number(connection, "auto_vacuum") == INCREMENTAL:
        surplus = max(0, free - kept)
        if surplus:
            # Not execute(), which ends after one page: the statement has no columns that it would fetch.
            connection.executescript(f"PRAGMA incremental_vacuum({min(surplus, step)})")
        return min(surplus, step)
    if pages - free <= SMALL:
        # Of an earlier version.
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("VACUUM")
        return free
    return 0


def empty_journal(connection: sqlite3.Connection) -> bool:
    """Write the journal to the database, and cut it off; False while somebody reads. Raises sqlite3.Error."""
    with _patience(connection, BUSY_TIMEOUT):
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


@contextmanager
def _patience(connection: sqlite3.Connection, milliseconds: int) -> Iterator[None]:
    before = _number(connection, "busy_timeout")
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    (value,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)
