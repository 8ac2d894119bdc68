"""What every storage backend does. Calls block; each backend may be used from several threads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from st2sensor.models import Batch, Change, Entity, KeyValue, Lease, Member, Renewal, Rule

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

    def insert(self, entity: Entity) -> bool:
        """Insert unless one of its reference is there; False, and nothing done, when one is."""

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        """Change a trigger's parameters, and so its uid, keeping id and name."""

    def replace_rule(self, known: Rule, changed: Rule | None) -> bool:
        """Change a rule's record, or delete it with None, if it still names the same trigger as the known one.

        False, and nothing done, otherwise.
        """

    def remove(self, kind: type[Entity], ref: str) -> bool:
        """Delete; False when there was nothing to delete."""

    def count_reference(self, trigger_ref: str, change: int) -> None:
        """Add to a trigger's ref_count in one step; a trigger that falls to 0 is deleted, as in StackStorm."""

    def stackstorm_rules(self, trigger: str | None = None) -> int:
        """How many rules StackStorm has registered in this database.

        :param trigger: count only those that ask for this trigger, by its reference.
        """

    # The datastore's entries. One that has expired at `now` is not there.

    def get_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        """One entry of the datastore, or None."""

    def put_value(self, entry: KeyValue, now: datetime) -> Change:
        """Insert or replace an entry of the datastore."""

    def swap_value(
        self, entry: KeyValue, expected: str | None, now: datetime, *, secret: bool = False
    ) -> Change | None:
        """Replace an entry that has the value `expected`, or, with None, insert where there is none.

        None, and nothing done, when something else is there.

        :param secret: whether the value that is expected is encrypted.
        """

    def list_values(
        self, scope: str, prefix: str, now: datetime, *, limit: int | None = None, offset: int = 0
    ) -> list[KeyValue]:
        """The entries whose name starts with prefix, by name: at most `limit`, after the first `offset`."""

    def remove_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        """Delete an entry; None when there was none."""

    # Batches: at most one for a name.

    def put_batch(self, batch: Batch) -> Batch | None:
        """Insert a batch, on disk and with a majority of servers before this returns; None when it is there.

        Otherwise the one that is in its way. Raises LeaseLost when it has a fence, which the sensor's lease has not.
        """

    def batches(self, sensor: str | None = None) -> list[Batch]:
        """The batches of a sensor, or all."""

    def remove_batch(self, batch: Batch) -> None:
        """Delete a batch, if it is still there."""

    def clear(self) -> None:
        """Delete everything."""

    def ping(self) -> None:
        """Do nothing but reach the database."""

    def close(self) -> None:
        """Release connections; the storage is not used afterwards."""


class Leases(Protocol):
    """Keeps the members that share sensors, and who holds which. For one thread.

    What a method has written is never undone, and what one has read was never undone, whichever server dies. Every
    method raises StorageUnavailable when the database cannot be reached, StorageError when it refuses; then it may have
    been carried out or not.
    """

    def prepare(self) -> None:
        """Create what is missing of tables and indexes."""

    def join(self, member: Member) -> None:
        """Insert a member."""

    def renew(self, member: str, renewal: Renewal) -> bool:
        """Count a member's counter up, and note what it says of itself.

        False when it was evicted, or its counter is another one than it has seen.
        """

    def member(self, member: str) -> Member | None:
        """One member; None when there is none."""

    def members(self) -> list[Member]:
        """Every member, the dead ones too."""

    def evict(self, member: str, counter: int | None) -> bool:
        """Declare a member dead that has not renewed since its counter was seen; None for one that is known to be.

        False when it has renewed, is dead already, or is not there.
        """

    def forget(self, member: str) -> None:
        """Delete a member that holds nothing."""

    def leases(self, holder: str | None = None) -> list[Lease]:
        """Every lease, or those of one member."""

    def free(self, dead: Collection[str]) -> list[Lease]:
        """The leases that nobody holds, or one of some members that are dead."""

    def take(self, leases: Sequence[Lease], member: str) -> list[Lease]:
        """Have a member take leases that are still as they were seen; returns those of them that are its own now."""

    def release(self, fences: Mapping[str, int], member: str) -> None:
        """Nobody holds these sensors any more, if the member did, under these fences."""

    def drained(self) -> frozenset[str]:
        """Names of the nodes that are to hold nothing."""

    def drain(self, node: str, drained: bool) -> None:
        """Set whether a node is to hold nothing."""

    def close(self) -> None:
        """Release connections; it is not used afterwards."""
