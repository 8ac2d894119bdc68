"""Storage in MongoDB, with StackStorm's collections, documents and indexes. StackStorm may use the same database."""

from __future__ import annotations

from st2sensor.settings import Database
from st2sensor.storage.mongo.connection import Connection
from st2sensor.storage.mongo.leases import MongoLeases
from st2sensor.storage.mongo.storage import MongoStorage

__all__ = ["MongoLeases", "MongoStorage", "open_leases", "open_storage"]


def open_storage(settings: Database) -> MongoStorage:
    """Open the storage, without connecting to a server yet. Raises ConfigError."""
    return MongoStorage(
        settings.url,
        database=settings.name,
        timeout=settings.connection_timeout / 1000,
        client=settings.client,
    )


def open_leases(settings: Database, timeout: float) -> MongoLeases:
    """Open the leases, without connecting to a server yet. Raises ConfigError.

    :param timeout: seconds until a server counts as unreachable or hanging.
    """
    return MongoLeases(
        Connection(
            settings.url, database=settings.name, timeout=timeout, answer_timeout=timeout, client=settings.client
        )
    )
