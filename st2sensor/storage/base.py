"""What every storage backend does. Calls block; each backend may be used from several threads."""

from __future__ import annotations

from typing import Protocol, TypeVar

from st2sensor.models import Entity, KeyValue

T = TypeVar("T", bound=Entity)


class Storage(Protocol):
    """Keeps entities by their reference, and the datastore's entries by scope and name.

    Every method raises StorageUnavailable when the database cannot be reached, StorageError when it refuses.
    """

    def prepare(self) -> None:
        """Create what is missing of tables and indexes."""

    def all(self, kind: type[T]) -> list[T]:
        """Every entity of a kind, by reference."""

    def get(self, kind: type[T], ref: str) -> T | None:
        """One entity, or None."""

    def put(self, entity: Entity) -> None:
        """Insert or change. Fields that st2sensor does not know are kept; a trigger's ref_count is left alone."""

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        """Change a trigger's parameters, and so its uid, keeping id and name."""

    def remove(self, kind: type[Entity], ref: str) -> bool:
        """Delete; False when there was nothing to delete."""

    def count_reference(self, trigger_ref: str, change: int) -> None:
        """Add to a trigger's ref_count in one step; a trigger that falls to 0 is deleted, as in StackStorm."""

    def get_value(self, scope: str, name: str) -> KeyValue | None:
        """One entry of the datastore, or None."""

    def put_value(self, entry: KeyValue) -> None:
        """Insert or replace an entry of the datastore."""

    def list_values(self, scope: str, prefix: str) -> list[KeyValue]:
        """The entries whose name starts with prefix, by name."""

    def remove_value(self, scope: str, name: str) -> bool:
        """Delete an entry; False when there was none."""

    def close(self) -> None:
        """Release connections; the storage is not used afterwards."""
