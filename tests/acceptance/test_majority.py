"""A replica set whose majority does not answer: a write that may still happen is never reported as refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import PyMongoError

from tests.plugins.patience import LATER
from tests.support.servers.mongodb import MongoDB, executable
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

COUNTS = """
from st2sensor.errors import DatastoreError

class Counts(PollingSensor):
    def setup(self):
        self.count = 0

    def poll(self):
        try:
            cursor = self.sensor_service.get_value("cursor")
        except DatastoreError as error:
            print("cannot read:", type(error).__name__, flush=True)
            return
        print("read", cursor, flush=True)
        self.count += 1
        try:
            done = self.sensor_service.dispatch_and_set([("p.up", {"n": self.count})], "cursor", self.count)
        except DatastoreError as error:
            print("may have stored", self.count, type(error).__name__, error, flush=True)
        else:
            print("stored", self.count, done, flush=True)
"""


class Members:
    """A replica set of three on loopback."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.servers = [MongoDB(folder / f"mongod{number}", "--replSet", "rs") for number in range(3)]
        for server in self.servers:
            server.start()
            stack.callback(server.kill)
        hosts = [{"_id": number, "host": server.host} for number, server in enumerate(self.servers)]
        with pymongo.MongoClient[Any](self.servers[0].url, directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": "rs", "members": hosts})
        eventually("there is a primary", self._primary, LATER)
        stack.callback(self.thaw)

    @property
    def url(self) -> str:
        return f"mongodb://{','.join(server.host for server in self.servers)}/?replicaSet=rs"

    def freeze_majority(self) -> None:
        """Freeze all servers but the primary."""
        primary = self._primary()
        for server in self.servers:
            if server.port != primary:
                os.kill(server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for server in self.servers:
            os.kill(server.pid, signal.SIGCONT)

    def _primary(self) -> int | None:
        with pymongo.MongoClient[Any](self.url, serverSelectionTimeoutMS=1000) as client:
            try:
                found = client.admin.command("hello").get("primary")
            except PyMongoError:
                return None
            return None if found is None else int(found.rpartition(":")[2])


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    if executable() is None:
        pytest.skip("no mongod")
    with ExitStack() as stack:
        yield Members(tmp_path, stack)


@pytest.fixture
def replicated(folder: Path, members: Members) -> Iterator[Workspace]:
    found = Workspace(folder, database=members.url, messaging="local://")
    found.configure("[datastore]\ntimeout = 12")
    yield found
    members.thaw()
    found.close()


@pytest.mark.soak(minutes=2)
def test_what_waits_for_its_majority_is_neither_refused_nor_missed(replicated: Workspace, members: Members) -> None:
    replicated.add_sensor("p", "Counts", COUNTS, poll_interval=0.2, trigger_types=[{"name": "up"}])
    replicated.reload_well()
    listener = replicated.listen()
    container = replicated.start()
    container.wait_for_log("stored 2 True")
    members.freeze_majority()
    container.wait_for_log("may have stored", timeout=LATER)
    line = next(line for line in container.log.splitlines() if "may have stored" in line)
    count = int(line.partition("may have stored ")[2].split()[0])
    assert "DatastoreUnavailable" in line
    assert "it is not known whether it was carried out" in line
    said = len(container.log)
    members.thaw()
    eventually("it reads again", lambda: "read " in container.log[said:], LATER)
    told = container.log[said:].partition("read ")[2].split()[0]
    # Either it was stored, and its event is sent, or neither happened.
    assert told in (str(count), str(count - 1))
    container.wait_for_log("stored", count=container.log.count("stored") + 3, timeout=LATER)
    sent = [message.payload["n"] for message in listener.wait_for("p.up", count + 2, LATER)]
    assert (count in sent) is (told == str(count))
    assert sent == sorted(set(sent))

    members.freeze_majority()
    container.wait_for_log("may have stored", count=2, timeout=LATER)
    assert container.stop(LATER) == 0
    assert "Traceback" not in container.log
    assert "was destroyed" not in container.log
    assert "refused" not in container.log
