"""The dead letters of an open outbox, limited in number, bytes and age.

The age of a letter is the time for which containers have run since its burial. It is measured by a clock that
continues from one container to the next, and that does not depend on the time of day. For the writer's thread.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from st2sensor.outbox.backlog import Settled
from st2sensor.outbox.database.rows import COLUMNS, SIZE, columns_of
from st2sensor.outbox.entry import Entry, size_of
from st2sensor.schemas import objection
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")

DAY = 86400.0
"""Seconds."""

PRUNE_INTERVAL = 600.0
"""Seconds between two prunings if no new letter arrives. Each pruning also stores the clock."""

MARKS = ", ".join("?" * (COLUMNS.count(",") + 1))
BURY = f"INSERT INTO dead_letters ({COLUMNS}, reason, buried, unrouted) VALUES ({MARKS}, ?, ?, ?)"
MOVE = (
    f"INSERT INTO dead_letters ({COLUMNS}, reason, buried, unrouted) SELECT {COLUMNS}, ?, ?, ? FROM outbox WHERE id = ?"
)
NEWER = f"SELECT id, {SIZE}, buried, unrouted FROM dead_letters WHERE id > ? ORDER BY id"


def boot_time() -> float:
    """Return the seconds since the machine started, including those in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run_clock(connection: sqlite3.Connection) -> float:
    """Return the stored number of seconds that containers have run with this outbox."""
    row = connection.execute("SELECT seconds FROM run_clock").fetchone()
    return float(row[0]) if row else 0.0


class Kept:
    """The letters of one state, and their limits.

    :param number: the maximum number.
    :param size: the maximum number of bytes. A single letter that is larger stays until the next letter arrives.
    :param age: the maximum age, in seconds. 0 keeps none.
    """

    def __init__(self, *, number: int, size: int, age: float) -> None:
        self._number, self._size, self._age = number, size, age
        self._letters: deque[tuple[int, int, float]] = deque()
        """Id, size and time of burial of each letter, in the order of ids."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, identifier: int, size: int, buried: float) -> None:
        self._letters.append((identifier, size, buried))
        self._bytes += size

    def surplus(self, now: float) -> Iterator[int]:
        """Drop the oldest letters until all limits hold, and yield their ids."""
        letters = self._letters
        while letters and (
            len(letters) > self._number
            or (self._bytes > self._size and len(letters) > 1)
            or now - letters[0][2] > self._age
            or self._age == 0
        ):
            identifier, size, _ = letters.popleft()
            self._bytes -= size
            yield identifier


class DeadTable:
    """The dead letters of one connection. Those that no queue took have limits of their own.

    Methods that write need a transaction. They raise sqlite3.Error; after a rollback call `forget`.
    """

    def __init__(
        self, connection: sqlite3.Connection, options: Options, clock: Callable[[], float] = boot_time
    ) -> None:
        self._connection = connection
        self._options = options
        self._clock = clock
        self._before = run_clock(connection)
        self._began = clock()
        self._last = 0
        """The newest known id."""
        self._kept: tuple[Kept, Kept] = self._none()
        """Dead letters, and unrouted ones."""
        self._version: int | None = None
        """SQLite's data_version, which changes when another process changes the file."""
        self.due = clock() + PRUNE_INTERVAL
        """Time of the next pruning, on the clock."""

    @property
    def is_due(self) -> bool:
        return self._clock() >= self.due or self._has_changed()

    @property
    def dead(self) -> int:
        """Number of dead letters that are not unrouted. For any thread."""
        return len(self._kept[0])

    @property
    def unrouted(self) -> int:
        """Number of letters that no queue took. For any thread."""
        return len(self._kept[1])

    def bury(self, entries: Sequence[Entry], settled: Sequence[Settled]) -> None:
        """Store entries that were never in the outbox, and move settled rows that have a reason here."""
        if not entries and not any(item.reason for item in settled):
            return
        now = self._now()
        dead = [
            (*columns_of(entry), objection.bounded(entry.reason or ""), now, entry.is_unrouted) for entry in entries
        ]
        moved = [
            (objection.bounded(item.reason), now, item.is_unrouted, item.id)
            for item in settled
            if item.reason is not None
        ]
        self._connection.executemany(BURY, dead)
        self._connection.executemany(MOVE, moved)
        self.prune()

    def prune(self) -> None:
        """Delete the oldest letters until all limits hold."""
        self._learn()
        now = self._now()
        surplus = [(identifier,) for kept in self._kept for identifier in kept.surplus(now)]
        if surplus:
            self._connection.executemany("DELETE FROM dead_letters WHERE id = ?", surplus)
        self._connection.execute("UPDATE run_clock SET seconds = ?", (now,))
        self.due = self._clock() + PRUNE_INTERVAL

    def forget(self) -> None:
        """Discard the state in memory after a rollback, so that the file is read again."""
        self._version = None

    def is_too_large(self, entry: Entry) -> bool:
        """Return whether an entry alone exceeds the limit for all dead letters together."""
        return size_of(entry) > self._options.dead_letters_max_size

    def _now(self) -> float:
        return self._before + max(0.0, self._clock() - self._began)

    def _none(self) -> tuple[Kept, Kept]:
        options = self._options
        return (
            Kept(
                number=options.dead_letters_max_number,
                size=options.dead_letters_max_size,
                age=options.dead_letters_max_age * DAY,
            ),
            Kept(
                number=options.unrouted_max_number, size=options.unrouted_max_size, age=options.unrouted_max_age * DAY
            ),
        )

    def _has_changed(self) -> bool:
        """Return whether another process has changed the file since `prune`."""
        return self._version is not None and self._read_version() != self._version

    def _read_version(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _learn(self) -> None:
        """Read new letters, or all letters if another process has changed the file."""
        version = self._read_version()
        if version != self._version:
            self._kept = self._none()
            self._last = 0
            self._version = version
        for identifier, size, buried, unrouted in self._connection.execute(NEWER, (self._last,)):
            self._kept[bool(unrouted)].add(identifier, size, buried)
            self._last = identifier
