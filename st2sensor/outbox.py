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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from st2sensor.errors import OutboxError

LOG = logging.getLogger(__name__)

BATCH = 1000
"""Entries in one commit, at the most."""

TAIL = 2000
"""Rows kept in memory."""

LAZY_DELETE = 0.2
"""Seconds that confirmed rows may wait for a commit to ride in."""

RETRY = 1.0
"""Seconds before a failed commit is tried again."""

TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    created REAL NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL, trigger TEXT NOT NULL,
    created REAL NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL
);
"""
INSERT = "INSERT INTO outbox (id, message_id, sensor, trigger, created, body) VALUES (?, ?, ?, ?, ?, ?)"
BURY = "INSERT INTO dead_letters (message_id, sensor, trigger, created, body, reason) VALUES (?, ?, ?, ?, ?, ?)"
SELECT = "SELECT id, message_id, sensor, trigger, created, body FROM outbox WHERE id > ? ORDER BY id LIMIT ?"

Done = Callable[[Exception | None], None]
"""Told that an entry is on disk, or why it never will be."""

Notify = Callable[[Sequence[tuple[Done, Exception | None]]], None]
"""Called in the writer thread after a commit, with whom to tell what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A trigger instance on its way.

    :param trigger: the trigger's reference, for people.
    :param created: seconds since the epoch.
    :param body: its JSON form.
    :param reason: why it must not be published; None for one that is.
    """

    message_id: str
    sensor: str
    trigger: str
    created: float
    body: str
    reason: str | None = None


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
    """:param path: the database file; :param notify: hands the answers of a commit to their submitters.

    Raises OutboxError when the file cannot be used.
    """

    def __init__(self, path: Path, notify: Notify) -> None:
        self._path = path
        self._notify = notify
        self._incoming: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._tail: deque[Row] = deque(maxlen=TAIL)
        self._confirmed = self._deleted = 0
        self._closing = threading.Event()
        self._connection = _open(path)
        self._last_id, self._depth = _contents(self._connection)
        self._reader = _open(path)
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    @property
    def depth(self) -> int:
        """How many entries wait for the broker."""
        with self._changed:
            return self._depth

    def submit(self, entry: Entry, done: Done) -> None:
        """Take an entry to be committed; done is told once it is. From any thread."""
        self._incoming.put((entry, done))

    def read(self, after: int, limit: int, timeout: float) -> list[Row]:
        """Rows with a greater id, in order; waits up to timeout seconds for the first. For the delivery thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._last_id > after, timeout)
            if self._last_id <= after:
                return []
            if self._tail and self._tail[0].id <= after + 1:
                start = after + 1 - self._tail[0].id
                return [self._tail[index] for index in range(start, min(start + limit, len(self._tail)))]
        return [_row(row) for row in self._reader.execute(SELECT, (after, limit))]

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
            self._commit([item for item in batch if not isinstance(item, _Signal)])

    def _next_batch(self) -> list[_Item]:
        """Wait for entries, or for deletes to fall due, and take all there are."""
        due = time.monotonic() + LAZY_DELETE if self._confirmed > self._deleted else None
        batch: list[_Item] = []
        try:
            while not batch:
                item = self._incoming.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
                if item is _Signal.CONFIRMED:
                    due = due or time.monotonic() + LAZY_DELETE
                else:
                    batch.append(item)
            while len(batch) < BATCH:
                batch.append(self._incoming.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _commit(self, batch: list[tuple[Entry, Done]]) -> None:
        rows = [
            Row(id=self._last_id + number, entry=entry)
            for number, entry in enumerate((entry for entry, _ in batch if entry.reason is None), start=1)
        ]
        dead = [entry for entry, _ in batch if entry.reason is not None]
        confirmed = self._confirmed
        error = self._try_commit(rows, dead, confirmed)
        if error is None:
            self._deleted = confirmed
            with self._changed:
                self._tail.extend(rows)
                self._last_id += len(rows)
                self._depth += len(rows)
                self._changed.notify_all()
        self._notify([(done, error) for _, done in batch])

    def _try_commit(self, rows: list[Row], dead: list[Entry], confirmed: int) -> OutboxError | None:
        """Commit, however long it takes: while the disk is full, dispatch() waits. Gives up only when closing."""
        complained = False
        while True:
            try:
                with self._connection as connection:
                    connection.execute("BEGIN")
                    connection.executemany(INSERT, [(row.id, *_columns(row.entry)) for row in rows])
                    connection.executemany(BURY, [(*_columns(entry), entry.reason) for entry in dead])
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


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(TABLES)
    except (OSError, sqlite3.Error) as exception:
        raise OutboxError(
            f"cannot use the outbox {path}: {exception}; make it readable and writable, or move a damaged one away"
        ) from exception
    return connection


def _contents(connection: sqlite3.Connection) -> tuple[int, int]:
    """The last id ever given, and how many rows wait."""
    (depth,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return (row[0] if row else 0), depth


def _columns(entry: Entry) -> tuple[str, str, str, float, str]:
    return entry.message_id, entry.sensor, entry.trigger, entry.created, entry.body


def _row(columns: tuple[int, str, str, str, float, str]) -> Row:
    identifier, message_id, sensor, trigger, created, body = columns
    entry = Entry(message_id=message_id, sensor=sensor, trigger=trigger, created=created, body=body)
    return Row(id=identifier, entry=entry)
