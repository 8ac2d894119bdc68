"""A connection to the embedded database, shared by threads, and its tables of documents by space and name."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from st2sensor.errors import StorageError, StorageUnavailable
from st2sensor.storage.documents import COLLECTIONS, KEY_VALUES, LEASES, MEMBERS, NODES, Document

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write."""

SPACE = ""
"""Of documents whose names are unique by themselves."""

TABLES = [*(collection.name for collection in COLLECTIONS.values()), KEY_VALUES, MEMBERS, LEASES, NODES]

TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
    space TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (space, name)
) WITHOUT ROWID
"""


class Connection:
    """:param path: the database file; its folder is made when missing.

    Raises StorageUnavailable when the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as exception:
            raise StorageUnavailable(f"cannot open the embedded database {path}: {exception}") from exception

    def prepare(self) -> None:
        """Create what is missing of the tables."""
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
        """Raises StorageUnavailable and StorageError."""
        try:
            with self._lock:
                yield self._connection
        except sqlite3.OperationalError as exception:
            raise StorageUnavailable(f"the embedded database {self._path} cannot be used: {exception}") from exception
        except sqlite3.Error as exception:
            raise StorageError(f"the embedded database {self._path} refused: {exception}") from exception

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """:param durable: whether it survives power loss, as others do a little later."""
        with self.locked() as connection:
            if durable:
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            if durable:
                connection.execute("PRAGMA synchronous = NORMAL")


def find(connection: sqlite3.Connection, table: str, space: str, name: str) -> Document | None:
    row = connection.execute(f"SELECT document FROM {table} WHERE space = ? AND name = ?", (space, name)).fetchone()
    return None if row is None else document_of(row[0])


def find_all(connection: sqlite3.Connection, table: str) -> list[Document]:
    return [document_of(text) for (text,) in connection.execute(f"SELECT document FROM {table} ORDER BY space, name")]


def document_of(text: str) -> Document:
    document: Document = json.loads(text)
    if "expire_timestamp" in document:
        document["expire_timestamp"] = datetime.fromtimestamp(document["expire_timestamp"], UTC)
    return document


def store(connection: sqlite3.Connection, table: str, space: str, name: str, document: Document) -> None:
    text = json.dumps(document, default=datetime.timestamp)
    connection.execute(f"REPLACE INTO {table} VALUES (?, ?, ?)", (space, name, text))


def delete(connection: sqlite3.Connection, table: str, space: str, name: str) -> bool:
    return connection.execute(f"DELETE FROM {table} WHERE space = ? AND name = ?", (space, name)).rowcount == 1
