"""The open database of an outbox, with one connection for writing and one for reading.

It handles a full disk, gives space back, and restores its files if they are deleted.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from st2sensor.errors import OutboxError
from st2sensor.outbox.backlog import Settled
from st2sensor.outbox.database import place
from st2sensor.outbox.database.dead_table import DeadTable
from st2sensor.outbox.database.failures import heals
from st2sensor.outbox.database.file import check, open_file
from st2sensor.outbox.database.limit_table import NO_CHANGES, Changes, LimitTable
from st2sensor.outbox.database.reserve import Reserve
from st2sensor.outbox.database.rows import COLUMNS, columns_of, contents, entry_of, ranges
from st2sensor.outbox.database.shrinking import STEP, empty_journal, is_journal_large, shrink
from st2sensor.outbox.entry import Entry, size_of
from st2sensor.outbox.tail import Row, window
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")

INSERT = f"INSERT INTO outbox (id, committed, {COLUMNS}, held) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
AFTER = f"SELECT id, committed, {COLUMNS} FROM outbox WHERE id > ? AND held IS NULL ORDER BY id LIMIT ?"

PAGE = 4096
"""Bytes of SQLite's pages."""

VARIABLES = 500
"""The maximum number of ids in one query."""


Buried = Callable[[Sequence[Entry]], None]
"""Called in the writer's thread with entries that became dead letters without having been in the outbox. Must not wait
or raise."""


def nobody(entries: Sequence[Entry]) -> None:
    """Do nothing with dead letters."""


