"""Opens the history's file, and defines its tables.

Identifiers are stored as bytes, and repeated names as numbers, so that an event takes few bytes besides its payload.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

from st2sensor.errors import HistoryError, HistoryForbidden
from st2sensor.system import private_file

NAME = "history.db"
"""Name of the file in `state_dir`."""

SYNCHRONOUS = {"full": "FULL", "process": "NORMAL"}
"""SQLite's `synchronous` for each `[outbox] durability`. It is as strict as the outbox's, because the outbox deletes a
row once the history has it."""

INCREMENTAL = 2
"""SQLite's auto_vacuum mode in which a file gives free pages back in steps."""

JOURNAL = 8_000_000
"""Bytes at which the journal is written to the database."""

BUSY_TIMEOUT = 5.0
"""Maximum number of seconds to wait for another process that writes, such as a command that replays events."""

PAGE = 4096
"""Bytes of SQLite's pages."""

UUID_SIZE = 16
"""Bytes."""

TABLES = """
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, message_id BLOB NOT NULL UNIQUE, sensor INTEGER NOT NULL,
    trigger INTEGER NOT NULL, trigger_type INTEGER NOT NULL, created INTEGER NOT NULL, committed INTEGER,
    settled INTEGER NOT NULL, state INTEGER NOT NULL, node INTEGER NOT NULL, fence INTEGER, exchange INTEGER,
    routing_key INTEGER, attempts INTEGER NOT NULL, is_late INTEGER NOT NULL, tagged INTEGER NOT NULL, trace TEXT,
    reason TEXT, problem TEXT, body TEXT
);
CREATE INDEX IF NOT EXISTS events_created ON events (created);
CREATE INDEX IF NOT EXISTS events_sensor ON events (sensor, created);
CREATE INDEX IF NOT EXISTS events_type ON events (trigger_type, created);
CREATE INDEX IF NOT EXISTS events_trace ON events (trace) WHERE trace IS NOT NULL;
CREATE TABLE IF NOT EXISTS replays (message_id BLOB NOT NULL, at INTEGER NOT NULL, target TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS replays_id ON replays (message_id);
CREATE TABLE IF NOT EXISTS gaps (
    after INTEGER NOT NULL, at INTEGER NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS private (sensor TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS identity (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL);
"""


def open_file(path: Path, durability: str) -> sqlite3.Connection:
    """Open the file for writing. Create it and its tables if they are missing. Others cannot read it.

    Raises sqlite3.Error and OSError.
    """
    private_file.create(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT)
    try:
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {JOURNAL // PAGE}")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL}")
        connection.executescript(TABLES)
        connection.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (secrets.token_hex(4),))
    except BaseException:
        connection.close()
        raise
    return connection


def open_existing(path: Path) -> sqlite3.Connection:
    """Open the file for reading. Raises HistoryError if there is none, or if it cannot be used."""
    try:
        is_there = path.is_file()
    except OSError as exception:
        raise unreadable(path, exception) from exception
    if not is_there:
        raise HistoryError(
            f"there is no history at {path}: no container has run with this state_dir and [history] enable = true"
        )
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT)
    except sqlite3.Error as exception:
        raise unreadable(path, exception) from exception
    # A repaired file may hold anything.
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    return connection


def unreadable(path: Path, exception: Exception, kind: str = "history") -> HistoryError:
    """Return the error for a file that cannot be read, which says whether this user may read it.

    :param kind: `history` or `outbox`.
    """
    # SQLite says only that it is unable to open the file. Even readers write to the file's journal.
    may_use = os.access(path, os.R_OK | os.W_OK, effective_ids=True)
    if not isinstance(exception, PermissionError) and (may_use or not os.path.exists(path)):
        return HistoryError(f"cannot read the {kind} {path}: {exception}")
    return HistoryForbidden(
        f"cannot read the {kind} {path}: this user may not read and write it; run this as the container's user, or "
        "as root"
    )


def stored_id(message_id: str) -> bytes | str:
    """Return a message_id as it is stored: the 16 bytes of a UUID, or the text of anything else."""
    try:
        raw = bytes.fromhex(message_id)
    except ValueError:
        return message_id
    return raw if len(raw) == UUID_SIZE and raw.hex() == message_id else message_id


def shown_id(stored: bytes | str) -> str:
    """Return a stored message_id as text."""
    return stored.hex() if isinstance(stored, bytes) else stored
