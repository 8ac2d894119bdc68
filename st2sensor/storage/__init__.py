"""Interchangeable storage backends behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from st2sensor.settings import Database
from st2sensor.storage.base import Leases, Storage
from st2sensor.storage.mongo import MongoLeases, MongoStorage
from st2sensor.storage.mongo.connection import Connection as MongoConnection
from st2sensor.storage.sqlite import SqliteLeases, SqliteStorage
from st2sensor.storage.sqlite.connection import Connection as SqliteConnection


def open_storage(settings: Database) -> Storage:
    """Open the configured backend; nothing is connected to yet.

    Raises StorageUnavailable when an embedded database cannot be opened.
    """
    return STORAGES[urlsplit(settings.url).scheme](settings)


def open_leases(settings: Database, timeout: float) -> Leases:
    """Open the configured backend for leases, on a connection of its own, so that nothing holds up renewals.

    :param timeout: seconds until a server counts as unreachable, or as hanging.

    Raises StorageUnavailable when an embedded database cannot be opened.
    """
    return LEASES[urlsplit(settings.url).scheme](settings, timeout)


def _mongo(settings: Database) -> Storage:
    return MongoStorage(
        settings.url,
        database=settings.name,
        timeout=settings.connection_timeout / 1000,
        client=settings.client,
    )


def _sqlite(settings: Database) -> Storage:
    return SqliteStorage(_path(settings))


def _mongo_leases(settings: Database, timeout: float) -> Leases:
    return MongoLeases(
        MongoConnection(
            settings.url, database=settings.name, timeout=timeout, answer_timeout=timeout, client=settings.client
        )
    )


def _sqlite_leases(settings: Database, timeout: float) -> Leases:  # noqa: ARG001 (there is no server)
    return SqliteLeases(SqliteConnection(_path(settings)))


def _path(settings: Database) -> Path:
    return Path(settings.url.removeprefix("sqlite://"))


STORAGES: dict[str, Callable[[Database], Storage]] = {
    "mongodb": _mongo,
    "mongodb+srv": _mongo,
    "sqlite": _sqlite,
}
LEASES: dict[str, Callable[[Database, float], Leases]] = {
    "mongodb": _mongo_leases,
    "mongodb+srv": _mongo_leases,
    "sqlite": _sqlite_leases,
}
