"""A connection to the embedded database that threads share. Its tables hold documents by space and name."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from st2sensor.errors import StorageError, StorageForbidden, StorageUnavailable
from st2sensor.storage.documents import COLLECTIONS
from st2sensor.storage.fields import BROKEN, Document
from st2sensor.storage.key_values import KEY_VALUES
from st2sensor.storage.members import LEASES, MEMBERS, NODES
from st2sensor.storage.reader import broken
from st2sensor.system.private_file import create

BUSY_TIMEOUT = 5.0
"""Maximum number of seconds to wait for another process's write."""

SPACE = ""
"""Space of documents whose names are unique by themselves."""

TABLES = [*(collection.name for collection in COLLECTIONS.values()), KEY_VALUES, MEMBERS, LEASES, NODES]

ROW = "space, name, document"
"""Columns of a table."""

LARGEST = 16_777_216
"""Maximum number of characters of a document that is read with all others of its table, as in MongoDB."""

BOUND_ROW = f"space, name, CASE WHEN length(document) <= {LARGEST} THEN document END"
"""Columns of a table, without documents that are too large: NULL takes their place."""

TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
    space TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (space, name)
) WITHOUT ROWID
"""


class Connection:
    """A connection for any number of threads. Raises StorageUnavailable if the file cannot be opened.

    :param path: the database file. Its folder is created if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            create(path)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            # Text that is not UTF-8 must not prevent reading the rest of a table.
            self._connection.text_factory = lambda text: text.decode(errors="surrogateescape")
        except (OSError, sqlite3.Error) as exception:
            raise self._unavailable(exception) from exception

    def _unavailable(self, exception: Exception) -> StorageUnavailable:
        """Return the error for a database that cannot be used."""
        for path in (self._path, self._path.parent):
            # SQLite also creates files next to it.
            exists = os.access(path, os.F_OK, effective_ids=True)
            if isinstance(exception, PermissionError) or (
                exists and not os.access(path, os.R_OK | os.W_OK, effective_ids=True)
            ):
                return StorageForbidden(
                    f"the embedded database {self._path} cannot be used: this user may not read and write it; run this "
                    "as root, or as the container's user"
                )
        return StorageUnavailable(f"the embedded database {self._path} cannot be used: {exception}")

    def prepare(self) -> None:
        """Create missing tables."""
        with self.locked() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            for name in TABLES:
                connection.execute(TABLE.format(name=name))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """Lock the connection. SQLite's errors become StorageUnavailable and StorageError."""
        try:
            with self._lock:
                yield self._connection
        except sqlite3.OperationalError as exception:
            raise self._unavailable(exception) from exception
        except sqlite3.Error as exception:
            raise StorageError(f"the embedded database {self._path} refused: {exception}") from exception
        except (UnicodeEncodeError, OverflowError, RecursionError) as exception:
            raise StorageError(f"the embedded database cannot store it: {_reason(exception)}") from exception

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Run a transaction.

        :param durable: whether the transaction survives power loss once it is committed; others do a little later.
        """
        with self.locked() as connection:
            if durable:
                connection.execute("PRAGMA synchronous = FULL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    # SQLite rolls some failures back by itself.
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            finally:
                if durable:
                    connection.execute("PRAGMA synchronous = NORMAL")


def find(connection: sqlite3.Connection, table: str, space: str, name: str) -> Document | None:
    """Return a document, or None if it does not exist."""
    query = f"SELECT {ROW} FROM {table} WHERE space = ? AND name = ?"
    return next(documents_of(connection.execute(query, (space, name))), None)


def find_all(connection: sqlite3.Connection, table: str, columns: str = ROW) -> list[Document]:
    """Return all documents of a table, ordered by space and name.

    :param columns: ROW or BOUND_ROW.
    """
    return list(documents_of(connection.execute(f"SELECT {columns} FROM {table} ORDER BY space, name")))


def documents_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[Document]:
    """Yield the documents in rows of the columns ROW. An unreadable document is replaced by its stand-in."""
    for space, name, text in rows:
        try:
            document = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            document = None
        if not isinstance(document, dict):
            problem = f"has more than {LARGEST:,} characters" if text is None else "is not a JSON object"
            yield broken(f"{space}.{name}", problem)
            continue
        expires = document.get("expire_timestamp")
        if isinstance(expires, (int, float)) and not isinstance(expires, bool):
            # A number that is not a valid time is kept.
            with suppress(ValueError, OverflowError, OSError):
                document["expire_timestamp"] = datetime.fromtimestamp(expires, UTC)
        document.setdefault("_id", f"{space}.{name}")
        yield document


def sound(document: Document | None) -> Document | None:
    """Return a document if it can be changed. An unreadable one can only be replaced."""
    return None if document is None or BROKEN in document else document


def _reason(exception: Exception) -> str:
    if isinstance(exception, RecursionError):
        return "it is nested too deeply"
    if isinstance(exception, UnicodeEncodeError):
        return f"UTF-8 cannot encode its text: {exception.reason}"
    return str(exception)


def store(connection: sqlite3.Connection, table: str, space: str, name: str, document: Document) -> None:
    """Insert or replace a document."""
    text = json.dumps(document, default=datetime.timestamp)
    connection.execute(f"REPLACE INTO {table} VALUES (?, ?, ?)", (space, name, text))


def delete(connection: sqlite3.Connection, table: str, space: str, name: str) -> bool:
    """Delete a document. Returns False if it did not exist."""
    return connection.execute(f"DELETE FROM {table} WHERE space = ? AND name = ?", (space, name)).rowcount == 1
