"""The bus without a broker: an ordered table in the embedded database. Each reader has a cursor.

Readers in other processes see a message within POLL_INTERVAL. The table keeps the newest KEPT messages; a reader that
falls further behind misses the oldest.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from st2sensor.errors import BrokerUnavailable
from st2sensor.health import Health
from st2sensor.settings import Messaging
from st2sensor.system.private_file import create
from st2sensor.transport.base import CREATED, Message

POLL_INTERVAL = 0.02
"""Seconds between two checks for new messages."""

KEPT = 100_000
"""The number of messages that the table keeps."""

PRUNED_EVERY = 1_000
"""The number of new messages after which the oldest ones are deleted."""

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's write."""

PAGE = 500
"""The maximum number of messages that are read at a time."""

TABLE = """
CREATE TABLE IF NOT EXISTS st2sensor_bus (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL, id TEXT,
    content_type TEXT NOT NULL, content_encoding TEXT NOT NULL, body BLOB NOT NULL, headers TEXT NOT NULL DEFAULT '{}'
)
"""
COLUMNS = "exchange, routing_key, id, content_type, content_encoding, body, headers"
INSERT = f"INSERT INTO st2sensor_bus ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"


class LocalTransport:
    """Makes publishers and subscriptions.

    :param path: the embedded database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.address = f"local://{path}"

    def publisher(self, patience: float | None = None) -> LocalPublisher:  # noqa: ARG002 (BUSY_TIMEOUT holds)
        return LocalPublisher(self._path)

    def subscription(self, exchanges: Sequence[str]) -> LocalSubscription:
        return LocalSubscription(self._path, exchanges)


def open_transport(settings: Messaging) -> LocalTransport:
    """Return the bus in the configured database."""
    return LocalTransport(settings.local_path)


class LocalPublisher:
    """Appends to the table. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self.health = Health(reason="")

    def connect(self) -> None:
        self.close()
        self._connection = _open(self._path)

    def publish(self, messages: Sequence[Message]) -> Sequence[int]:
        with _using(self._connection, self._path) as connection, connection:
            last = 0
            for message in messages:
                last = connection.execute(INSERT, _row(message)).lastrowid or 0
            if last % PRUNED_EVERY < len(messages):
                connection.execute("DELETE FROM st2sensor_bus WHERE position <= ?", (last - KEPT,))
        # The table takes every message.
        return ()

    def consumers(self) -> int | None:
        # There are no queues.
        return None

    def keep_alive(self) -> None:
        """A file needs no heartbeats."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class LocalSubscription:
    """Follows the table with its own cursor. For one thread."""

    def __init__(self, path: Path, exchanges: Sequence[str]) -> None:
        self._path = path
        self._exchanges = tuple(exchanges)
        self._connection: sqlite3.Connection | None = None
        self._cursor = 0
        self._seen_version = -1

    def connect(self) -> None:
        self.close()
        self._connection = _open(self._path)
        with _using(self._connection, self._path) as connection:
            (self._cursor,) = connection.execute("SELECT coalesce(max(position), 0) FROM st2sensor_bus").fetchone()
        self._seen_version = -1

    def receive(self, timeout: float) -> list[Message]:
        deadline = time.monotonic() + timeout
        with _using(self._connection, self._path) as connection:
            while True:
                # data_version changes with every commit of another connection, and reading it costs microseconds.
                (version,) = connection.execute("PRAGMA data_version").fetchone()
                while version != self._seen_version:
                    received, more = self._read(connection)
                    if not more:
                        self._seen_version = version
                    if received:
                        return received
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return []
                time.sleep(min(POLL_INTERVAL, remaining))

    def _read(self, connection: sqlite3.Connection) -> tuple[list[Message], bool]:
        """Return the subscribed messages of the next page, and whether another page may follow."""
        query = f"SELECT position, {COLUMNS} FROM st2sensor_bus WHERE position > ? ORDER BY position LIMIT {PAGE}"
        rows = connection.execute(query, (self._cursor,)).fetchall()
        if rows:
            self._cursor = rows[-1][0]
        return [_message(row[1:]) for row in rows if row[1] in self._exchanges], len(rows) == PAGE

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    try:
        create(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT)
        connection.execute("PRAGMA journal_mode = WAL")
        # The outbox deletes a message once it is in the table, so it must be on disk.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(TABLE)
        _add_headers(connection)
    except (OSError, sqlite3.Error) as exception:
        raise BrokerUnavailable(f"cannot open the local bus {path}: {exception}") from exception
    return connection


def _add_headers(connection: sqlite3.Connection) -> None:
    """Add the missing column to the table of an earlier version."""
    if "headers" not in {row[1] for row in connection.execute("PRAGMA table_info(st2sensor_bus)")}:
        connection.execute("ALTER TABLE st2sensor_bus ADD COLUMN headers TEXT NOT NULL DEFAULT '{}'")


@contextmanager
def _using(connection: sqlite3.Connection | None, path: Path) -> Iterator[sqlite3.Connection]:
    if connection is None:
        raise BrokerUnavailable(f"not connected to the local bus {path}")
    try:
        yield connection
    except sqlite3.Error as exception:
        raise BrokerUnavailable(f"the local bus {path} cannot be used: {exception}") from exception


def _row(message: Message) -> tuple[object, ...]:
    return (
        message.exchange,
        message.routing_key,
        message.id,
        message.content_type,
        message.content_encoding,
        message.body,
        json.dumps(message.headers if message.created is None else {**message.headers, CREATED: message.created_text}),
    )


def _message(row: tuple[str, str, str | None, str, str, bytes, str]) -> Message:
    exchange, routing_key, identifier, content_type, content_encoding, body, headers = row
    return Message(
        exchange=exchange,
        routing_key=routing_key,
        id=identifier,
        content_type=content_type,
        content_encoding=content_encoding,
        body=body,
        headers=json.loads(headers),
    )
