"""The dead letters of an open outbox: at most so many, of so many bytes, each for so long.

Their age is the time in which containers have run since: a clock that counts on from one container to the next, and
that no wrong or corrected time of day moves. For the writer's thread.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence

from st2sensor.outbox.backlog import Settled
from st2sensor.outbox.database.rows import COLUMNS, SIZE, columns_of
from st2sensor.outbox.entry import Entry, in_short, size_of
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")

DAY = 86400.0
"""Seconds."""

EVERY = 600.0
"""Seconds after which letters that are too old go though no new one comes, and the clock is stored."""

BURY = f"INSERT INTO dead_letters ({COLUMNS}, reason, buried) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
MOVE = f"INSERT INTO dead_letters ({COLUMNS}, reason, buried) SELECT {COLUMNS}, ?, ? FROM outbox WHERE id = ?"
NEWER = f"SELECT id, {SIZE}, buried FROM dead_letters WHERE id > ? ORDER BY id"


def boot_time() -> float:
    """Seconds since the machine started, also those in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run_clock(connection: sqlite3.Connection) -> float:
    """Seconds in which containers have run with this outbox, as of the last time that it was stored."""
    row = connection.execute("SELECT seconds FROM run_clock").fetchone()
    return float(row[0]) if row else 0.0


class DeadTable:
    """Calls that write belong into a transaction. They raise sqlite3.Error; after a rollback call `forget`."""

    def __init__(
        self, connection: sqlite3.Connection, options: Options, clock: Callable[[], float] = boot_time
    ) -> None:
        self._connection = connection
        self._options = options
        self._clock = clock
        self._before = run_clock(connection)
        self._began = clock()
        self._letters: deque[tuple[int, int, float]] = deque()
        """Ids, sizes and moments of burial, by id."""
        self._bytes = 0
        self._version: int | None = None
        """Of the file, as others change it."""
        self.due = clock() + EVERY
        """When the oldest are looked at again, on the clock."""

    @property
    def is_due(self) -> bool:
        return self._clock() >= self.due

    def bury(self, entries: Sequence[Entry], settled: Sequence[Settled]) -> None:
        """Keep entries that have never been in the outbox, and move others from there."""
        if not entries and not any(item.reason for item in settled):
            return
        now = self._now()
        dead = [(*columns_of(entry), in_short(entry.reason or ""), now) for entry in entries]
        moved = [(in_short(item.reason), now, item.id) for item in settled if item.reason is not None]
        self._connection.executemany(BURY, dead)
        self._connection.executemany(MOVE, moved)
        self.prune()

    def prune(self) -> int:
        """Delete the oldest that are too many, too large together, or too old; returns how many are left.

        One that is larger than all may be stays until the next one comes.
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
        self.due = self._clock() + EVERY
        return len(self._letters)

    def forget(self) -> None:
        """What was done last has not happened: read the file again."""
        self._version = None

    def is_too_large(self, entry: Entry) -> bool:
        """Whether an entry alone is larger than all dead letters may be."""
        return size_of(entry) > self._options.dead_letters_max_size

    def _now(self) -> float:
        return self._before + max(0.0, self._clock() - self._began)

    def _learn(self) -> None:
        """Read what is there: all of it when another process has changed the file."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._letters.clear()
            self._bytes = 0
            self._version = version
        last = self._letters[-1][0] if self._letters else 0
        for letter in self._connection.execute(NEWER, (last,)):
            self._letters.append(letter)
            self._bytes += letter[1]
