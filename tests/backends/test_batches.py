"""Triggers and cursor together: killed at every step, and carried out by the next that comes."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from st2sensor.models import SYSTEM_SCOPE, Batch, KeyValue
from st2sensor.storage.base import Storage
from tests.backends.test_storage import open_storage, place, storage
from tests.plugins.patience import SOON

__all__ = ["open_storage", "place", "storage"]

EVENTS = 3

CONTAINER = """
import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.checker import Checker
from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.batches import Batches
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.portable.keyspace import Asker
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import event_of
from st2sensor.models import TriggerInstance, TriggerType
from st2sensor.outbox.outbox import Outbox
from st2sensor.settings import Payloads
from st2sensor.sharing.held_leases import Unshared
from st2sensor.storage.mongo import MongoStorage
from st2sensor.storage.sqlite import SqliteStorage
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import DatastoreUnavailable

left = 0


def die_in_time():
    # Just before and just after each step is the same as just before and just after its neighbours.
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    def __init__(self, real):
        self.real = real

    def __getattr__(self, method):
        def call(*arguments, **options):
            die_in_time()
            result = getattr(self.real, method)(*arguments, **options)
            die_in_time()
            return result
        return call


class DyingDispatcher(Dispatcher):
    def submit(self, entries, done):
        die_in_time()
        super().submit(entries, done)


class Node:
    def asker(self, ref):
        return Asker(sensor=ref)

    def is_stopping(self, ref):
        assert ref == "p.S"
        return False


class Session:
    ref = "p.S"
    is_closed = False

    def __init__(self, future):
        self.future = future

    def answer(self, identifier, value):
        asyncio.get_running_loop().call_soon(self.future.set_result, value)

    def refuse(self, identifier, error, code=0):
        self.future.set_exception(error)


async def is_recovered(methods):
    try:
        await methods.carry_out_batches("p.S")
    except DatastoreUnavailable:
        # The database is slow. A sensor's next call would try again.
        return False
    return True


async def main(kind, address, name, outbox, what):
    loop = asyncio.get_running_loop()
    real = SqliteStorage(Path(address)) if kind == "sqlite" else MongoStorage(address, database=name, timeout=TIMEOUT)
    storage = Dying(real)
    catalogue = Catalogue()
    catalogue.learn([TriggerType(pack="p", name="t")], [])
    checker = Checker(catalogue, Payloads())
    dispatcher = DyingDispatcher(Outbox(Path(outbox)), catalogue, Traffic(), checker, validate=True)

    async def entry_of(ref, event, payload):
        instance = TriggerInstance(trigger=event["trigger"], payload=event["payload"])
        return await dispatcher.entry(ref, event_of(instance))

    calls = LeasedCalls(DatabaseCalls(loop, real.ping, TIMEOUT), Unshared(), Node())
    keys = SensorKeys(storage, None)
    announcer = Announcer(loop, dispatcher, lambda trigger, payload: None, enabled=True)
    batches = Batches(Node(), keys, calls, dispatcher, entry_of, announcer)
    methods = DatastoreMethods(Node(), keys, calls, batches, announcer)
    if what == "recover":
        async with asyncio.timeout(TIMEOUT):
            while not await is_recovered(methods):
                pass
    else:
        answered = loop.create_future()
        params = {
            "events": [{"trigger": "p.t", "payload": {"n": n}} for n in range(3)],
            "name": "cursor", "value": "new", "local": True, "is_expected": True, "expected": "old",
        }
        methods.handle(Session(answered), 1, "datastore.dispatch_and_set", params)
        print(json.dumps(await answered), flush=True)
    os._exit(0)


