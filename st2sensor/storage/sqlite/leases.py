"""Members and leases in the embedded database, for containers on one host that share its file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from st2sensor.models import Lease, Member, Renewal
from st2sensor.storage import members
from st2sensor.storage.fields import Document
from st2sensor.storage.members import LEASES, MEMBERS, NODES, member_document
from st2sensor.storage.reader import Reader
from st2sensor.storage.sqlite.connection import SPACE, Connection, delete, find, find_all, store


class SqliteLeases:
    """Implements the Leases protocol.

    :param connection: connection to use; `close` closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader = Reader()

    def prepare(self) -> None:
        self._connection.prepare()

    def join(self, member: Member) -> None:
        with self._connection.transaction() as connection:
            store(connection, MEMBERS, SPACE, member.id, member_document(member))

    def renew(self, member: str, renewal: Renewal) -> bool:
        renewed = asdict(renewal) | {"counter": renewal.counter + 1, "seen": time.time()}
        with self._connection.transaction() as connection:
            known = _alive(connection, member)
            if known is None or known.get("counter") != renewal.counter:
                return False
            store(connection, MEMBERS, SPACE, member, known | renewed)
            return True

    def member(self, member: str) -> Member | None:
        with self._connection.locked() as connection:
            found = find(connection, MEMBERS, SPACE, member)
        return next(self._reader.sound(MEMBERS, members.member, [] if found is None else [found]), None)

    def members(self) -> list[Member]:
        with self._connection.locked() as connection:
            return list(self._reader.sound(MEMBERS, members.member, find_all(connection, MEMBERS)))

    def evict(self, member: str, counter: int | None) -> bool:
        with self._connection.transaction() as connection:
            known = _alive(connection, member)
            if known is None or counter not in (None, known.get("counter")):
                return False
            store(connection, MEMBERS, SPACE, member, known | {"dead": True})
            return True

    def forget(self, member: str) -> None:
        with self._connection.transaction() as connection:
            delete(connection, MEMBERS, SPACE, member)

    def leases(self, holder: str | None = None) -> list[Lease]:
        with self._connection.locked() as connection:
            found = list(self._reader.sound(LEASES, members.lease, find_all(connection, LEASES)))
        return [lease for lease in found if holder in (None, lease.holder)]

    def free(self, dead: Collection[str]) -> list[Lease]:
        return [lease for lease in self.leases() if lease.holder is None or lease.holder in dead]

    def take(self, leases: Sequence[Lease], member: str) -> list[Lease]:
        with self._connection.transaction(durable=True) as connection:
            for lease in leases:
                document = find(connection, LEASES, SPACE, lease.sensor) or {"_id": lease.sensor}
                if (document.get("holder"), document.get("fence", 0)) == (lease.holder, lease.fence):
                    taken = {"holder": member, "fence": lease.fence + 1}
                    store(connection, LEASES, SPACE, lease.sensor, document | taken)
        wanted = {lease.sensor for lease in leases}
        return [lease for lease in self.leases(member) if lease.sensor in wanted]

    def release(self, fences: Mapping[str, int], member: str) -> None:
        with self._connection.transaction() as connection:
            for sensor, fence in fences.items():
                document = find(connection, LEASES, SPACE, sensor)
                if document is not None and (document.get("holder"), document.get("fence")) == (member, fence):
                    store(connection, LEASES, SPACE, sensor, document | {"holder": None})

    def drained(self) -> frozenset[str]:
        with self._connection.locked() as connection:
            found = self._reader.sound(NODES, members.drained_node, find_all(connection, NODES))
            return frozenset(filter(None, found))

    def drain(self, node: str, drained: bool) -> None:
        with self._connection.transaction() as connection:
            store(connection, NODES, SPACE, node, {"_id": node, "drained": drained})

    def close(self) -> None:
        self._connection.close()


def _alive(connection: sqlite3.Connection, member: str) -> Document | None:
    document = find(connection, MEMBERS, SPACE, member)
    return None if document is None or document.get("dead") else document
