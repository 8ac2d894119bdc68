"""Takes over what waits in outboxes that containers of single sensors have left behind.

A container of one sensor (`--sensor-ref`) has a state directory of its own below the daemon's. It may end before the
broker has everything; nobody would look there again. The daemon does, when it starts.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from st2sensor.outbox import Outbox
from st2sensor.outbox_file import COLUMNS, entry_of

LOG = logging.getLogger(__name__)


def adopt(state_dir: Path, outbox: Outbox) -> int:
    """Move the entries of abandoned outboxes below state_dir into an open one; returns how many there were.

    A crash in between moves some of them twice, with the same message_id.
    """
    return sum(_adopt_one(path, outbox) for path in sorted(state_dir.glob("*/outbox.db")))


def _adopt_one(path: Path, outbox: Outbox) -> int:
    with (path.parent / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Its container runs.
            return 0
        try:
            with closing(sqlite3.connect(path)) as connection:
                return _move(connection, outbox)
        except sqlite3.Error as exception:
            LOG.warning("the outbox %s cannot be adopted: %s", path, exception)
            return 0


def _move(connection: sqlite3.Connection, outbox: Outbox) -> int:
    waiting = connection.execute(f"SELECT {COLUMNS} FROM outbox ORDER BY id").fetchall()
    dead = connection.execute(f"SELECT reason, {COLUMNS} FROM dead_letters ORDER BY id").fetchall()
    entries = [entry_of(row) for row in waiting] + [entry_of(row[1:], reason=row[0]) for row in dead]
    settled = threading.Semaphore(0)
    failures: list[Exception] = []

    def done(error: Exception | None) -> None:
        if error is not None:
            failures.append(error)
        settled.release()

    for entry in entries:
        outbox.submit(entry, done)
    for _ in entries:
        settled.acquire()
    if failures:
        LOG.warning("%s", failures[0])
        return 0
    with connection:
        connection.execute("DELETE FROM outbox")
        connection.execute("DELETE FROM dead_letters")
    return len(entries)
