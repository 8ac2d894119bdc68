"""A MongoDB replica set of three members in a namespace of its own; members can be killed and started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from tests.fleet.network import Network
from tests.plugins.patience import FACTOR, LATER, SOON
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.waiting import eventually

NAME = "fleet"
MEMBERS = 3

ELECTION = min(2.0 * FACTOR, 10.0)
"""Seconds without a primary after which the other members elect one."""


class ReplicaSet:
    """:param folder: holds each member's data and log."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.members: list[MongoDB] = []
        for number, address in enumerate(network.addresses("db", MEMBERS)):
            place = folder / f"mongod{number}"
            self.members.append(MongoDB(place, "--replSet", NAME, within=network.within("db"), address=address))

    @property
    def url(self) -> str:
        return f"mongodb://{','.join(member.host for member in self.members)}/?replicaSet={NAME}"

    def start(self) -> None:
        """Start and initiate the replica set; return when there is a primary."""
        for member in self.members:
            member.start()
        hosts = [{"_id": number, "host": member.host} for number, member in enumerate(self.members)]
        settings = {"electionTimeoutMillis": int(ELECTION * 1000), "heartbeatIntervalMillis": 500}
        with _client(self.members[0]) as client:
            client.admin.command("replSetInitiate", {"_id": NAME, "members": hosts, "settings": settings})
        self.primary()

    def stop(self) -> None:
        """Kill all members, because a clean stop would take a minute, and their data is not needed any more."""
        for member in self.members:
            member.kill()

    def primary(self) -> MongoDB:
        """Return the member that accepts writes; wait until there is one."""
        return eventually("there is a primary", self._primaries, timeout=LATER)[0]

    def wait(self) -> None:
        """Wait until there is a primary."""
        self.primary()

    def step_down(self) -> None:
        """Make the primary step down, so that another is elected."""
        with _client(self.primary()) as client:
            client.admin.command("replSetStepDown", 10)

    def _primaries(self) -> list[MongoDB]:
        return [member for member in self.members if _is_primary(member)]


def _is_primary(member: MongoDB) -> bool:
    with _client(member) as client:
        try:
            return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False


def _client(member: MongoDB) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(
        member.url, directConnection=True, serverSelectionTimeoutMS=int(500 * FACTOR), socketTimeoutMS=int(SOON * 1000)
    )
