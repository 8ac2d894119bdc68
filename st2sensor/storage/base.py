"""The protocols of storage backends. Calls block."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from st2sensor.matching.rules import RuleContent
from st2sensor.models import Batch, Change, Entity, KeyValue, Lease, Member, Renewal, Rule, Trigger
from st2sensor.models.rules_engine import EnforcementRecord, ExecutionRecord, InstanceRecord

T = TypeVar("T", bound=Entity)


class Storage(Protocol):
    """Keeps entities by reference, and the datastore's entries by scope and name. For any number of threads.

    Every method raises StorageUnavailable if the database cannot be reached, and StorageError if the database refuses
    the operation.
    """

    def prepare(self) -> None:
        """Create missing tables and indexes."""

    def all(self, kind: type[T]) -> list[T]:
        """Return every entity of a kind, ordered by reference."""

    def size(self, kind: type[Entity]) -> int:
        """Return the number of stored entities of a kind, including malformed ones, in constant time or nearly so."""

    def get(self, kind: type[T], ref: str) -> T | None:
        """Return an entity, or None if it does not exist."""

    def put(self, entity: Entity) -> None:
        """Insert or change an entity. Unknown fields and a trigger's ref_count do not change."""

    def put_all(self, entities: Sequence[Entity]) -> None:
        """Insert or change entities as `put` does, many in one step. After an error, any of them may be stored."""

    def insert(self, entity: Entity) -> bool:
        """Insert an entity. Returns False, and does nothing, if its reference is taken."""

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        """Change a trigger's parameters, and therefore its uid. Its id and name stay."""

    def replace_rule(self, known: Rule, changed: Rule | None) -> bool:
        """Change a rule's record, or delete it if `changed` is None.

        Returns False, and does nothing, if the stored record no longer names the same trigger as `known`.
        """

    def remove(self, kind: type[Entity], ref: str) -> bool:
        """Delete an entity. Returns False if it did not exist."""

    def count_reference(self, trigger_ref: str, change: int) -> None:
        """Add to a trigger's ref_count atomically. As in StackStorm, a trigger whose count falls to 0 is deleted."""

    def stackstorm_rules(self, trigger: str | None = None) -> int:
        """Return the number of rules that StackStorm has registered in this database.

        :param trigger: reference of a trigger, to count only the rules that ask for it.
        """

    # The datastore's entries. An entry that has expired by `now` does not exist.

    def get_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        """Return an entry of the datastore, or None if it does not exist."""

    def put_value(self, entry: KeyValue, now: datetime) -> Change:
        """Insert or replace an entry of the datastore."""

    def swap_value(
        self, entry: KeyValue, expected: str | None, now: datetime, *, secret: bool = False
    ) -> Change | None:
        """Replace an entry if its value is `expected`. If `expected` is None, insert an entry that does not exist yet.

        Returns None, and does nothing, if the current value differs.

        :param secret: whether the expected value is encrypted.
        """

    def list_values(
        self, scope: str, prefix: str, now: datetime, *, limit: int | None = None, offset: int = 0
    ) -> list[KeyValue]:
        """Return the entries whose names start with a prefix, by name: at most `limit`, after the first `offset`."""

    def remove_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        """Delete an entry and return it. Returns None if it did not exist."""

    # Batches: at most one per name.

    def put_batch(self, batch: Batch) -> Batch | None:
        """Insert a batch. When this returns, it is on disk on a majority of servers.

        Returns None if the batch is stored, or else the other batch that has its name. Raises LeaseLost if its fence
        differs from that of the sensor's lease.
        """

    def batches(self, sensor: str | None = None) -> list[Batch]:
        """Return the batches of one sensor, or of all."""

    def remove_batch(self, batch: Batch) -> None:
        """Delete a batch, if it still exists."""

    def clear(self) -> None:
        """Delete everything."""

    def ping(self) -> None:
        """Check that the database can be reached."""

    def close(self) -> None:
        """Close all connections. The storage cannot be used afterwards."""


class RulesEngineRecords(Protocol):
    """Reads the records of StackStorm's rules engine. For one thread.

    Documents that cannot be read are skipped, with a warning each. Every method raises StorageUnavailable if the
    database cannot be reached in a few seconds, and StorageError if the database refuses the operation.
    """

    def is_there(self) -> bool:
        """Return whether StackStorm uses this database."""

    def rules(self, triggers: Mapping[str, Trigger]) -> list[RuleContent]:
        """Return StackStorm's rules, at most ten thousand.

        :param triggers: the registered triggers by reference.
        """

    def instance(self, identifier: str) -> InstanceRecord | None:
        """Return a trigger instance by its id, or None."""

    def instances(self, trigger: str, since: float) -> list[InstanceRecord]:
        """Return the first instances of a trigger since a time, at most a thousand, oldest first.

        :param since: seconds since the epoch.
        """

    def latest(self, trigger: str) -> InstanceRecord | None:
        """Return the newest instance of a trigger, or None."""

    def traced(self, tag: str) -> list[InstanceRecord]:
        """Return the instances with a trace tag."""

    def enforcements(self, instance: str) -> list[EnforcementRecord]:
        """Return the enforcements of rules for an instance."""

    def executions(self, identifiers: Sequence[str]) -> list[ExecutionRecord]:
        """Return executions by id."""

    def close(self) -> None:
        """Close all connections. This object cannot be used afterwards."""


class Leases(Protocol):
    """Keeps the members that share sensors, and their leases. For one thread.

    A write is never undone, and a read never returns data that is undone later, even if servers die. Every method
    raises StorageUnavailable if the database cannot be reached, and StorageError if the database refuses the operation.
    The operation may have been carried out nevertheless.
    """

    def prepare(self) -> None:
        """Create missing tables and indexes."""

    def join(self, member: Member) -> None:
        """Insert a member."""

    def renew(self, member: str, renewal: Renewal) -> bool:
        """Increment a member's counter, and store its renewal.

        Returns False, and does nothing, if the member was evicted, or its counter is not the renewal's.
        """

    def member(self, member: str) -> Member | None:
        """Return a member, or None if it does not exist."""

    def members(self) -> list[Member]:
        """Return every member, including dead ones."""

    def evict(self, member: str, counter: int | None) -> bool:
        """Declare a member dead, unless it has renewed since its counter was read.

        Returns False if it has renewed, is already dead, or does not exist.

        :param counter: the counter that was read; None for a member that is known to be dead.
        """

    def forget(self, member: str) -> None:
        """Delete a member that holds no leases."""

    def leases(self, holder: str | None = None) -> list[Lease]:
        """Return every lease, or those of one member."""

    def free(self, dead: Collection[str]) -> list[Lease]:
        """Return the leases that have no holder, or one of the given dead members."""

    def take(self, leases: Sequence[Lease], member: str) -> list[Lease]:
        """Let a member take leases that are unchanged since they were read. Returns the leases that the member now
        holds."""

    def release(self, fences: Mapping[str, int], member: str) -> None:
        """Release the leases that a member still holds under the given fences."""

    def drained(self) -> frozenset[str]:
        """Return the names of drained nodes."""

    def drain(self, node: str, drained: bool) -> None:
        """Set whether a node is drained."""

    def close(self) -> None:
        """Close all connections. This object cannot be used afterwards."""
