"""Opens and checks the file of an outbox, and defines its tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from st2sensor.errors import OutboxDamaged, OutboxError

SYNCHRONOUS = {"full": "FULL", "process": "NORMAL"}
"""SQLite's `synchronous` by `[outbox] durability`."""

INCREMENTAL = 2
"""SQLite's auto_vacuum mode in which a file gives free pages back in steps."""

TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    trigger_type TEXT NOT NULL, created REAL NOT NULL, tagged INTEGER NOT NULL, body TEXT NOT NULL, fence INTEGER,
    committed REAL, held TEXT
);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    trigger_type TEXT NOT NULL, created REAL NOT NULL, tagged INTEGER NOT NULL, body TEXT NOT NULL,
    reason TEXT NOT NULL, fence INTEGER, buried REAL NOT NULL DEFAULT 0, unrouted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS limit_buckets (
    name TEXT PRIMARY KEY, tokens REAL NOT NULL, at REAL NOT NULL, fence INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS limit_counts (
    sensor TEXT NOT NULL, trigger_type TEXT NOT NULL, offered INTEGER NOT NULL, duplicates INTEGER NOT NULL,
    sampled INTEGER NOT NULL, last REAL NOT NULL, PRIMARY KEY (sensor, trigger_type)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS limit_seen (
    message_id TEXT PRIMARY KEY, ends REAL NOT NULL, fence INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS limit_seen_ends ON limit_seen (ends);
CREATE TABLE IF NOT EXISTS run_clock (id INTEGER PRIMARY KEY CHECK (id = 1), seconds REAL NOT NULL);
INSERT OR IGNORE INTO run_clock VALUES (1, 0);
"""
INDEX = "CREATE INDEX IF NOT EXISTS outbox_held ON outbox (held, id) WHERE held IS NOT NULL"
"""Finds the rows that a limit holds. Made once their column is there."""

ADDED = (
    ("outbox", "fence", "INTEGER"),
    ("outbox", "committed", "REAL"),
    ("outbox", "held", "TEXT"),
    ("dead_letters", "fence", "INTEGER"),
    ("dead_letters", "buried", "REAL NOT NULL DEFAULT 0"),
    ("dead_letters", "unrouted", "INTEGER NOT NULL DEFAULT 0"),
)
"""Columns that the tables of earlier versions lack."""


def open_file(path: Path, durability: str) -> sqlite3.Connection:
    """Open the file. Create it and its tables if they are missing.

    Raises OutboxError, and OutboxDamaged for a file that is not a database.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as exception:
        raise _unusable(path, exception) from exception
    try:
        # This works for a new file. A file of an earlier version is converted while it is small.
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("PRAGMA journal_mode = WAL")
        # Some builds overwrite deleted rows: deleting would then take as much space as it frees.
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.executescript(TABLES)
        _add_columns(connection)
        connection.execute(INDEX)
    except sqlite3.DatabaseError as exception:
        connection.close()
        if isinstance(exception, sqlite3.OperationalError):
            raise _unusable(path, exception) from exception
        raise _damaged(path, exception) from exception
    return connection


def _unusable(path: Path, exception: Exception) -> OutboxError:
    return OutboxError(f"cannot use the outbox {path}: {exception}; make it readable and writable")


def _add_columns(connection: sqlite3.Connection) -> None:
    """Add missing columns to the tables of an earlier version."""
    for table, column, kind in ADDED:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def check(path: Path) -> None:
    """Find damage at the start, before a damaged page is read. The file is not changed.

    Raises OutboxDamaged.
    """
    if not path.exists():
        return
    # Closing a writable connection would delete the journal of a file that is not a database.
    with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError:
            # The first write reports the error.
            return
        except sqlite3.DatabaseError as exception:
            raise _damaged(path, exception) from exception
    if verdict != "ok":
        raise _damaged(path, verdict)


def _damaged(path: Path, reason: object) -> OutboxDamaged:
    return OutboxDamaged(
        f"the outbox {path} is damaged: {reason}; waiting triggers may be lost. Repair it with sqlite3's .recover, "
        "or start once with --set-aside-damaged-outbox, which keeps it under another name"
    )
