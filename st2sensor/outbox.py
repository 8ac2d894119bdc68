"""Trigger instances on disk until the broker has them: what dispatch() returned for survives every crash.

SQLite in WAL mode. One writer thread commits what has come in since the last commit together (group commit) and tells
each submitter; confirmed rows are deleted in a later commit. The newest rows are also kept in memory, so that delivery
reads the disk only when it is behind. Used by the container.
"""

from __future__ import annotations

import enum
import itertools
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.errors import LeaseLost, OutboxError, St2SensorError
from st2sensor.outbox_file import (
    BURY,
    INSERT,
    SELECT,
    Entry,
    check,
    columns_of,
    contents,
    entry_of,
    open_file,
    prune,
)
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger(__name__)

BATCH = 1000
"""Entries in one commit, at the most."""

TAIL, TAIL_BYTES = 2000, 8_000_000
"""Rows kept in memory, at the most, and bytes of their bodies."""

WINDOW_BYTES = 4_000_000
"""Bytes of the bodies that one `read` gives, at the most, but for a single row."""

ROOM_AGAIN = 0.9
"""Share of its size below which an outbox that was full counts as having room again."""

GATHER = 0.0003
"""Seconds that a commit waits for more entries, when the last one had some, but not a CROWD."""

CROWD = 32
"""Entries that make a commit worth its while without waiting."""

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

Still = Callable[[Entry], bool]
"""Asked, in the writer's thread, whether an entry may be taken, before its commit and after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry in the outbox, in the order of ids."""

    id: int
    entry: Entry


class _Signal(enum.Enum):
    """What the writer is told beside entries."""

    CONFIRMED = "rows wait to be deleted"
    GIVE_UP = "whoever waits for room is told that there is none"
    CLOSE = "commit what is left and end"