def become(order):
    global left
    left = order["step"]
    for number, path in ((1, order["output"]), (2, order["errors"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        asyncio.run(main(*order["arguments"]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)


# A single thread, which forks for each order once all is imported.
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        become(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
""".replace("TIMEOUT", f"{SOON:g}")


class Containers:
    """What a container does for a sensor, each time in a process of its own: a fork of one that has imported it all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", CONTAINER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, place: tuple[str, str, str], outbox: Path, what: str, step: int) -> subprocess.CompletedProcess[str]:
        """:param step: at which it is killed; 0 for none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        output, errors = self._folder / "output", self._folder / "errors"
        arguments = [*place, str(outbox), what]
        order = {"arguments": arguments, "step": step, "output": str(output), "errors": str(errors)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    with closing(Containers(tmp_path_factory.mktemp("containers"))) as found:
        yield found


def cursor(storage: Storage) -> str:
    entry = storage.get_value(SYSTEM_SCOPE, "p.S:cursor", datetime.now(UTC))
    assert entry is not None
    return entry.value


def dispatched(outbox: Path) -> list[tuple[str, int]]:
    """Message ids and payloads of what waits in an outbox, in order."""
    with closing(sqlite3.connect(outbox)) as connection:
        rows = connection.execute("SELECT message_id, body FROM outbox ORDER BY id").fetchall()
    return [(message_id, json.loads(body)["payload"]["n"]) for message_id, body in rows]


def test_killed_at_every_step_it_is_done_wholly_or_not_at_all(
    storage: Storage, place: tuple[str, str, str], containers: Containers, tmp_path: Path
) -> None:
    outcomes = []
    for step in range(1, 100):
        outbox = tmp_path / str(step) / "outbox.db"
        storage.put_value(KeyValue(name="p.S:cursor", value="old"), datetime.now(UTC))
        killed = containers.run(place, outbox, "dispatch", step)
        recovered = containers.run(place, outbox, "recover", 0)
        assert recovered.returncode == 0, recovered.stderr
        events = dispatched(outbox)
        assert storage.batches() == []
        if cursor(storage) == "old":
            assert events == []
        else:
            # Again or not, in order, and by their ids each of them once.
            assert list(dict(events).values()) == list(range(EVENTS))
            assert [n for _, n in events] in ([*range(EVENTS)], [*range(EVENTS), *range(EVENTS)])
        outcomes.append(cursor(storage))
        if killed.returncode != -signal.SIGKILL:
            assert (killed.returncode, killed.stdout) == (0, "true\n"), killed.stderr
            break
    assert step > 8
    assert outcomes == sorted(outcomes, reverse=True)
    assert {"old", "new"} == set(outcomes)


def test_killed_while_it_carries_out_what_another_has_begun_it_loses_nothing(
    storage: Storage, place: tuple[str, str, str], containers: Containers, tmp_path: Path
) -> None:
    outbox = tmp_path / "outbox.db"
    storage.put_value(KeyValue(name="p.S:cursor", value="old"), datetime.now(UTC))
    # The last step at which a batch is stored and nothing else is done.
    for step in range(1, 100):
        containers.run(place, outbox, "dispatch", step)
        if storage.batches():
            break
    for step in range(1, 100):
        if containers.run(place, outbox, "recover", step).returncode == 0:
            break
        assert storage.batches() or cursor(storage) == "new"
    assert step > 5
    assert cursor(storage) == "new"
    assert sorted({n for _, n in dispatched(outbox)}) == list(range(EVENTS))
    assert len({message_id for message_id, _ in dispatched(outbox)}) == EVENTS


@pytest.mark.parametrize("current", ["new", "somebody else's"])
def test_a_key_that_was_changed_since_is_left_alone(
    storage: Storage, place: tuple[str, str, str], containers: Containers, tmp_path: Path, current: str
) -> None:
    batch = Batch(id="b", sensor="p.S", name="p.S:cursor", expected="old", value="new", events=())
    storage.put_value(KeyValue(name="p.S:cursor", value=current), datetime.now(UTC))
    storage.put_batch(batch)
    assert containers.run(place, tmp_path / "outbox.db", "recover", 0).returncode == 0
    assert (cursor(storage), storage.batches()) == (current, [])


def test_another_value_than_the_expected_one_dispatches_nothing(
    storage: Storage, place: tuple[str, str, str], containers: Containers, tmp_path: Path
) -> None:
    storage.put_value(KeyValue(name="p.S:cursor", value="newer"), datetime.now(UTC))
    done = containers.run(place, tmp_path / "outbox.db", "dispatch", 0)
    assert done.stdout == "false\n", done.stderr
    assert dispatched(tmp_path / "outbox.db") == []
    assert cursor(storage) == "newer"


def test_a_batch_that_is_in_the_way_is_carried_out_first(
    storage: Storage, place: tuple[str, str, str], containers: Containers, tmp_path: Path
) -> None:
    storage.put_value(KeyValue(name="p.S:cursor", value="old"), datetime.now(UTC))
    storage.put_batch(Batch(id="b", sensor="p.T", name="p.S:cursor", expected="old", value="theirs", events=()))
    done = containers.run(place, tmp_path / "outbox.db", "dispatch", 0)
    assert done.stdout == "false\n", done.stderr
    assert (cursor(storage), storage.batches()) == ("theirs", [])
    assert dispatched(tmp_path / "outbox.db") == []


@pytest.mark.parametrize("how", [{"secret": True}, {"expire_timestamp": datetime(2999, 1, 1, tzinfo=UTC)}], ids=str)
def test_a_key_that_may_vanish_is_no_cursor(
    storage: Storage, place: tuple[str, str, str], containers: Containers, tmp_path: Path, how: dict[str, Any]
) -> None:
    storage.put_value(KeyValue(name="p.S:cursor", value="old", **how), datetime.now(UTC))
    done = containers.run(place, tmp_path / "outbox.db", "dispatch", 0)
    assert "it is a secret, or has a ttl" in done.stderr
    assert dispatched(tmp_path / "outbox.db") == []
    assert storage.batches() == []


def test_a_batch_of_another_version_is_left_for_it(
    storage: Storage, place: tuple[str, str, str], containers: Containers, tmp_path: Path
) -> None:
    storage.put_batch(Batch(id="b", sensor="p.S", name="p.S:x", expected=None, value="1", events=({"unheard_of": 1},)))
    done = containers.run(place, tmp_path / "outbox.db", "recover", 0)
    assert "a batch of p.S was written by another version of st2sensor" in done.stderr
    assert len(storage.batches()) == 1
