"""Trigger instances on disk until the broker has them: what dispatch() returned for survives every crash.

SQLite in WAL mode. One writer thread commits what has come in since the last commit together (group commit) and tells
each submitter; confirmed rows are deleted in a later commit. The newest rows are also kept in memory, so that delivery
reads the disk only when it is behind. Used by the container.
"""

from __future__ import annotations

import enum
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.errors import OutboxError
from st2sensor.outbox_file import (
    BURY,
    INSERT,
    PRUNE_MANY,
    PRUNE_OLD,
    SELECT,
    Entry,
    check,
    columns_of,
    contents,
    entry_of,
    open_file,
    transaction,
)
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger(__name__)

BATCH = 1000
"""Entries in one commit, at the most."""

TAIL = 2000
"""Rows kept in memory."""

LAZY_DELETE = 0.2
"""Seconds that confirmed rows may wait for a commit to ride in."""

DELETED_TOGETHER = 200
"""Confirmed rows that are not kept waiting."""

DAY = 86400.0
"""Seconds."""

RETRY = 1.0
"""Seconds before a failed commit is tried again."""

Done = Callable[[Exception | None], None]
"""Told, in the writer's thread, that an entry is on disk, or why it never will be. Must not raise or wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry in the outbox, in the order of ids."""

    id: int
    entry: Entry


class _Signal(enum.Enum):
    """What the writer is told beside entries."""

    CONFIRMED = "rows wait to be deleted"
    CLOSE = "commit what is left and end"


_Item = tuple[Entry, Done] | _Signal


