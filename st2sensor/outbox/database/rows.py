"""Converts entries to rows of the outbox's tables and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from st2sensor.outbox.backlog import Settled
from st2sensor.outbox.entry import ROW_OVERHEAD, Entry

COLUMNS = "message_id, sensor, trigger, trigger_type, created, tagged, body, fence"

SIZE = f"length(CAST(body AS BLOB)) + length(trigger) + {ROW_OVERHEAD}"
"""SQL expression for `size_of` of a row."""

CONTENTS = f"SELECT min(id), max(id), count(*), total({SIZE}) FROM outbox WHERE held IS {{}} NULL"

PAGE, PAGE_BYTES = 500, 4_000_000
"""The maximum numbers of rows and of bytes that are read at a time; a single row may be larger."""


def page(connection: sqlite3.Connection, table: str, after: int) -> list[int]:
    """Return the ids of the next rows of a table: as many as should be in memory together, and at least one."""
    found: list[int] = []
    size = 0
    query = f"SELECT id, {SIZE} FROM {table} WHERE id > ? ORDER BY id LIMIT {PAGE}"
    for identifier, bytes_ in connection.execute(query, (after,)):
        size += bytes_
        if found and size > PAGE_BYTES:
            break
        found.append(identifier)
    return found


def committed_column(connection: sqlite3.Connection) -> str:
    """Return the SQL expression for when a row of the outbox was put on disk. An earlier version has no such column."""
    columns = connection.execute("PRAGMA table_info(outbox)")
    return "committed" if any(row[1] == "committed" for row in columns) else "NULL"


def columns_of(entry: Entry) -> tuple[object, ...]:
    """Return an entry's values of COLUMNS."""
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


def entry_of(columns: Sequence[Any], reason: str | None = None, *, is_unrouted: bool = False) -> Entry:
    """Return the entry with these values of COLUMNS."""
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
        is_unrouted=is_unrouted,
    )


def contents(connection: sqlite3.Connection) -> tuple[int, int, int, int, int, int]:
    """Return the result of `Store.contents`."""
    first, last, depth, size = connection.execute(CONTENTS.format("")).fetchone()
    _, last_held, held, held_size = connection.execute(CONTENTS.format("NOT")).fetchone()
    given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    highest = max(given[0] if given else 0, last or 0, last_held or 0)
    return (highest if first is None else first - 1), highest, depth, int(size), held, int(held_size)


def ranges(settled: Iterable[Settled]) -> list[tuple[int, int]]:
    """Return the ranges of ids without gaps, as pairs of first and last id."""
    found: list[tuple[int, int]] = []
    for number in sorted(item.id for item in settled):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
