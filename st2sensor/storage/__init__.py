"""Interchangeable storage backends behind one protocol. Only the configured backend is loaded."""

from __future__ import annotations

from urllib.parse import urlsplit

from st2sensor.settings import Database
from st2sensor.storage.base import Leases, RulesEngineRecords, Storage
from st2sensor.system.lazy import resolve

STORAGES = {
    "mongodb": "st2sensor.storage.mongo:open_storage",
    "mongodb+srv": "st2sensor.storage.mongo:open_storage",
    "sqlite": "st2sensor.storage.sqlite:open_storage",
}
LEASES = {
    "mongodb": "st2sensor.storage.mongo:open_leases",
    "mongodb+srv": "st2sensor.storage.mongo:open_leases",
    "sqlite": "st2sensor.storage.sqlite:open_leases",
}
"""Functions that open a backend, by the scheme of the database's URL."""
RULES_ENGINE = dict.fromkeys(("mongodb", "mongodb+srv"), "st2sensor.storage.mongo.rules_engine:open_rules_engine")
"""Functions that open the records of StackStorm's rules engine, which only uses MongoDB."""


def open_storage(settings: Database) -> Storage:
    """Open the configured backend, without connecting to a server yet.

    Raises StorageUnavailable if an embedded database cannot be opened.
    """
    opened: Storage = resolve(STORAGES[urlsplit(settings.url).scheme])(settings)
    return opened


def open_leases(settings: Database, timeout: float) -> Leases:
    """Open the configured backend for leases. It has a connection of its own, so that nothing delays renewals.

    Raises StorageUnavailable if an embedded database cannot be opened.

    :param timeout: seconds until a server counts as unreachable or hanging.
    """
    opened: Leases = resolve(LEASES[urlsplit(settings.url).scheme])(settings, timeout)
    return opened


def open_rules_engine(settings: Database) -> RulesEngineRecords | None:
    """Open the records of StackStorm's rules engine; None if it cannot use this database. Raises ConfigError."""
    name = RULES_ENGINE.get(urlsplit(settings.url).scheme)
    opened: RulesEngineRecords | None = None if name is None else resolve(name)(settings)
    return opened