_Submitted = tuple[Entry, Done, Still | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stop:
    """A sensor stops, or `over`: it may start again."""

    sensor: str
    over: bool = False


_Item = _Submitted | threading.Event | _Signal | _Stop
"""An entry with whom to tell and whom to ask, an event to set once all before it is committed, or what to do."""


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
        self._tail: deque[Row] = deque()
        self._tail_bytes = 0
        self._confirmed = self._deleted = 0
        self._closing = threading.Event()
        self._full = False
        self._together = 0
        """How many items the last turn of the writer took."""
        self._held: deque[_Submitted] = deque()
        """What waits for room, or for the disk, in the order of submission; for the writer, as all that follows."""
        self._dead: deque[_Submitted] = deque()
        """Dead letters that wait to be committed: they need no room."""
        self._committed: list[threading.Event] = []
        """To be set once the disk has what was submitted before."""
        self._stopping: set[str] = set()
        """Sensors that must not be kept waiting."""
        self._has_stopping = False
        """Whether something of theirs may wait."""
        self._problem = ""
        """Why the last commit failed."""
        self._more = False
        """Whether more may be committed than one commit has taken."""
        self._retry_at = 0.0
        """When it is tried again, on the monotonic clock."""
        self._connection = open_file(path, self._options.durability)
        check(self._connection, path)
        self.cursor, self._last_id, self._depth = contents(self._connection)
        """Where delivery starts: the id before the first entry that waits."""
        dead = self._prune(self._connection)
        if dead:
            LOG.warning("%s keeps %d dead letters: look at them with st2sensor dead-letters list", path, dead)
        self._reader = open_file(path, self._options.durability)
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    @property
    def depth(self) -> int:
        """How many entries wait for the broker."""
        with self._changed:
            return self._depth

    def oldest(self) -> float | None:
        """When the entry was made that waits longest, in seconds since the epoch; None when none waits.

        May read the disk. Raises OutboxError.
        """
        with self._changed:
            if not self._depth:
                return None
            if len(self._tail) == self._depth:
                return self._tail[0].entry.created
            after = max(self.cursor, self._confirmed)
        # Not by the reader, which is the delivery thread's.
        try:
            with closing(open_file(self._path, self._options.durability)) as connection:
                row = connection.execute(SELECT, (after, 1)).fetchone()
        except sqlite3.Error as exception:
            raise OutboxError(f"cannot read the outbox {self._path}: {exception}") from exception
        return None if row is None else _row(row).entry.created

    @property
    def has_room(self) -> bool:
        """Whether an entry that is submitted now is committed without waiting for the broker."""
        return not self._held and self.depth < self._options.max_size

    def submit(self, entry: Entry, done: Done, still: Still | None = None) -> None:
        """Take an entry to be committed; done is told once it is. From any thread.

        :param still: refuses it, with LeaseLost; None takes it in any case.
        """
        self._incoming.put((entry, done, still))

    def put(self, entries: Sequence[Entry]) -> None:
        """Submit, and return once all are on disk. Raises OutboxError when one cannot be."""
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        for entry in entries:
            self.submit(entry, answers.put)
        for error in [answers.get() for _ in entries]:
            if error is not None:
                raise error

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
                return _window(itertools.islice(self._tail, start, start + limit))
        try:
            return _window(map(_row, self._reader.execute(SELECT, (after, limit))))
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
            while self._tail and self._tail[0].id <= through:
                self._forget_oldest()
            self._changed.notify_all()
        self._incoming.put(_Signal.CONFIRMED)

    def wait_empty(self, timeout: float) -> bool:
        """Wait until all that was submitted is committed, and the broker has everything."""
        until = time.monotonic() + timeout
        if not self.wait_committed(timeout):
            return False
        with self._changed:
            return self._changed.wait_for(lambda: self._depth == 0, until - time.monotonic())

    def wait_committed(self, timeout: float) -> bool:
        """Wait until all that was submitted is committed, but for what waits for room."""
        committed = threading.Event()
        self._incoming.put(committed)
        return committed.wait(timeout)

    def give_up_waiting(self) -> None:
        """From now on nobody waits for room, or for a disk that is full: dispatch() raises instead, so that a sensor
        that waits can stop."""
        self._closing.set()
        self._incoming.put(_Signal.GIVE_UP)

    def withdraw(self, sensor: str) -> None:
        """A sensor stops: what it has submitted and what still waits, for room or for the disk, is never sent; whoever
        submitted it is told an OutboxError. From then on what it submits is refused the same way instead of waiting,
        until `welcome`. From any thread.
        """
        self._incoming.put(_Stop(sensor=sensor))

    def welcome(self, sensor: str) -> None:
        """A sensor that was stopped starts again: what it submits from now on may wait."""
        self._incoming.put(_Stop(sensor=sensor, over=True))

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
            items = self._next_batch()
            running = _Signal.CLOSE not in items
            self._sort(items)
            if time.monotonic() >= self._retry_at or self._closing.is_set():
                batch = [*self._take_dead(), *self._admitted()]
                self._more = len(batch) >= BATCH
                self._commit(batch)
            if self._has_stopping:
                # It could not be committed at once.
                self._has_stopping = False
                self._refuse(self._stopping)
            if self._closing.is_set():
                self._refuse(None)
            if not self._problem or self._closing.is_set():
                while self._committed:
                    self._committed.pop().set()

    def _sort(self, batch: list[_Item]) -> None:
        for item in batch:
            if isinstance(item, tuple):
                (self._held if item[0].reason is None else self._dead).append(item)
                self._has_stopping = self._has_stopping or item[0].sensor in self._stopping
            elif isinstance(item, threading.Event):
                self._committed.append(item)
            elif isinstance(item, _Stop) and item.over:
                # What an earlier process of it has submitted ends here.
                self._refuse({item.sensor})
                self._stopping.discard(item.sensor)
            elif isinstance(item, _Stop):
                self._stopping.add(item.sensor)
                self._has_stopping = True

    def _take_dead(self) -> list[_Submitted]:
        return [self._dead.popleft() for _ in range(min(len(self._dead), BATCH))]

    def _next_batch(self) -> list[_Item]:
        """Wait for entries, for room, or for what falls due, and take all there are."""
        due = self._due()
        batch: list[_Item] = []
        try:
            while not batch:
                item = self._incoming.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
                if item is not _Signal.CONFIRMED:
                    batch.append(item)
                elif not self._problem and (self._held or self._confirmed - self._deleted >= DELETED_TOGETHER):
                    break
                else:
                    due = due or time.monotonic() + LAZY_DELETE
            if 1 < self._together < CROWD:
                # Several dispatch at once: those that are about to may share this commit.
                time.sleep(GATHER)
            while len(batch) < BATCH:
                item = self._incoming.get_nowait()
                if item is not _Signal.CONFIRMED:
                    batch.append(item)
        except queue.Empty:
            pass
        self._together = len(batch)
        return batch

    def _due(self) -> float | None:
        """When there is something to do though nothing comes in, on the monotonic clock."""
        if self._problem:
            return self._retry_at
        if self._more:
            return time.monotonic()
        return time.monotonic() + LAZY_DELETE if self._confirmed > self._deleted else None

    def _admitted(self) -> list[_Submitted]:
        """Take from those that wait what there is room for."""
        with self._changed:
            room = self._options.max_size - self._depth
        batch = [self._held.popleft() for _ in range(min(len(self._held), room, BATCH))]
        if self._held and not self._full:
            self._full = True
            sensors = ", ".join(sorted({entry.sensor for entry, *_ in self._held}))
            LOG.warning(
                "the outbox %s is full with %d triggers: dispatch() waits in %s until the broker takes some",
                *(self._path, self._options.max_size, sensors),
            )
        if self._full and not self._held and room - len(batch) > (1 - ROOM_AGAIN) * self._options.max_size:
            self._full = False
            LOG.info("the outbox %s has room again", self._path)
        return batch

    def _refuse(self, sensors: Set[str] | None) -> None:
        """Tell some sensors, or everybody, that what waits is not taken."""
        why = self._problem or f"the outbox {self._path} is full"
        for waiting in (self._dead, self._held):
            kept = []
            for item in waiting:
                sensor = item[0].sensor
                if sensors is None:
                    _tell(item[1], OutboxError(f"{why}, and the container stops"))
                elif sensor in sensors:
                    _tell(item[1], OutboxError(f"{why}, and {sensor} stops: this trigger is not sent"))
                else:
                    kept.append(item)
            waiting.clear()
            waiting.extend(kept)

    def _commit(self, batch: list[_Submitted]) -> None:
        """Commit, or put everything back to where it waits when the disk does not take it."""
        confirmed = self._confirmed
        batch = _still_wanted(batch)
        if not batch and confirmed == self._deleted:
            return
        wanted = batch
        try:
            self._transaction(self._rows(batch), [entry for entry, *_ in batch if entry.reason is not None], confirmed)
            # A process may be paused at any time: what was committed too late is taken back before anybody sees it.
            while len(wanted := _still_wanted(batch)) < len(batch):
                batch = wanted
                self._transaction(self._rows(batch), [], confirmed)
        except Exception as exception:  # noqa: BLE001 (the one thread that all sensors wait for must not die)
            self._failed(exception, wanted)
            return
        if self._problem:
            LOG.info("the outbox %s can be written again", self._path)
            self._problem = ""
        self._deleted = confirmed
        self._accept(self._rows(batch))
        for _, done, _ in batch:
            _tell(done, None)

    def _failed(self, exception: Exception, batch: list[_Submitted]) -> None:
        """The disk did not take a batch: it is tried again."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        problem = f"cannot write the outbox {self._path}: {exception}"
        if not self._problem:
            LOG.error("%s; dispatch() waits until it can be written", problem)
        self._problem = problem
        self._retry_at = time.monotonic() + RETRY
        self._held.extendleft(item for item in reversed(batch) if item[0].reason is None)
        self._dead.extendleft(item for item in reversed(batch) if item[0].reason is not None)

    def _rows(self, batch: list[_Submitted]) -> list[Row]:
        accepted = (entry for entry, *_ in batch if entry.reason is None)
        return [Row(id=number, entry=entry) for number, entry in enumerate(accepted, start=self._last_id + 1)]

    def _accept(self, rows: list[Row]) -> None:
        """From here on they are delivered."""
        with self._changed:
            self._last_id += len(rows)
            self._depth += len(rows)
            for row in rows:
                self._remember(row)
            self._changed.notify_all()

    def _remember(self, row: Row) -> None:
        self._tail.append(row)
        self._tail_bytes += len(row.entry.body)
        while len(self._tail) > TAIL or self._tail_bytes > TAIL_BYTES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._tail_bytes -= len(self._tail.popleft().entry.body)

    def _transaction(self, rows: list[Row], dead: list[Entry], confirmed: int) -> None:
        connection = self._connection
        connection.execute("BEGIN")
        connection.execute("DELETE FROM outbox WHERE id > ?", (self._last_id,))
        connection.executemany(INSERT, [(row.id, *columns_of(row.entry)) for row in rows])
        if dead:
            self._bury(connection, dead)
        if confirmed > self._deleted:
            connection.execute("DELETE FROM outbox WHERE id <= ?", (confirmed,))
        connection.execute("COMMIT")

    def _bury(self, connection: sqlite3.Connection, dead: list[Entry]) -> None:
        connection.executemany(BURY, [(*columns_of(entry), entry.reason) for entry in dead])
        self._prune(connection)

    def _prune(self, connection: sqlite3.Connection) -> int:
        return prune(
            connection,
            max_age=self._options.dead_letters_max_age * DAY,
            max_number=self._options.dead_letters_max_number,
        )


def _window(rows: Iterable[Row]) -> list[Row]:
    """The first of some rows that are not too many bytes together, and at least one."""
    window: list[Row] = []
    size = 0
    for row in rows:
        size += len(row.entry.body)
        if window and size > WINDOW_BYTES:
            break
        window.append(row)
    return window


def _still_wanted(batch: list[_Submitted]) -> list[_Submitted]:
    """What may be taken; the others are told."""
    wanted = []
    for item in batch:
        entry, done, still = item
        if still is None or still(entry):
            wanted.append(item)
        else:
            _tell(done, LeaseLost(entry.sensor))
    return wanted


def _tell(done: Done, error: St2SensorError | None) -> None:
    try:
        done(error)
    except Exception:
        LOG.exception("a dispatch() cannot be answered")


def _row(columns: tuple[Any, ...]) -> Row:
    return Row(id=columns[0], entry=entry_of(columns[1:]))
