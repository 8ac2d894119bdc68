"""Reads and deletes dead letters in the outbox database of a container, running or not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from st2sensor.errors import AccessDenied, DeadLetterNotFound, OutboxError
from st2sensor.history.event import Recorded, State, recorded
from st2sensor.outbox.database.dead_table import DAY, run_clock
from st2sensor.outbox.database.rows import COLUMNS, entry_of, page
from st2sensor.outbox.database.shrinking import STEP, empty_journal, shrink
from st2sensor.outbox.entry import Entry

BUSY_TIMEOUT = 30.0
"""Maximum number of seconds to wait for the container's commits."""

AT_ONCE = 500
"""Number of letters that are deleted in one commit. The container's commits wait for it."""

TABLE_INFO = "PRAGMA table_info(dead_letters)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter.

    :param id: counts up from 1.
    :param entry: the trigger instance, with the reason.
    """

    id: int
    entry: Entry

    @property
    def state(self) -> State:
        return State.UNROUTED if self.entry.is_unrouted else State.DEAD

    @property
    def event(self) -> Recorded:
        """The letter as an event, for the history's filters."""
        return recorded(self.entry, self.state)


class DeadLetters:
    """The dead letters of an outbox. Methods raise OutboxError if the database cannot be used, and AccessDenied.

    :param path: the outbox database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> Iterator[DeadLetter]:
        """Iterate over all letters, oldest first, without reading them all at once."""
        return self.after(0)

    def get(self, identifiers: Sequence[int]) -> list[DeadLetter]:
        """Return letters by id, oldest first. Raises DeadLetterNotFound, which names the id, if one is missing."""
        return [letter for item in self.known(identifiers) for letter in self._read("id = ?", (item,))]

    def known(self, identifiers: Sequence[int]) -> list[int]:
        """Return ids in order, without repeats. Raises DeadLetterNotFound, which names the missing."""
        wanted = sorted(set(identifiers))
        with self._open() as connection:
            query = "SELECT 1 FROM dead_letters WHERE id = ?"
            missing = [item for item in wanted if connection.execute(query, (item,)).fetchone() is None]
        if missing:
            raise DeadLetterNotFound(
                f"there is no dead letter {', '.join(map(str, missing))} in {self._path}; st2sensor dead-letters list "
                "shows them"
            )
        return wanted

    def after(self, identifier: int) -> Iterator[DeadLetter]:
        """Iterate over the letters after an id, oldest first. They are read in pages, so that the container never waits
        for the reader."""
        while letters := self._next(identifier):
            yield from letters
            identifier = letters[-1].id

    def newest(self, most: int, sensor: str | None = None) -> list[DeadLetter]:
        """Return letters without their bodies, newest first.

        :param most: maximum number of letters.
        :param sensor: return only the letters of this sensor.
        """
        where = "? IS NULL OR sensor = ? ORDER BY id DESC LIMIT ?"
        return self._read(where, (sensor, sensor, most), COLUMNS.replace("body", "''"))

    def _next(self, after: int) -> list[DeadLetter]:
        with self._open() as connection:
            ids = page(connection, "dead_letters", after)
        return self._read("id BETWEEN ? AND ? ORDER BY id", (ids[0], ids[-1])) if ids else []

    def ids(self, older_than: float | None = None) -> list[int]:
        """Return the ids of all letters.

        :param older_than: return only letters that were kept for more than this number of days while containers ran.
        """
        with self._open() as connection:
            if older_than is None:
                rows = connection.execute("SELECT id FROM dead_letters ORDER BY id")
            elif not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'run_clock'").fetchone():
                # The file was written by an earlier version, whose letters have no age.
                return []
            else:
                through = run_clock(connection) - older_than * DAY
                rows = connection.execute("SELECT id FROM dead_letters WHERE buried < ? ORDER BY id", (through,))
            return [identifier for (identifier,) in rows]

    def remove(self, identifiers: Sequence[int]) -> None:
        """Delete letters."""
        for start in range(0, len(identifiers), AT_ONCE):
            with self._open() as connection:
                part = [(item,) for item in identifiers[start : start + AT_ONCE]]
                connection.executemany("DELETE FROM dead_letters WHERE id = ?", part)

    def remove_events(self, message_ids: Sequence[str]) -> None:
        """Delete the letters of events, if there are any."""
        for start in range(0, len(message_ids), AT_ONCE):
            with self._open() as connection:
                part = [(item,) for item in message_ids[start : start + AT_ONCE]]
                connection.executemany("DELETE FROM dead_letters WHERE message_id = ?", part)

    def give_back(self) -> None:
        """Give the space of deleted letters back to the disk."""
        with self._open() as connection, suppress(sqlite3.OperationalError):
            # If a running container prevents this, that container does the same a little later.
            connection.isolation_level = None
            while shrink(connection) >= STEP:
                pass
            empty_journal(connection)

    def _read(self, where: str, values: tuple[int | str | None, ...], columns: str = COLUMNS) -> list[DeadLetter]:
        with self._open() as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            query = f"SELECT id, {_unrouted(connection)}, reason, {columns} FROM dead_letters WHERE {where}"
            rows = connection.execute(query, values).fetchall()
        return [DeadLetter(id=row[0], entry=entry_of(row[3:], reason=row[2], is_unrouted=bool(row[1]))) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open a connection with one transaction."""
        try:
            is_there = self._path.is_file()
        except PermissionError as exception:
            raise self._denied() from exception
        if not is_there:
            raise OutboxError(f"there is no outbox at {self._path}: no container has run with this state_dir yet")
        for path in (self._path, self._path.parent):
            # SQLite also creates files next to it.
            if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
                raise self._denied()
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_TIMEOUT)) as connection, connection:
                yield connection
        except sqlite3.Error as exception:
            raise OutboxError(f"cannot use the outbox {self._path}: {exception}") from exception

    def _denied(self) -> AccessDenied:
        return AccessDenied(
            f"{self._path}: this user may not read and write it; run this as root, or as the container's user"
        )


def _unrouted(connection: sqlite3.Connection) -> str:
    """Return the SQL expression for whether a letter is unrouted. The file of an earlier version has no such column."""
    return "unrouted" if any(row[1] == "unrouted" for row in connection.execute(TABLE_INFO)) else "0"
