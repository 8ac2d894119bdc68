"""Takes over what waits in outboxes that containers of single sensors have left behind.

A container of one sensor (`--sensor-ref`) has a state directory of its own below the daemon's. It may end before the
broker has everything; nobody would look there again. The daemon does, when it starts, in a thread of its own: with a
full outbox it waits for room like everybody.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from st2sensor.errors import OutboxError
from st2sensor.outbox import Outbox
from st2sensor.outbox_file import COLUMNS, entry_of, open_file

LOG = logging.getLogger(__name__)

PAGE = 500
"""Entries moved at a time."""


def start(state_dir: Path, outbox: Outbox) -> None:
    """Begin to move the entries of abandoned outboxes below state_dir into an open one.

    A crash in between moves some of them twice, with the same message_id.
    """
    found = sorted(state_dir.glob("*/outbox.db"))
    if found:
        threading.Thread(target=_adopt, args=(found, outbox), name="adoption", daemon=True).start()


def _adopt(paths: list[Path], outbox: Outbox) -> None:
    for path in paths:
        try:
            moved = _adopt_one(path, outbox)
        except (OSError, sqlite3.Error, OutboxError) as exception:
            LOG.warning("what waits in %s cannot be adopted: %s", path, exception)
            continue
        if moved:
            LOG.info("%d triggers of an earlier container, from %s, are delivered from here", moved, path)


def _adopt_one(path: Path, outbox: Outbox) -> int:
    with (path.parent / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Its container runs.
            return 0
        with closing(open_file(path, "full")) as connection:
            return _move(connection, "outbox", "NULL", outbox) + _move(connection, "dead_letters", "reason", outbox)


def _move(connection: sqlite3.Connection, table: str, reason: str, outbox: Outbox) -> int:
    moved = 0
    query = f"SELECT id, {reason}, {COLUMNS} FROM {table} ORDER BY id LIMIT {PAGE}"
    while rows := connection.execute(query).fetchall():
        outbox.put([entry_of(row[2:], reason=row[1]) for row in rows])
        with connection:
            connection.execute(f"DELETE FROM {table} WHERE id <= ?", (rows[-1][0],))
        moved += len(rows)
    return moved
