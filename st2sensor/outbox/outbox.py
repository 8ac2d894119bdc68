"""Keeps trigger instances on disk until the broker has them. Once dispatch() has returned, an event survives every
crash.

The file is an SQLite database in WAL mode. One writer thread commits all entries since the last commit together (group
commit), and notifies each submitter. Rows that the broker has are deleted in a later commit. The newest rows are also
kept in memory, so that delivery reads the disk only when it is behind. Used by the container.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from st2sensor.errors import OutboxError
from st2sensor.models.limits import SensorLimits
from st2sensor.outbox.backlog import Backlog, Settled
from st2sensor.outbox.database.limit_table import Counts
from st2sensor.outbox.database.store import Buried, Store, nobody
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.incoming import Expect, Free, Lane, Limit, OnDone, Restrict, Signal, StillWanted, Stop, Submitted
from st2sensor.outbox.tail import Row
from st2sensor.outbox.waiting import room_of
from st2sensor.outbox.writer import Writer
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")


First = Callable[[Callable[[], None]], None]
"""A step that must be done before settled rows may be deleted, such as recording them in the history. The step calls
its argument when it is done, perhaps in another thread."""


def at_once(then: Callable[[], None]) -> None:
    """Call the argument at once: no step comes first."""
    then()


class Outbox:
    """Holds up to `options.max_size` entries and `options.max_bytes` bytes. Further entries wait for space.

    :param path: the database file.
    :param buried: called with new dead letters.

    Raises OutboxError if the file cannot be used.
    """

    def __init__(self, path: Path, options: Options | None = None, buried: Buried = nobody) -> None:
        self._options = options or Options()
        self._store = Store(path, self._options, buried)
        self.cursor: int
        """Where delivery starts: the id before the first waiting entry."""
        try:
            self.cursor, last_id, depth, size, limited, limited_size = self._store.contents()
            self._backlog = Backlog(last_id=last_id, depth=depth, size=size, limited=limited, limited_size=limited_size)
            self._writer = Writer(self._store, self._backlog, self._options)
        except sqlite3.Error as exception:
            raise OutboxError(f"cannot read the outbox {path}: {exception}") from exception
        self._report_dead_letters()
        self._writer.start()

    def _report_dead_letters(self) -> None:
        try:
            self._store.prune()
        except (sqlite3.Error, OSError) as exception:
            LOG.warning("cannot prune the dead letters in %s for now: %s", self._store.path, exception)
            return
        for number, kind in ((self._store.graveyard.dead, "dead letters"), (self.unrouted, "unrouted triggers")):
            if number:
                LOG.warning("%s keeps %d %s: st2sensor dead-letters list shows them", self._store.path, number, kind)

    @property
    def depth(self) -> int:
        """Number of entries that wait for the broker."""
        return self._backlog.depth

    @property
    def size(self) -> int:
        """Bytes of the entries that wait for the broker."""
        return self._backlog.size

    @property
    def limited(self) -> Mapping[Lane, Counts]:
        """Counts of the events that operators' limits hold or have dropped, by sensor and trigger type."""
        return dict(self._writer.gate.counts)

    def limit(self, limits: Mapping[str, SensorLimits]) -> None:
        """Apply limits to new entries, by sensor. Rows that are no longer held by a limit are sent."""
        self._writer.incoming.put(Limit(limits=limits))

    def free(self, sensor: str | None, trigger_type: str | None, done: Callable[[int], None]) -> None:
        """Send held rows now: the rows of one sensor or of all, and of one trigger type or of all.

        :param done: called with their number, in the writer's thread. Must not raise or wait.
        """
        self._writer.incoming.put(Free(sensor=sensor, trigger_type=trigger_type, done=done))

    @property
    def unrouted(self) -> int:
        """Number of entries that are kept because no queue took them. A purge is noticed within a second."""
        return self._store.graveyard.unrouted

    @property
    def limits(self) -> Options:
        return self._options

    def oldest(self) -> float | None:
        """Return when the oldest waiting entry was created, in seconds since the epoch; None if none waits.

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
        """Whether a new entry would be accepted without waiting for the broker or the disk."""
        room = room_of(self._backlog, self._options)
        return not self._writer.waiting.held and room.depth < room.max_depth and room.size < room.max_size

    def submit(self, entry: Entry, done: OnDone, still: StillWanted | None = None) -> None:
        """Submit an entry. From any thread.

        :param done: called once the entry is on disk, or once it is certain that it never will be.
        :param still: returns whether the entry may be accepted; otherwise `done` gets LeaseLost. None: always accept.
        """
        self._writer.incoming.put(Submitted((entry,), done, still))

    def submit_together(self, entries: Sequence[Entry], done: OnDone, still: StillWanted | None = None) -> None:
        """Submit entries of one sensor that are committed together: no matter what happens, all are on disk or none.

        :param entries: at least one. Entries with a reason become dead letters in the same commit.
        :param done: as for `submit`, called once for all.
        :param still: as for `submit`, called with each entry; if one may not be accepted, none is.
        """
        self._writer.incoming.put(Submitted(entries, done, still))

    def put(self, entries: Sequence[Entry], *, is_left: bool = False) -> None:
        """Submit entries, and return once all are on disk. Raises OutboxError if one of them is refused.

        :param is_left: whether the entries come from an abandoned outbox. If so, they come before the entries that wait
            for them: see `expect`.
        """
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        for entry in entries:
            self._writer.incoming.put(Submitted((entry,), answers.put, None, is_left))
        for error in [answers.get() for _ in entries]:
            if error is not None:
                raise error

    def expect(self, sensor: str) -> None:
        """Make a sensor's new entries wait until `arrived`: entries that it left in another outbox come first."""
        self._writer.incoming.put(Expect(sensor=sensor))

    def arrived(self, sensor: str) -> None:
        """End the wait that `expect` began: the sensor's old entries are here."""
        self._writer.incoming.put(Expect(sensor=sensor, over=True))

    def restrict(self, lanes: frozenset[Lane]) -> None:
        """Make the entries of these lanes wait from now on. Entries of other lanes no longer wait."""
        self._writer.incoming.put(Restrict(lanes=lanes))

    def read(self, after: int, limit: int, timeout: float) -> list[Row]:
        """Return rows with ids above `after`, in order, except rows that are settled or held back. For the publisher's
        thread.

        :param timeout: seconds to wait for the first one.

        Raises OutboxError if the file cannot be read.
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
        """Return rows that were held back, by their ids. Raises OutboxError."""
        return self._store.rows(ids)

    def wake(self) -> None:
        """End a wait in `read`."""
        with self._backlog.changed:
            self._backlog.changed.notify_all()

    def confirm(self, through: int, count: int, first: First = at_once) -> None:
        """Settle the rows read last, up to id `through`. They are deleted soon.

        :param count: number of these rows that the broker has confirmed.
        :param first: step before they may be deleted.
        """
        first(partial(self._delete, self._backlog.confirm(through, count)))

    def settle(
        self,
        rows: Iterable[Row],
        reason: str | None = None,
        *,
        were_held: bool = False,
        is_unrouted: bool = False,
        first: First = at_once,
    ) -> None:
        """Settle rows that the broker has. They are deleted soon.

        :param reason: why the rows become dead letters instead.
        :param were_held: whether they were held back.
        :param is_unrouted: whether they become dead letters only because no queue has taken them.
        :param first: as for `confirm`.
        """
        settled = self._backlog.settle(rows, reason, were_held=were_held, is_unrouted=is_unrouted)
        first(partial(self._delete, settled))

    def _delete(self, settled: Sequence[Settled]) -> None:
        self._backlog.may_delete(settled)
        self._writer.incoming.put(Signal.SETTLED)

    def hold_back(self, rows: Iterable[Row]) -> None:
        """Keep rows even after later rows are confirmed. Such rows fill at most HELD_SHARE of the outbox, so that there
        is space for other lanes."""
        self._backlog.hold_back(rows)

    def wait_empty(self, timeout: float) -> bool:
        """Wait until every submitted entry is committed, and the broker has all of them. Return whether this happened
        in time."""
        until = time.monotonic() + timeout
        return self.wait_committed(timeout) and self._backlog.wait_empty(until)

    def wait_committed(self, timeout: float) -> bool:
        """Wait until every submitted entry is committed, except entries that wait for space. Return whether this
        happened in time."""
        committed = threading.Event()
        self._writer.incoming.put(committed)
        return committed.wait(timeout)

    def give_up_waiting(self) -> None:
        """Refuse entries instead of making them wait for space or for the disk: dispatch() raises an error, so that a
        waiting sensor can stop."""
        self._writer.closing.set()
        self._writer.incoming.put(Signal.GIVE_UP)

    def withdraw(self, sensor: str) -> None:
        """Refuse the waiting entries of a sensor that is stopping. They are never sent, and their submitters get an
        OutboxError. Later entries of the sensor are refused instead of waiting, until `welcome`. From any thread.
        """
        self._writer.incoming.put(Stop(sensor=sensor))

    def welcome(self, sensor: str) -> None:
        """Let the entries of a sensor wait again: it was stopped and is starting again."""
        self._writer.incoming.put(Stop(sensor=sensor, over=True))

    def close(self) -> None:
        """Commit submitted entries and close. Entries that wait for the broker stay on disk."""
        self._writer.closing.set()
        self._writer.incoming.put(Signal.CLOSE)
        self._writer.join()
        self._store.close()
