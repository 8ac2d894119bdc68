"""Gives space back to the disk once a file holds less than before: after an outage, or a purge of dead letters."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from st2sensor.outbox.database.file import INCREMENTAL

KEPT = 1024
"""Number of free pages that a file keeps for later use."""

STEP = 256
"""The maximum number of pages that one commit gives back. They fit into SQLite's cache, and need not be written."""

SMALL = 2048
"""The maximum number of used pages of an earlier version's file that is rewritten so that it can give pages back."""

BUSY_TIMEOUT = 100
"""Milliseconds that emptying the journal waits for readers."""


def shrink(connection: sqlite3.Connection, kept: int = KEPT, step: int = STEP) -> int:
    """Give free pages back, and return their number. If it is `step` or more, there may be more free pages.

    The file becomes smaller once the journal is emptied. Raises sqlite3.Error.

    :param kept: the number of free pages to keep.
    :param step: the maximum number of pages to give back in this commit.
    """
    free, pages = _number(connection, "freelist_count"), _number(connection, "page_count")
    if _number(connection, "auto_vacuum") == INCREMENTAL:
        surplus = max(0, free - kept)
        if surplus:
            # Not execute(), which ends after one page because the statement has no columns to fetch.
            connection.executescript(f"PRAGMA incremental_vacuum({min(surplus, step)})")
        return min(surplus, step)
    if pages - free <= SMALL:
        # The file is of an earlier version.
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("VACUUM")
        return free
    return 0


def is_journal_large(path: Path, limit: int) -> bool:
    """Return whether the journal has outgrown its limit in bytes. This happens during a long read of another
    connection."""
    return os.stat(f"{path}-wal").st_size > 2 * limit


def empty_journal(connection: sqlite3.Connection) -> bool:
    """Write the journal to the database, and truncate it. Return False while another connection is reading.

    Raises sqlite3.Error.
    """
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
