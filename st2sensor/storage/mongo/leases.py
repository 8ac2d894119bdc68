"""Members and leases in MongoDB. A majority of servers acknowledges every write, and has all data that is read."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from pymongo import UpdateOne, errors

from st2sensor.models import Lease, Member, Renewal
from st2sensor.storage import members
from st2sensor.storage.fields import Document
from st2sensor.storage.members import LEASES, MEMBERS, NODES, member_document
from st2sensor.storage.mongo.connection import Connection
from st2sensor.storage.mongo.decoding import all_plain
from st2sensor.storage.reader import Reader

DUPLICATE_KEY = 11000

ALIVE = {"dead": False}

BRIEF = {"holder": 1, "fence": 1, "batches._id": 1}
"""Fields of a lease to read: everything except the batches' content."""


class MongoLeases:
    """Implements the Leases protocol.

    :param connection: connection to use; `close` closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # The session is causally consistent: reads see earlier writes, even after the primary has changed.
        self._session = connection.client.start_session()
        self._members = connection.safe(MEMBERS)
        self._leases = connection.safe(LEASES)
        self._nodes = connection.safe(NODES)
        self._reader = Reader()

    def prepare(self) -> None:
        with self._connection.failures():
            self._leases.create_index("holder")

    def join(self, member: Member) -> None:
        with self._connection.failures():
            self._members.insert_one(member_document(member), session=self._session)

    def renew(self, member: str, renewal: Renewal) -> bool:
        renewed = asdict(renewal) | {"counter": renewal.counter + 1, "seen": time.time()}
        with self._connection.failures():
            seen = {"_id": member, "counter": renewal.counter} | ALIVE
            found = self._members.update_one(seen, {"$set": renewed}, session=self._session)
            return found.matched_count == 1

    def member(self, member: str) -> Member | None:
        with self._connection.failures():
            found = self._members.find({"_id": member}, session=self._session)
            return next(self._reader.sound(MEMBERS, members.member, all_plain(found)), None)

    def members(self) -> list[Member]:
        with self._connection.failures():
            found = self._members.find(session=self._session)
            return list(self._reader.sound(MEMBERS, members.member, all_plain(found)))

    def evict(self, member: str, counter: int | None) -> bool:
        seen = {} if counter is None else {"counter": counter}
        with self._connection.failures():
            alive = {"_id": member} | ALIVE | seen
            found = self._members.update_one(alive, {"$set": {"dead": True}}, session=self._session)
            return found.matched_count == 1

    def forget(self, member: str) -> None:
        with self._connection.failures():
            self._members.delete_one({"_id": member}, session=self._session)

    def leases(self, holder: str | None = None) -> list[Lease]:
        return self._find({} if holder is None else {"holder": holder})

    def free(self, dead: Collection[str]) -> list[Lease]:
        return self._find({"holder": {"$in": [None, *dead]}})

    def take(self, leases: Sequence[Lease], member: str) -> list[Lease]:
        with self._connection.failures():
            try:
                updates = [_taking(lease, member) for lease in leases]
                self._leases.bulk_write(updates, ordered=False, session=self._session)
            except errors.BulkWriteError as exception:
                if not _is_lost_race(exception):
                    raise
        return self._find({"holder": member, "_id": {"$in": [lease.sensor for lease in leases]}})

    def release(self, fences: Mapping[str, int], member: str) -> None:
        # The fence is compared so that a late release cannot free a lease that the member has taken again.
        free = {"$set": {"holder": None}}
        held = [UpdateOne({"_id": sensor, "holder": member, "fence": fence}, free) for sensor, fence in fences.items()]
        if held:
            with self._connection.failures():
                self._leases.bulk_write(held, ordered=False, session=self._session)

    def drained(self) -> frozenset[str]:
        with self._connection.failures():
            found = all_plain(self._nodes.find({"drained": {"$nin": [False, None]}}, session=self._session))
            return frozenset(filter(None, self._reader.sound(NODES, members.drained_node, found)))

    def drain(self, node: str, drained: bool) -> None:
        with self._connection.failures():
            self._nodes.update_one({"_id": node}, {"$set": {"drained": drained}}, upsert=True, session=self._session)

    def close(self) -> None:
        self._session.end_session()
        self._connection.close()

    def _find(self, query: Document) -> list[Lease]:
        with self._connection.failures():
            found = self._leases.find(query, BRIEF, session=self._session)
            return list(self._reader.sound(LEASES, members.lease, all_plain(found)))


def _taking(lease: Lease, member: str) -> UpdateOne:
    """Return the update that takes a lease. A lease that was never taken may lack a document, or a fence."""
    expected = {"$in": [0, None]} if lease.fence == 0 else lease.fence
    key = {"_id": lease.sensor, "holder": lease.holder, "fence": expected}
    return UpdateOne(key, {"$set": {"holder": member}, "$inc": {"fence": 1}}, upsert=lease.fence == 0)


def _is_lost_race(exception: errors.BulkWriteError) -> bool:
    """Return whether other members have inserted the same leases first."""
    details = exception.details or {}
    failed = details.get("writeErrors", [])
    return not details.get("writeConcernErrors") and all(error.get("code") == DUPLICATE_KEY for error in failed)
