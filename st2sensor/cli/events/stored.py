"""Events and keys that are stored on this host or in its database, for commands that explain them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace

from st2sensor.datastore.keyring import Keyring
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.errors import DatastoreError, HistoryError, OutboxError, StorageError
from st2sensor.history.file import NAME
from st2sensor.models import KeyValue, Schema, TriggerType
from st2sensor.portable.isotime import utc_now
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage
from st2sensor.why.life import EventLife, Lives
from st2sensor.why.local_lives import PAGE, LocalLives, life_of
from st2sensor.why.recorded_lives import RecordedLives


class StoredEvents:
    """Finds events by message_id, trace tag, trigger, or the number of a dead letter, wherever this host keeps them.

    Raises OutboxError, and HistoryError if the history cannot be read and no event is found elsewhere.
    """

    def __init__(self, settings: Settings) -> None:
        path = settings.container.state_dir / "outbox.db"
        self._local = LocalLives(path)
        self._letters = DeadLetters(path)
        # A history that was switched off still has its older events.
        self._recorded = RecordedLives(settings.container.state_dir / NAME)

    def named(self, identifier: str) -> list[EventLife]:
        found = self._both(lambda lives: lives.named(identifier))
        if not found and identifier.isascii() and identifier.isdigit() and len(identifier) < 19:
            with suppress(OutboxError):
                found = [life_of(letter.entry, "dead letters") for letter in self._letters.get([int(identifier)])]
        return found

    def traced(self, tag: str) -> list[EventLife]:
        return self._both(lambda lives: lives.traced(tag))

    def of_trigger(self, ref: str) -> list[EventLife]:
        return self._both(lambda lives: lives.of_trigger(ref))

    def _both(self, search: Callable[[Lives], Sequence[EventLife]]) -> list[EventLife]:
        """Return the newest events, newest first. If the history also has an event, its record is preferred."""
        local = search(self._local)
        try:
            recorded = {life.message_id: life for life in search(self._recorded)}
        except HistoryError:
            if not local:
                raise
            recorded = {}
        for life in local:
            known = recorded.get(life.message_id)
            if known is not None and known.payload is None:
                recorded[life.message_id] = replace(known, payload=life.payload)
        found = [*recorded.values(), *(life for life in local if life.message_id not in recorded)]
        return sorted(found, key=lambda life: -life.created)[:PAGE]


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
