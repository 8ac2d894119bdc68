"""Interchangeable storage backends behind one protocol."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from st2sensor.settings import Database
from st2sensor.storage.base import Storage
from st2sensor.storage.mongo import MongoStorage
from st2sensor.storage.sqlite import SqliteStorage


def open_storage(settings: Database) -> Storage:
    """Open the configured backend; nothing is connected to yet.

    Raises StorageUnavailable when an embedded database cannot be opened.
    """
    return BACKENDS[urlsplit(settings.url).scheme](settings)


def _mongo(settings: Database) -> Storage:
    return MongoStorage(
        settings.url,
        database=settings.name,
        timeout=settings.connection_timeout / 1000,
        client=settings.client,
    )


def _sqlite(settings: Database) -> Storage:
    return SqliteStorage(Path(settings.url.removeprefix("sqlite://")))


BACKENDS = {"mongodb": _mongo, "mongodb+srv": _mongo, "sqlite": _sqlite}