class Store:
    """The database.

    :param buried: called with new dead letters.

    Its methods raise sqlite3.Error, OSError or OutboxError. Methods that write are for the writer's thread.

    Raises OutboxError if the file cannot be used.
    """

    def __init__(self, path: Path, options: Options, buried: Buried = nobody) -> None:
        self.path = path
        self._buried = buried
        self._options = options
        self._reading = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._has_shrunk = False
        """Whether pages were given back. The file shrinks only when the journal is emptied."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            place.prepare(path)
            self._reserve = Reserve(path)
        except OSError as exception:
            raise OutboxError(
                f"cannot use the outbox {path}: {exception}; make it readable and writable"
            ) from exception
        check(path)
        self._open()
        with suppress(OSError):
            # Without the reserve no entry is committed until there is enough space.
            self._reserve.take()

    @property
    def largest_commit(self) -> int:
        """The maximum number of bytes of entries in one commit, unless it is a single entry."""
        return self._reserve.commit

    def _open(self) -> sqlite3.Connection:
        if self._writer is not None:
            return self._writer
        with self._reading:
            place.prepare(self.path)
            writer = open_file(self.path, self._options.durability)
            try:
                reader = open_file(self.path, self._options.durability)
                # A repaired file may hold anything.
                reader.text_factory = lambda raw: raw.decode(errors="replace")
                # The journal is never larger than the space by which the database can grow on a full disk.
                writer.execute(f"PRAGMA wal_autocheckpoint = {self._reserve.journal // PAGE}")
                writer.execute(f"PRAGMA journal_size_limit = {self._reserve.journal}")
                self.graveyard = DeadTable(writer, self._options)
                self.limits = LimitTable(writer)
                writer.execute("SELECT count(*) FROM dead_letters").fetchone()
            except (sqlite3.Error, OutboxError):
                writer.close()
                raise
            self._writer, self._reader = writer, reader
            self._identity = place.identity(self.path)
        return writer

    def close(self) -> None:
        with self._reading:
            for connection in (self._writer, self._reader):
                if connection is not None:
                    connection.close()
            self._writer = self._reader = None

    def contents(self) -> tuple[int, int, int, int, int, int]:
        """Return the id before the first waiting row, the last id ever used, the number and bytes of waiting rows, and
        the number and bytes of rows that limits hold.

        A repaired file may have gaps, and may have lost the last id.
        """
        return contents(self._open())

    # Writing.

    def commit(
        self,
        rows: Sequence[Row],
        dead: Sequence[Entry],
        settled: Sequence[Settled],
        last_id: int,
        changes: Changes = NO_CHANGES,
    ) -> None:
        """Store rows, dead letters and the state of limits, and delete settled rows, in one transaction."""
        connection = self._open()
        if rows or dead:
            # Every committed row can later be deleted, and the journal written, even on a full disk.
            size = sum(row.size for row in rows) + sum(map(size_of, dead))
            self._reserve.take(2 * size if size > self._reserve.commit else 0)
        with self._transaction(connection):
            connection.execute("DELETE FROM outbox WHERE id > ?", (last_id,))
            connection.executemany(INSERT, [(row.id, row.committed, *columns_of(row.entry), row.held) for row in rows])
            if changes is not NO_CHANGES:
                self.limits.store(changes, ())
            self.graveyard.bury(dead, settled)
            connection.executemany("DELETE FROM outbox WHERE id BETWEEN ? AND ?", ranges(settled))
        if dead:
            self._buried(dead)

    def release(self, released: Sequence[tuple[int, int]], changes: Changes) -> None:
        """Give held rows new ids, under which they leave, in one transaction.

        :param released: pairs of the new id and the old one.
        """
        with self._transaction(self._open()):
            self.limits.store(changes, released)

    def flawed(self, entries: Sequence[Entry], last_id: int) -> dict[int, Exception]:
        """Return the errors of the entries that the database refuses, by their index. Nothing is stored."""
        connection = self._open()
        found: dict[int, Exception] = {}
        connection.execute("BEGIN")
        try:
            for number, entry in enumerate(entries):
                try:
                    connection.execute(INSERT, (last_id + 1 + number, None, *columns_of(entry), None))
                except Exception as exception:
                    if heals(exception):
                        raise
                    found[number] = exception
        finally:
            if connection.in_transaction:  # SQLite ends it itself when the disk is full.
                connection.execute("ROLLBACK")
        return found

    def make_room(self, settled: Sequence[Settled]) -> None:
        """Delete settled rows while the disk is full."""
        connection = self._open()
        self._reserve.release()
        with self._transaction(connection):
            self.graveyard.bury((), settled)
            connection.executemany("DELETE FROM outbox WHERE id BETWEEN ? AND ?", ranges(settled))
        self.give_back()

    def give_back(self) -> None:
        """Make the file smaller on a full disk, as far as possible, and take the reserve again."""
        connection = self._open()
        # Moved pages are written to the journal, which must not grow beyond the reserve.
        step = max(1, min(STEP, self._reserve.journal // PAGE // 4))
        with suppress(sqlite3.Error, OSError):
            empty_journal(connection)
            while shrink(connection, kept=0, step=step) >= step:
                empty_journal(connection)
            empty_journal(connection)
            self._reserve.take()

    @property
    def is_reserved(self) -> bool:
        """Whether space is reserved for deletions on a full disk."""
        return self._reserve.is_held

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        connection.execute("BEGIN")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            self.graveyard.forget()
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    # Upkeep of the file.

    def prune(self) -> None:
        """Delete dead letters that exceed a limit."""
        connection = self._open()
        with self._transaction(connection):
            self.graveyard.prune()
            self.limits.forget(time.time())

    def shrink(self) -> bool:
        """Give some space back to the disk. Return whether there is more to give."""
        connection = self._open()
        given = shrink(connection)
        self._has_shrunk = self._has_shrunk or given > 0
        if given < STEP and (self._has_shrunk or is_journal_large(self.path, self._reserve.journal)):
            self._has_shrunk = not empty_journal(connection)
        with suppress(OSError):
            self._reserve.take()
        return given >= STEP

    @property
    def is_in_place(self) -> bool:
        """Whether the opened files are still in their place."""
        return self._writer is None or place.identity(self.path) == self._identity

    def restore(self) -> Path | None:
        """Copy the open files back into place.

        Return the new name of another database that was in its place, or None.
        """
        assert self._writer is not None
        self._reserve.release()
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")
        place.copy(self._writer, self.path)
        ours = self._identity
        self.close()
        aside = place.put_in_place(self.path, ours)
        self._open()
        with suppress(OSError):
            self._reserve.take()
        return aside

    # Reading, from any thread. These methods raise OutboxError.

    def after(self, identifier: int, limit: int) -> list[Row]:
        """Return rows with greater ids, in order, as many as fit into a window."""
        with self._read() as reader:
            return window(map(_row, reader.execute(AFTER, (identifier, limit))))

    def rows(self, ids: Sequence[int]) -> list[Row]:
        """Return the rows with these ids, in order, as many as fit into a window."""
        marks = ", ".join("?" * len(ids[:VARIABLES]))
        query = f"SELECT id, committed, {COLUMNS} FROM outbox WHERE id IN ({marks}) ORDER BY id"
        with self._read() as reader:
            return window(map(_row, reader.execute(query, tuple(ids[:VARIABLES]))))

    def oldest(self, without: set[int]) -> Row | None:
        """Return the first row whose id is not in a set."""
        with self._read() as reader:
            for columns in reader.execute(AFTER, (0, len(without) + 1)):
                if columns[0] not in without:
                    return _row(columns)
        return None

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading:
            if self._reader is None:
                raise OutboxError(f"the outbox {self.path} is not open")
            try:
                yield self._reader
            except (sqlite3.Error, OverflowError) as exception:
                raise OutboxError(f"cannot read the outbox {self.path}: {exception}") from exception


def _row(columns: tuple[Any, ...]) -> Row:
    identifier, committed, *rest = columns
    entry = entry_of(rest)
    known = committed if isinstance(committed, float) else None
    return Row(id=identifier, entry=entry, size=size_of(entry), committed=known)
