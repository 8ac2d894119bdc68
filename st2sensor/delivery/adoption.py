"""Adopts the entries of outboxes that containers of single sensors have left behind.

A container of one sensor (`--sensor-ref`) has its own state directory below the daemon's. It may end before the broker
has everything, and no later container would use that directory. So the daemon adopts such entries when it starts, in a
separate thread, because adoption must wait while the outbox is full. New events of the same sensor wait behind the
adopted ones.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from st2sensor.errors import OutboxError
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.place import prepare
from st2sensor.outbox.database.rows import COLUMNS, entry_of, page
from st2sensor.outbox.entry import Entry, flaw_of
from st2sensor.outbox.outbox import Outbox

LOG = logging.getLogger("st2sensor.delivery")


def start(state_dir: Path, outbox: Outbox) -> None:
    """Start moving the entries of abandoned outboxes below state_dir into an open one. Call this before sensors start.

    After a crash during the move some entries are sent twice, with the same message_id.
    """
    found = [(path, stack) for path in sorted(state_dir.glob("*/outbox.db")) if (stack := _held(path)) is not None]
    for path, _ in found:
        # The directory is named after the sensor.
        outbox.expect(path.parent.name)
    if found:
        threading.Thread(target=_adopt, args=(found, outbox), name="adoption", daemon=True).start()


def _held(path: Path) -> ExitStack | None:
    """Lock an outbox's directory. Returns None if its container is running."""
    with ExitStack() as stack:
        try:
            lock = stack.enter_context((path.parent / "lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError as exception:
            LOG.warning("cannot adopt the triggers in %s: %s", path, exception)
            return None
        return stack.pop_all()


def _adopt(found: Sequence[tuple[Path, ExitStack]], outbox: Outbox) -> None:
    for path, stack in found:
        try:
            with stack:
                moved = _adopt_one(path, outbox)
        except (OSError, sqlite3.Error, OutboxError) as exception:
            LOG.warning("cannot adopt the triggers in %s: %s", path, exception)
        else:
            if moved:
                LOG.info("adopted %d triggers of an earlier container from %s", moved, path)
        finally:
            outbox.arrived(path.parent.name)


def _adopt_one(path: Path, outbox: Outbox) -> int:
    prepare(path)
    with closing(open_file(path, "full")) as connection:
        connection.text_factory = lambda raw: raw.decode(errors="replace")
        return _move(connection, "outbox", "NULL, 0", outbox) + _move(
            connection, "dead_letters", "reason, unrouted", outbox
        )


def _move(connection: sqlite3.Connection, table: str, fate: str, outbox: Outbox) -> int:
    moved, after = 0, 0
    while ids := page(connection, table, after):
        first, after = ids[0], ids[-1]
        query = f"SELECT {fate}, {COLUMNS} FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id"
        entries = [
            entry_of(row[2:], reason=row[0], is_unrouted=bool(row[1]))
            for row in connection.execute(query, (first, after))
        ]
        good = _good(entries)
        outbox.put(good, is_left=True)
        connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", (first, after))
        moved += len(good)
    return moved


def _good(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that can be stored. A repaired file may hold other entries, which are dropped."""
    good = []
    for entry in entries:
        flaw = flaw_of(entry)
        if flaw:
            LOG.warning("dropped a trigger of an earlier container: %s", flaw)
        else:
            good.append(entry)
    return good
