"""Storage embedded in one SQLite file. It holds the same documents as MongoDB, without a server."""

from __future__ import annotations

from pathlib import Path

from st2sensor.settings import Database
from st2sensor.storage.sqlite.connection import Connection
from st2sensor.storage.sqlite.leases import SqliteLeases
from st2sensor.storage.sqlite.storage import SqliteStorage

__all__ = ["SqliteLeases", "SqliteStorage", "open_leases", "open_storage"]


def open_storage(settings: Database) -> SqliteStorage:
    """Open the storage. Raises StorageUnavailable if the file cannot be opened."""
    return SqliteStorage(_path(settings))


def open_leases(settings: Database, timeout: float) -> SqliteLeases:  # noqa: ARG001 (there is no server)
    """Open the leases. Raises StorageUnavailable if the file cannot be opened."""
    return SqliteLeases(Connection(_path(settings)))


def _path(settings: Database) -> Path:
    return Path(settings.url.removeprefix("sqlite://"))
