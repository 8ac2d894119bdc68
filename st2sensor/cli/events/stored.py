"""Events and keys that are stored on this host or in its database, for commands that explain them."""

from __future__ import annotations

from contextlib import closing, suppress

from st2sensor.datastore.keyring import Keyring
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.errors import DatastoreError, OutboxError, StorageError
from st2sensor.models import KeyValue, Schema, TriggerType
from st2sensor.portable.isotime import utc_now
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage
from st2sensor.why.life import EventLife
from st2sensor.why.local_lives import LocalLives, life_of


class StoredEvents:
    """Finds events by message_id, trace tag, trigger, or the number of a dead letter. Raises OutboxError."""

    def __init__(self, settings: Settings) -> None:
        path = settings.container.state_dir / "outbox.db"
        self._local = LocalLives(path)
        self._letters = DeadLetters(path)

    def named(self, identifier: str) -> list[EventLife]:
        found = self._local.named(identifier)
        if not found and identifier.isascii() and identifier.isdigit() and len(identifier) < 19:
            with suppress(OutboxError):
                found = [life_of(letter.entry, "dead letters") for letter in self._letters.get([int(identifier)])]
        return found

    def traced(self, tag: str) -> list[EventLife]:
        return self._local.traced(tag)

    def of_trigger(self, ref: str) -> list[EventLife]:
        return self._local.of_trigger(ref)


def lives(settings: Settings) -> StoredEvents:
    """Return the events of this host's container."""
    return StoredEvents(settings)


class Datastore:
    """The datastore, opened when the first key is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keyring = Keyring(settings.key_values)
        self._storage: Storage | None = None

    def look_up(self, scope: str, name: str) -> KeyValue | None:
        """Return an entry, or None. Raises DatastoreError."""
        try:
            self._storage = self._storage or open_storage(self._settings.database)
            return self._storage.get_value(scope, name, utc_now())
        except StorageError as error:
            raise DatastoreError(f"the key {name} cannot be read: {error}") from error

    def decrypt(self, name: str, ciphertext: str) -> str:
        """Return the text of a secret. Raises DatastoreError."""
        return self._keyring.decrypt(name, ciphertext)

    def close(self) -> None:
        if self._storage is not None:
            self._storage.close()


def schema_of(settings: Settings, ref: str) -> Schema | None:
    """Return the payload_schema of a trigger type; None if there is none, or the database cannot be reached."""
    with suppress(StorageError), closing(open_storage(settings.database)) as storage:
        found = storage.get(TriggerType, ref)
        return None if found is None else found.payload_schema
    return None
