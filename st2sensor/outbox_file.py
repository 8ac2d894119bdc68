"""The file behind an outbox: its tables, opening and checking it, and setting a damaged one aside."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.errors import OutboxDamaged, OutboxError

SYNCHRONOUS = {"full": "FULL", "process": "NORMAL"}
"""SQLite's word for a durability."""

TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    trigger_type TEXT NOT NULL, created REAL NOT NULL, tagged INTEGER NOT NULL, body TEXT NOT NULL, fence INTEGER
);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    trigger_type TEXT NOT NULL, created REAL NOT NULL, tagged INTEGER NOT NULL, body TEXT NOT NULL,
    reason TEXT NOT NULL, fence INTEGER
);
"""
COLUMNS = "message_id, sensor, trigger, trigger_type, created, tagged, body, fence"
INSERT = f"INSERT INTO outbox (id, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
BURY = f"INSERT INTO dead_letters ({COLUMNS}, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT = f"SELECT id, {COLUMNS} FROM outbox WHERE id > ? ORDER BY id LIMIT ?"
PRUNE_OLD = "DELETE FROM dead_letters WHERE created < ?"
PRUNE_MANY = "DELETE FROM dead_letters WHERE id <= (SELECT id FROM dead_letters ORDER BY id DESC LIMIT 1 OFFSET ?)"


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


def open_file(path: Path, durability: str) -> sqlite3.Connection:
    """Open the file, and make it and its tables when missing. Raises OutboxError, and OutboxDamaged for no database."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.executescript(TABLES)
        _add_fences(connection)
    except sqlite3.DatabaseError as exception:
        if isinstance(exception, sqlite3.OperationalError):
            raise OutboxError(
                f"cannot use the outbox {path}: {exception}; make it readable and writable"
            ) from exception
        raise _damaged(path, exception) from exception
    except OSError as exception:
        raise OutboxError(f"cannot use the outbox {path}: {exception}; make it readable and writable") from exception
    return connection


def _add_fences(connection: sqlite3.Connection) -> None:
    """To the tables of an earlier version."""
    for table in ("outbox", "dead_letters"):
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if "fence" not in columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN fence INTEGER")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Find damage at the start, rather than when a page of it is needed. Raises OutboxDamaged."""
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as exception:
        raise _damaged(path, exception) from exception
    if verdict != "ok":
        raise _damaged(path, verdict)


def _damaged(path: Path, reason: object) -> OutboxDamaged:
    return OutboxDamaged(
        f"the outbox {path} is damaged: {reason}; what waits in it may be lost. Repair it with sqlite3's .recover, "
        "or start once with --set-aside-damaged-outbox, which keeps it under another name"
    )


def set_aside(path: Path) -> Path | None:
    """Rename an outbox that is damaged, with its journal; returns its new name, or None when it is sound.

    Raises OutboxError when the file cannot be used for another reason.
    """
    try:
        with closing(open_file(path, "full")) as connection:
            check(connection, path)
    except OutboxDamaged:
        pass
    else:
        return None
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("-wal", "-shm", ""):
        journal = path.with_name(path.name + suffix)
        if journal.exists():
            journal.rename(aside.with_name(aside.name + suffix))
    return aside


def contents(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """The id before the first row that waits, the last id ever given, and how many rows wait.

    A file that was repaired may have gaps, and may have forgotten which ids it has given.
    """
    first, last, depth = connection.execute("SELECT min(id), max(id), count(*) FROM outbox").fetchone()
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    given = max(row[0] if row else 0, last or 0)
    return (given if first is None else first - 1), given, depth


def prune(connection: sqlite3.Connection, *, max_age: float, max_number: int) -> int:
    """Delete dead letters that are too old, in seconds, or too many; returns how many are left."""
    connection.execute(PRUNE_OLD, (time.time() - max_age,))
    connection.execute(PRUNE_MANY, (max_number,))
    (left,) = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
    return int(left)


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
