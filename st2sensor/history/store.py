"""The history's file, open for writing. For the history's thread."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from st2sensor.history.event import Outcome
from st2sensor.history.file import open_file
from st2sensor.history.names import Names
from st2sensor.history.retention import Retention
from st2sensor.history.rows import INSERT, MICROSECONDS, row_of
from st2sensor.settings import History as Options

LOG = logging.getLogger("st2sensor.history")

UNSTORABLE = (UnicodeError, OverflowError, TypeError, ValueError, sqlite3.ProgrammingError, sqlite3.DataError)
"""Exceptions that mean that one event has a value that SQLite cannot store. All others can be stored."""

JOURNALS = ("-wal", "-shm")
"""Suffixes of the files that belong to the database."""


class Store:
    """Opens the file when it is needed, and again after it was deleted or replaced. Methods raise sqlite3.Error and
    OSError.

    :param path: the file, which is created when missing.
    :param durability: as in `[outbox]`.
    :param node: name of this container's node.
    :param clock: seconds since the epoch.
    """

    def __init__(self, path: Path, options: Options, durability: str, node: str, clock: Callable[[], float]) -> None:
        self.path = path
        self._options = options
        self._durability = durability
        self._node = node
        self._clock = clock
        self._retention = Retention(path, options)
        self._connection: sqlite3.Connection | None = None
        self._names: Names | None = None
        self._identity: tuple[int, int] | None = None

    def commit(self, outcomes: Sequence[Outcome], missing: int, reason: str, private: frozenset[str] | None) -> None:
        """Store events, and a gap, in one transaction.

        :param missing: the number of events that could not be stored since the last commit, and the reason.
        :param private: sensors whose payloads are not kept from now on; None: those that the file remembers.
        """
        connection, names = self._open()
        with self._transaction(connection, names):
            without = self._private(connection, private)
            keeps = self._options.payloads == "full"

            def row(outcome: Outcome) -> tuple[object, ...]:
                with_body = keeps and outcome.entry.sensor not in without
                return row_of(outcome, names, self._node, with_body=with_body)

            try:
                connection.executemany(INSERT, map(row, outcomes))
            except UNSTORABLE:
                refused = sum(not _is_stored(connection, row, outcome) for outcome in outcomes)
                reason = reason if missing else "SQLite cannot store them"
                missing += refused
            if missing:
                query = "INSERT INTO gaps SELECT coalesce(max(seq), 0), ?, ?, ? FROM events"
                connection.execute(query, (int(self._clock() * MICROSECONDS), missing, reason))

    def keep_limits(self) -> None:
        """Delete events that exceed a limit. Give way first if the disk is nearly full."""
        if self._connection is None or self._names is None:
            return
        if self._retention.lacks_space():
            self.give_way()
        self._retention.run(self._connection, self._clock())
        self._names.tidy()

    def give_way(self) -> bool:
        """Drop the oldest part, because the disk is full. Return whether that gave any space back."""
        if self._connection is None:
            return False
        try:
            dropped = self._retention.give_way(self._connection)
        except (sqlite3.Error, OSError) as exception:
            LOG.warning(
                "the disk is full, and even deleting fails: %s; the history %s begins again", exception, self.path
            )
            self.close()
            # Deleting rows takes space; deleting the file takes none.
            for suffix in ("", *JOURNALS):
                self._beside(suffix).unlink(missing_ok=True)
            return True
        if dropped:
            LOG.warning("the disk is nearly full: the %d oldest events were dropped from %s", dropped, self.path)
        return dropped > 0

    def set_aside(self) -> None:
        """Rename a damaged file, so that the next commit begins a new one."""
        self.close()
        for suffix in JOURNALS:
            self._beside(suffix).unlink(missing_ok=True)
        aside = self._beside("-damaged")
        self.path.replace(aside)
        LOG.error("the history %s is damaged; it is kept as %s, and a new one begins", self.path, aside)

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = self._names = None

    def _open(self) -> tuple[sqlite3.Connection, Names]:
        if self._connection is not None and self._identity != _identity(self.path):
            LOG.error("the history %s was deleted or replaced while in use; the file in its place is used", self.path)
            self.close()
        if self._connection is None or self._names is None:
            self._connection = open_file(self.path, self._durability)
            self._names = Names(self._connection)
            self._identity = _identity(self.path)
        return self._connection, self._names

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    @staticmethod
    def _private(connection: sqlite3.Connection, private: frozenset[str] | None) -> frozenset[str]:
        """Return the sensors whose payloads are not kept, after storing them if they are new."""
        stored = frozenset(name for (name,) in connection.execute("SELECT sensor FROM private"))
        if private is None or private == stored:
            return stored
        connection.execute("DELETE FROM private")
        connection.executemany("INSERT INTO private VALUES (?)", [(name,) for name in sorted(private)])
        return private

    @staticmethod
    @contextmanager
    def _transaction(connection: sqlite3.Connection, names: Names) -> Iterator[None]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            names.forget()
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def _is_stored(connection: sqlite3.Connection, row: Callable[[Outcome], tuple[object, ...]], outcome: Outcome) -> bool:
    """Store one event, unless it is there. Return False, and say so in the log, if that is not possible."""
    try:
        connection.execute(INSERT, row(outcome))
    except UNSTORABLE as error:
        name = type(error).__name__
        LOG.warning(
            "an event of %s cannot be kept in the history, and is delivered all the same: %s",
            outcome.entry.sensor,
            name,
        )
        return False
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
