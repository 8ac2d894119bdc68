"""The dead letters of an open outbox, limited in number, bytes and age.

The age of a letter is the time for which containers have run since its burial. It is measured by a clock that
continues from one container to the next, and that does not depend on the time of day. For the writer's thread.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence

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

BURY = f"INSERT INTO dead_letters ({COLUMNS}, reason, buried) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
MOVE = f"INSERT INTO dead_letters ({COLUMNS}, reason, buried) SELECT {COLUMNS}, ?, ? FROM outbox WHERE id = ?"
NEWER = f"SELECT id, {SIZE}, buried FROM dead_letters WHERE id > ? ORDER BY id"


def boot_time() -> float:
    """Return the seconds since the machine started, including those in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run_clock(connection: sqlite3.Connection) -> float:
    """Return the stored number of seconds that containers have run with this outbox."""
    row = connection.execute("SELECT seconds FROM run_clock").fetchone()
    return float(row[0]) if row else 0.0


class DeadTable:
    """The dead letters of one connection.

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
        self._letters: deque[tuple[int, int, float]] = deque()
        """Id, size and time of burial of each letter, in the order of ids."""
        self._bytes = 0
        self._version: int | None = None
        """SQLite's data_version, which changes when another process changes the file."""
        self.due = clock() + PRUNE_INTERVAL
        """Time of the next pruning, on the clock."""

    @property
    def is_due(self) -> bool:
        return self._clock() >= self.due

    def bury(self, entries: Sequence[Entry], settled: Sequence[Settled]) -> None:
        """Store entries that were never in the outbox, and move settled rows that have a reason here."""
        if not entries and not any(item.reason for item in settled):
            return
        now = self._now()
        dead = [(*columns_of(entry), objection.bounded(entry.reason or ""), now) for entry in entries]
        moved = [(objection.bounded(item.reason), now, item.id) for item in settled if item.reason is not None]
        self._connection.executemany(BURY, dead)
        self._connection.executemany(MOVE, moved)
        self.prune()

    def prune(self) -> int:
        """Delete the oldest letters until all limits hold. Return the number of letters that are left.

        A single letter that exceeds the limit of size stays until the next letter arrives.
        """
        self._learn()
        now, through = self._now(), 0
        options = self._options
        while self._letters and (
            len(self._letters) > options.dead_letters_max_number
            or (self._bytes > options.dead_letters_max_size and len(self._letters) > 1)
            or now - self._letters[0][2] > options.dead_letters_max_age * DAY
            or options.dead_letters_max_age == 0
        ):
            through, size, _ = self._letters.popleft()
            self._bytes -= size
        if through:
            self._connection.execute("DELETE FROM dead_letters WHERE id <= ?", (through,))
        self._connection.execute("UPDATE run_clock SET seconds = ?", (now,))
        self.due = self._clock() + PRUNE_INTERVAL
        return len(self._letters)

    def forget(self) -> None:
        """Discard the state in memory after a rollback, so that the file is read again."""
        self._version = None

    def is_too_large(self, entry: Entry) -> bool:
        """Return whether an entry alone exceeds the limit for all dead letters together."""
        return size_of(entry) > self._options.dead_letters_max_size

    def _now(self) -> float:
        return self._before + max(0.0, self._clock() - self._began)

    def _learn(self) -> None:
        """Read new letters, or all letters if another process has changed the file."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._letters.clear()
            self._bytes = 0
            self._version = version
        last = self._letters[-1][0] if self._letters else 0
        for letter in self._connection.execute(NEWER, (last,)):
            self._letters.append(letter)
            self._bytes += letter[1]
