"""Trigger instances on disk until the broker has them: what dispatch() returned for survives every crash.

SQLite in WAL mode. One writer thread commits what has come in since the last commit together (group commit) and tells
each submitter; what the broker has is deleted in a later commit. The newest rows are also kept in memory, so that
delivery reads the disk only when it is behind. Used by the container.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from st2sensor.errors import OutboxError
from st2sensor.outbox.backlog import Backlog
from st2sensor.outbox.database.store import Store
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.incoming import Expect, Lane, OnDone, Restrict, Signal, StillWanted, Stop, Submitted
from st2sensor.outbox.tail import Row
from st2sensor.outbox.waiting import room_of
from st2sensor.outbox.writer import Writer
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")


class Outbox:
    """Holds at most `options.max_size` entries of `options.max_bytes`: when it is full, what is submitted waits, and is
    told of later.

    :param path: the database file.

    Raises OutboxError when the file cannot be used.
    """

    def __init__(self, path: Path, options: Options | None = None) -> None:
        self._options = options or Options()
        self._store = Store(path, self._options)
        try:
            cursor, last_id, depth, size = self._store.contents()
        except sqlite3.Error as exception:
            raise OutboxError(f"cannot read the outbox {path}: {exception}") from exception
        self.cursor = cursor
        """Where delivery starts: the id before the first entry that waits."""
        self._backlog = Backlog(cursor=cursor, last_id=last_id, depth=depth, size=size)
        self._tell_dead_letters()
        self._writer = Writer(self._store, self._backlog, self._options)
        self._writer.start()

    def _tell_dead_letters(self) -> None:
        try:
            dead = self._store.prune()
        except (sqlite3.Error, OSError) as exception:
            LOG.warning("dead letters in %s are not looked at for now: %s", self._store.path, exception)
            return
        if dead:
            LOG.warning(
                "%s keeps %d dead letters: look at them with st2sensor dead-letters list", self._store.path, dead
            )

    @property
    def depth(self) -> int:
        """How many entries wait for the broker."""
        return self._backlog.depth

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return self._backlog.size

    @property
    def limits(self) -> Options:
        return self._options

    def oldest(self) -> float | None:
        """When the entry was made that waits longest, in seconds since the epoch; None when none waits.

        May read the disk. Raises OutboxError.
        """
        if not self.depth:
            return None
        row = self._backlog.oldest_in_memory() or self._store.oldest(self._backlog.settled_ids())
        return None if row is None else row.entry.created

    @property
    def problem(self) -> str:
        """Why nothing can be written; empty while it can."""
        return self._writer.problem

    @property
    def has_room(self) -> bool:
        """Whether an entry that is submitted now is committed without waiting for the broker or the disk."""
        room = room_of(self._backlog, self._options)
        return not self._writer.waiting.held and room.depth < room.max_depth and room.size < room.max_size

    def submit(self, entry: Entry, done: OnDone, still: StillWanted | None = None) -> None:
        """Take an entry to be committed; done is told once it is. From any thread.

        :param still: refuses it, with LeaseLost; None takes it in any case.
        """
        self._writer.incoming.put(Submitted(entry, done, still))

    def put(self, entries: Sequence[Entry], *, is_left: bool = False) -> None:
        """Submit, and return once all are on disk. Raises OutboxError when one cannot be.

        :param is_left: they come from an outbox that was left behind, and go before what waits for that: see `expect`.
        """
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        for entry in entries:
            self._writer.incoming.put(Submitted(entry, answers.put, None, is_left))
        for error in [answers.get() for _ in entries]:
            if error is not None:
                raise error

    def expect(self, sensor: str) -> None:
        """What a sensor has left in another outbox comes first: what it submits waits until `arrived`."""
        self._writer.incoming.put(Expect(sensor=sensor))

    def arrived(self, sensor: str) -> None:
        """All that a sensor has left elsewhere was adopted."""
        self._writer.incoming.put(Expect(sensor=sensor, over=True))

    def restrict(self, lanes: frozenset[Lane]) -> None:
        """What some sensors submit of some trigger types waits from now on, and nothing else of what did so before."""
        self._writer.incoming.put(Restrict(lanes=lanes))

    def read(self, after: int, limit: int, timeout: float) -> list[Row]:
        """Rows with a greater id, in order, but for those that are settled or held back; waits up to timeout seconds
        for the first. For the delivery thread.

        Raises OutboxError when the file cannot be read.
        """
        while True:
            rows = self._backlog.next(after, limit, timeout)
            if rows is None:
                rows = self._store.after(after, limit)
            given = self._backlog.give(rows)
            if given or not rows:
                return given
            after = rows[-1].id

    def read_back(self, ids: Sequence[int]) -> list[Row]:
        """The first of some rows that were held back. Raises OutboxError."""
        return self._store.rows(ids)

    def wake(self) -> None:
        """End a wait in `read`."""
        with self._backlog.changed:
            self._backlog.changed.notify_all()

    def confirm(self, through: int, count: int) -> None:
        """The broker has `count` more rows, all of those that were read last up to id `through`; they are deleted
        soon."""
        self._backlog.confirm(through, count)
        self._writer.incoming.put(Signal.SETTLED)

    def settle(self, rows: Iterable[Row], reason: str | None = None, *, were_held: bool = False) -> None:
        """The broker has these rows, or they are dead letters, and why; they are deleted soon.

        :param were_held: they were held back.
        """
        self._backlog.settle(rows, reason, were_held=were_held)
        self._writer.incoming.put(Signal.SETTLED)

    def hold_back(self, rows: Iterable[Row]) -> None:
        """These rows stay, though what is behind them is confirmed. They never fill more than HELD_SHARE of the outbox
        for others."""
        self._backlog.hold_back(rows)

    def wait_empty(self, timeout: float) -> bool:
        """Wait until all that was submitted is committed, and the broker has everything."""
        until = time.monotonic() + timeout
        return self.wait_committed(timeout) and self._backlog.wait_empty(until)

    def wait_committed(self, timeout: float) -> bool:
        """Wait until all that was submitted is committed, except for what waits for room."""
        committed = threading.Event()
        self._writer.incoming.put(committed)
        return committed.wait(timeout)

    def give_up_waiting(self) -> None:
        """From now on nobody waits for room, or for a disk that is full: dispatch() raises instead, so that a sensor
        that waits can stop."""
        self._writer.closing.set()
        self._writer.incoming.put(Signal.GIVE_UP)

    def withdraw(self, sensor: str) -> None:
        """A sensor stops: what it has submitted and what still waits, for room or for the disk, is never sent; whoever
        submitted it is told an OutboxError. From then on what it submits is refused the same way instead of waiting,
        until `welcome`. From any thread.
        """
        self._writer.incoming.put(Stop(sensor=sensor))

    def welcome(self, sensor: str) -> None:
        """A sensor that was stopped starts again: what it submits from now on may wait."""
        self._writer.incoming.put(Stop(sensor=sensor, over=True))

    def close(self) -> None:
        """Commit what was submitted and close; entries that wait for the broker stay on disk."""
        self._writer.closing.set()
        self._writer.incoming.put(Signal.CLOSE)
        self._writer.join()
        self._store.close()