class Outbox:
    """Holds at most `options.max_size` entries: when it is full, what is submitted waits, and is told of later.

    :param path: the database file.

    Raises OutboxError when the file cannot be used.
    """

    def __init__(self, path: Path, options: Options | None = None) -> None:
        self._path = path
        self._options = options or Options()
        self._incoming: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._tail: deque[Row] = deque(maxlen=TAIL)
        self._confirmed = self._deleted = 0
        self._closing = threading.Event()
        self._full = False
        self._held: deque[tuple[Entry, Done]] = deque()
        """What waits for room, in the order of submission; for the writer."""
        self._connection = open_file(path, self._options.durability)
        check(self._connection, path)
        self._last_id, self._depth = contents(self._connection)
        self._reader = open_file(path, self._options.durability)
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    @property
    def cursor(self) -> int:
        """Where delivery starts: the id before the first entry that waits."""
        with self._changed:
            return self._last_id - self._depth

    @property
    def depth(self) -> int:
        """How many entries wait for the broker."""
        with self._changed:
            return self._depth

    def submit(self, entry: Entry, done: Done) -> None:
        """Take an entry to be committed; done is told once it is. From any thread."""
        self._incoming.put((entry, done))

    def read(self, after: int, limit: int, timeout: float) -> list[Row]:
        """Rows with a greater id, in order; waits up to timeout seconds for the first. For the delivery thread.

        Raises OutboxError when the file cannot be read.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._last_id > after, timeout)
            if self._last_id <= after:
                return []
            if self._tail and self._tail[0].id <= after + 1:
                start = after + 1 - self._tail[0].id
                return [self._tail[index] for index in range(start, min(start + limit, len(self._tail)))]
        try:
            return [_row(row) for row in self._reader.execute(SELECT, (after, limit))]
        except sqlite3.Error as exception:
            raise OutboxError(f"cannot read the outbox {self._path}: {exception}") from exception

    def wake(self) -> None:
        """End a wait in `read`."""
        with self._changed:
            self._changed.notify_all()

    def confirm(self, through: int, count: int) -> None:
        """The broker has `count` more rows, all up to id `through`; they are deleted soon."""
        with self._changed:
            self._confirmed = through
            self._depth -= count
            self._changed.notify_all()
        self._incoming.put(_Signal.CONFIRMED)

    def wait_empty(self, timeout: float) -> bool:
        """Wait until the broker has everything."""
        with self._changed:
            return self._changed.wait_for(lambda: self._depth == 0, timeout)

    def close(self) -> None:
        """Commit what was submitted and close; entries that wait for the broker stay on disk."""
        self._closing.set()
        self._incoming.put(_Signal.CLOSE)
        self._writer.join()
        self._connection.close()
        self._reader.close()

    def _write(self) -> None:
        running = True
        while running:
            batch = self._next_batch()
            running = _Signal.CLOSE not in batch
            self._held.extend(item for item in batch if not isinstance(item, _Signal))
            self._commit(self._admitted())
        self._refuse_held()

    def _next_batch(self) -> list[_Item]:
        """Wait for entries, for room, or for deletes to fall due, and take all there are."""
        due = time.monotonic() + LAZY_DELETE if self._confirmed > self._deleted else None
        batch: list[_Item] = []
        try:
            while not batch:
                item = self._incoming.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
                if item is not _Signal.CONFIRMED:
                    batch.append(item)
                elif self._held or self._confirmed - self._deleted >= DELETED_TOGETHER:
                    break
                else:
                    due = due or time.monotonic() + LAZY_DELETE
            while len(batch) < BATCH:
                item = self._incoming.get_nowait()
                if item is not _Signal.CONFIRMED:
                    batch.append(item)
        except queue.Empty:
            pass
        return batch

    def _admitted(self) -> list[tuple[Entry, Done]]:
        """Take what there is room for, dead letters included, which need none."""
        with self._changed:
            room = self._options.max_size - self._depth
        batch: list[tuple[Entry, Done]] = []
        while self._held and len(batch) < BATCH and (room > 0 or self._held[0][0].reason is not None):
            batch.append(self._held.popleft())
            room -= batch[-1][0].reason is None
        if self._held and room <= 0 and not self._full:
            sensors = ", ".join(sorted({entry.sensor for entry, _ in self._held}))
            LOG.warning(
                "the outbox %s is full with %d triggers: dispatch() waits in %s until the broker takes some",
                *(self._path, self._options.max_size, sensors),
            )
        if self._full and not self._held:
            LOG.info("the outbox %s has room again", self._path)
        self._full = bool(self._held)
        return batch

    def _refuse_held(self) -> None:
        error = OutboxError(f"the outbox {self._path} is full and closes")
        for _, done in self._held:
            done(error)

    def _commit(self, batch: list[tuple[Entry, Done]]) -> None:
        first = self._last_id + 1
        accepted = [entry for entry, _ in batch if entry.reason is None]
        rows = [Row(id=number, entry=entry) for number, entry in enumerate(accepted, start=first)]
        dead = [entry for entry, _ in batch if entry.reason is not None]
        confirmed = self._confirmed
        if not batch and confirmed == self._deleted:
            return
        error = self._try_commit(rows, dead, confirmed)
        if error is None:
            self._deleted = confirmed
            with self._changed:
                self._tail.extend(rows)
                self._last_id += len(rows)
                self._depth += len(rows)
                self._changed.notify_all()
        for _, done in batch:
            done(error)

    def _try_commit(self, rows: list[Row], dead: list[Entry], confirmed: int) -> OutboxError | None:
        """Commit, however long it takes: while the disk is full, dispatch() waits. Gives up only when closing."""
        complained = False
        while True:
            try:
                with transaction(self._connection) as connection:
                    connection.executemany(INSERT, [(row.id, *columns_of(row.entry)) for row in rows])
                    if dead:
                        self._bury(connection, dead)
                    if confirmed > self._deleted:
                        connection.execute("DELETE FROM outbox WHERE id <= ?", (confirmed,))
            except sqlite3.Error as exception:
                message = f"cannot write the outbox {self._path}: {exception}"
                if self._closing.is_set():
                    return OutboxError(message)
                if not complained:
                    LOG.error("%s; dispatch() waits until it can be written", message)
                    complained = True
                self._closing.wait(RETRY)
            else:
                if complained:
                    LOG.info("the outbox %s can be written again", self._path)
                return None

    def _bury(self, connection: sqlite3.Connection, dead: list[Entry]) -> None:
        connection.executemany(BURY, [(*columns_of(entry), entry.reason) for entry in dead])
        connection.execute(PRUNE_OLD, (time.time() - self._options.dead_letters_max_age * DAY,))
        connection.execute(PRUNE_MANY, (self._options.dead_letters_max_number,))


def _row(columns: tuple[Any, ...]) -> Row:
    return Row(id=columns[0], entry=entry_of(columns[1:]))
