"""Trigger instances that could not be published, in the outbox database of a container, running or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from st2sensor.errors import OutboxError
from st2sensor.outbox.database.dead_table import DAY, run_clock
from st2sensor.outbox.database.rows import COLUMNS, entry_of, page
from st2sensor.outbox.database.shrinking import STEP, empty_journal, shrink
from st2sensor.outbox.entry import Entry

BUSY_TIMEOUT = 30.0
"""Seconds to wait for the container's commits."""

AT_ONCE = 500
"""Letters that are deleted in one commit: a container waits for it with its own."""

SELECT = f"SELECT id, reason, {COLUMNS} FROM dead_letters"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """:param id: counts up from 1; :param entry: with the reason."""

    id: int
    entry: Entry


class DeadLetters:
    """:param path: the outbox database. Methods raise OutboxError when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> Iterator[DeadLetter]:
        """Every one, oldest first, read as they are asked for."""
        return self.after(0)

    def get(self, identifiers: Sequence[int]) -> list[DeadLetter]:
        """Some, oldest first. Raises OutboxError, which names it, when one is not there."""
        return [letter for item in self.known(identifiers) for letter in self._read(f"{SELECT} WHERE id = ?", (item,))]

    def known(self, identifiers: Sequence[int]) -> list[int]:
        """Some ids, in order. Raises OutboxError, which names it, when one is not there."""
        wanted = sorted(set(identifiers))
        with self._open() as connection:
            query = "SELECT 1 FROM dead_letters WHERE id = ?"
            missing = [item for item in wanted if connection.execute(query, (item,)).fetchone() is None]
        if missing:
            raise OutboxError(f"there is no dead letter {', '.join(map(str, missing))} in {self._path}")
        return wanted

    def after(self, identifier: int) -> Iterator[DeadLetter]:
        """Those that came after one, oldest first. A few at a time, so that no container waits for who reads them."""
        while letters := self._next(identifier):
            yield from letters
            identifier = letters[-1].id

    def _next(self, after: int) -> list[DeadLetter]:
        with self._open() as connection:
            ids = page(connection, "dead_letters", after)
        return self._read(f"{SELECT} WHERE id BETWEEN ? AND ? ORDER BY id", (ids[0], ids[-1])) if ids else []

    def ids(self, older_than: float | None = None) -> list[int]:
        """The ids of all, or of those that were kept for more than so many days while containers ran."""
        with self._open() as connection:
            if older_than is None:
                rows = connection.execute("SELECT id FROM dead_letters ORDER BY id")
            elif not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'run_clock'").fetchone():
                # Of an earlier version: its letters have no age yet.
                return []
            else:
                through = run_clock(connection) - older_than * DAY
                rows = connection.execute("SELECT id FROM dead_letters WHERE buried < ? ORDER BY id", (through,))
            return [row[0] for row in rows]

    def remove(self, identifiers: Sequence[int]) -> None:
        """Delete some."""
        for start in range(0, len(identifiers), AT_ONCE):
            with self._open() as connection:
                part = [(item,) for item in identifiers[start : start + AT_ONCE]]
                connection.executemany("DELETE FROM dead_letters WHERE id = ?", part)

    def give_back(self) -> None:
        """Have the file give back the room that deleted letters took."""
        with self._open() as connection, suppress(sqlite3.OperationalError):
            # Where a container is in the way of it: that does the same, a little later.
            connection.isolation_level = None
            while shrink(connection) >= STEP:
                pass
            empty_journal(connection)

    def _read(self, query: str, values: tuple[int, ...]) -> list[DeadLetter]:
        with self._open() as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            rows = connection.execute(query, values).fetchall()
        return [DeadLetter(id=row[0], entry=entry_of(row[2:], reason=row[1])) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection with one transaction."""
        if not self._path.is_file():
            raise OutboxError(f"there is no outbox at {self._path}: no container has run with this state_dir yet")
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_TIMEOUT)) as connection, connection:
                yield connection
        except sqlite3.Error as exception:
            raise OutboxError(f"cannot use the outbox {self._path}: {exception}") from exception
