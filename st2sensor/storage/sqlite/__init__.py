"""Storage embedded in one SQLite file: the documents of MongoDB, without a server."""

from st2sensor.storage.sqlite.leases import SqliteLeases
from st2sensor.storage.sqlite.storage import SqliteStorage

__all__ = ["SqliteLeases", "SqliteStorage"]
