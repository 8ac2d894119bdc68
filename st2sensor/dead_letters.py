"""Trigger instances that could not be published, in the outbox database of a container, running or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from st2sensor.errors import OutboxError
from st2sensor.outbox_file import COLUMNS, Entry, entry_of

BUSY_TIMEOUT = 30.0
"""Seconds to wait for the container's commits."""

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

    def all(self) -> list[DeadLetter]:
        """Every one, oldest first."""
        return self._read(f"{SELECT} ORDER BY id", ())

    def get(self, identifiers: Sequence[int]) -> list[DeadLetter]:
        """Some, oldest first. Raises OutboxError, which names it, when one is not there."""
        marks = ", ".join("?" * len(identifiers))
        found = self._read(f"{SELECT} WHERE id IN ({marks}) ORDER BY id", tuple(identifiers))
        missing = set(identifiers) - {letter.id for letter in found}
        if missing:
            raise OutboxError(f"there is no dead letter {', '.join(map(str, sorted(missing)))} in {self._path}")
        return found

    def after(self, identifier: int) -> list[DeadLetter]:
        """Those that came after one, oldest first."""
        return self._read(f"{SELECT} WHERE id > ? ORDER BY id", (identifier,))

    def remove(self, identifiers: Sequence[int]) -> None:
        """Delete some."""
        with self._open() as connection:
            connection.executemany("DELETE FROM dead_letters WHERE id = ?", [(item,) for item in identifiers])

    def _read(self, query: str, values: tuple[int, ...]) -> list[DeadLetter]:
        with self._open() as connection:
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
