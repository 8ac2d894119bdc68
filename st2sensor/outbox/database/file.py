"""The file behind an outbox: its tables, and opening and checking it."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from st2sensor.errors import OutboxDamaged, OutboxError

SYNCHRONOUS = {"full": "FULL", "process": "NORMAL"}
"""SQLite's word for a durability."""

INCREMENTAL = 2
"""SQLite's number for a file that gives free pages back in steps."""

TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    trigger_type TEXT NOT NULL, created REAL NOT NULL, tagged INTEGER NOT NULL, body TEXT NOT NULL, fence INTEGER
);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    trigger_type TEXT NOT NULL, created REAL NOT NULL, tagged INTEGER NOT NULL, body TEXT NOT NULL,
    reason TEXT NOT NULL, fence INTEGER, buried REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS run_clock (id INTEGER PRIMARY KEY CHECK (id = 1), seconds REAL NOT NULL);
INSERT OR IGNORE INTO run_clock VALUES (1, 0);
"""
ADDED = (
    ("outbox", "fence", "INTEGER"),
    ("dead_letters", "fence", "INTEGER"),
    ("dead_letters", "buried", "REAL NOT NULL DEFAULT 0"),
)
"""Columns that tables of earlier versions do not have."""

COLUMNS = "message_id, sensor, trigger, trigger_type, created, tagged, body, fence"

REASON_LIMIT = 500
"""Characters of a dead letter's reason."""

ROW_OVERHEAD = 200
"""Bytes that a row takes besides its body and the name of its trigger, roughly."""

SIZE = f"length(CAST(body AS BLOB)) + length(trigger) + {ROW_OVERHEAD}"
"""`size_of`, of a row."""

PAGE, PAGE_BYTES = 500, 4_000_000
"""Rows that are read at a time, and bytes of them, unless it is a single one."""

TEXTS = ("message_id", "sensor", "trigger", "trigger_type", "body")
"""Fields of an entry."""

INTEGERS = range(-(1 << 63), 1 << 63)
"""What SQLite takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A trigger instance on its way.

    :param trigger: the trigger's reference, for people.
    :param trigger_type: the reference of its type.
    :param created: seconds since the epoch.
    :param body: its JSON form.
    :param tagged: whether its payload holds more than JSON.
    :param reason: why it must not be published; None for one that is.
    :param fence: of the lease under which it was dispatched; None where sensors are not shared.
    """

    message_id: str
    sensor: str
    trigger: str
    trigger_type: str
    created: float
    body: str
    tagged: bool = False
    reason: str | None = None
    fence: int | None = None


def size_of(entry: Entry) -> int:
    """Bytes that an entry takes on disk, roughly."""
    body = entry.body
    return (len(body) if body.isascii() else len(body.encode())) + len(entry.trigger) + ROW_OVERHEAD


def flaw_of(entry: Entry) -> str:
    """Why an entry cannot be kept, without its values; empty for one that can. Its fields may hold anything."""
    texts = (entry.message_id, entry.sensor, entry.trigger, entry.trigger_type, entry.body)
    for name, text in zip(TEXTS, texts, strict=True):
        if type(text) is not str:
            return f"its {name} is {type(text).__name__}, not text"
        if not text.isascii() and not _is_encodable(text):
            return f"its {name} holds lone surrogates"
    if type(entry.created) not in (float, int) or not math.isfinite(entry.created):
        return "its created is not a number of seconds"
    if entry.fence is None and entry.reason is None:
        return ""
    if entry.fence is not None and (type(entry.fence) is not int or entry.fence not in INTEGERS):
        return "its fence is not an integer of 8 bytes"
    if entry.reason is not None and (type(entry.reason) is not str or not _is_encodable(entry.reason)):
        return "its reason is not text"
    return ""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def in_short(reason: str) -> str:
    """A reason, cut off where it is too long to be kept."""
    return reason if len(reason) <= REASON_LIMIT else f"{reason[: REASON_LIMIT - 3]}..."


def open_file(path: Path, durability: str) -> sqlite3.Connection:
    """Open the file, and make it and its tables when missing. Raises OutboxError, and OutboxDamaged for no database."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as exception:
        raise _unusable(path, exception) from exception
    try:
        # Of a new file; an earlier one is converted when it is small.
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("PRAGMA journal_mode = WAL")
        # Some builds overwrite all that is deleted: deleting would then take as much room as what it frees.
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.executescript(TABLES)
        _add_columns(connection)
    except sqlite3.DatabaseError as exception:
        connection.close()
        if isinstance(exception, sqlite3.OperationalError):
            raise _unusable(path, exception) from exception
        raise _damaged(path, exception) from exception
    return connection


def _unusable(path: Path, exception: Exception) -> OutboxError:
    return OutboxError(f"cannot use the outbox {path}: {exception}; make it readable and writable")


def _add_columns(connection: sqlite3.Connection) -> None:
    """To the tables of an earlier version."""
    for table, column, kind in ADDED:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def check(path: Path) -> None:
    """Find damage at the start, rather than when a page of it is needed; what is there is not touched.

    Raises OutboxDamaged.
    """
    if not path.exists():
        return
    # Closing a connection that may write would delete the journal of a file that is no database.
    with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError:
            # It is told by who writes to it.
            return
        except sqlite3.DatabaseError as exception:
            raise _damaged(path, exception) from exception
    if verdict != "ok":
        raise _damaged(path, verdict)


def _damaged(path: Path, reason: object) -> OutboxDamaged:
    return OutboxDamaged(
        f"the outbox {path} is damaged: {reason}; what waits in it may be lost. Repair it with sqlite3's .recover, "
        "or start once with --set-aside-damaged-outbox, which keeps it under another name"
    )


def page(connection: sqlite3.Connection, table: str, after: int) -> list[int]:
    """Ids of the next rows of a table, no more of them than can be held in memory together, and at least one."""
    found: list[int] = []
    size = 0
    query = f"SELECT id, {SIZE} FROM {table} WHERE id > ? ORDER BY id LIMIT {PAGE}"
    for identifier, bytes_ in connection.execute(query, (after,)):
        size += bytes_
        if found and size > PAGE_BYTES:
            break
        found.append(identifier)
    return found


def columns_of(entry: Entry) -> tuple[object, ...]:
    """The values of COLUMNS."""
    return (
        entry.message_id,
        entry.sensor,
        entry.trigger,
        entry.trigger_type,
        entry.created,
        entry.tagged,
        entry.body,
        entry.fence,
    )


def entry_of(columns: Sequence[Any], reason: str | None = None) -> Entry:
    """The entry in the values of COLUMNS."""
    message_id, sensor, trigger, trigger_type, created, tagged, body, fence = columns
    return Entry(
        message_id=message_id,
        sensor=sensor,
        trigger=trigger,
        trigger_type=trigger_type,
        created=created,
        tagged=bool(tagged),
        body=body,
        reason=reason,
        fence=fence,
    )
