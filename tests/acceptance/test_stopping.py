"""A stop reaches a sensor wherever it is: cleanup() runs, what it waited with is not sent, and the container ends."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests.plugins.patience import LATER, SOON
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.ports import free_port
from tests.support.servers.proxy import Proxy
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

UP = [{"name": "up"}]

FULL = 3
"""Triggers that the outbox holds."""

HEAD = """
import os, signal, threading, time

"""

CLEANS = """
    def cleanup(self):
        {more}
        print("cleaned up {name}")
"""

WAITS_IN_DISPATCH = """
class {name}(PollingSensor):
    def poll(self):
        while True:
            print("{name} is in")
            self.sensor_service.dispatch("s.up", {{"name": "{name}"}})
"""

SENSORS = {
    "Dispatches": (WAITS_IN_DISPATCH, "pass"),
    "CatchesAll": (
        """
class {name}(PollingSensor):
    def poll(self):
        while True:
            try:
                print("{name} is in")
                self.sensor_service.dispatch("s.up", {{}})
            except Exception:
                time.sleep(0.1)
""",
        "pass",
    ),
    "InAThread": (
        """
class {name}(Sensor):
    def run(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        self.thread.join()
    def work(self):
        while True:
            print("{name} is in")
            self.sensor_service.dispatch("s.up", {{}})
""",
        "self.thread.is_alive() and self.thread._tstate_lock.acquire()",
    ),
    "InAFork": (
        """
class {name}(Sensor):
    def run(self):
        told, tells = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                while True:
                    print("{name} is in")
                    self.sensor_service.dispatch("s.up", {{}})
            finally:
                os._exit(7)
        os.waitpid(self.child, 0)
""",
        "os.path.exists(f'/proc/{self.child}/stat') and os.waitpid(self.child, 0)",
    ),
    "Reads": (
        """
class {name}(PollingSensor):
    def poll(self):
        print("{name} is in")
        while True:
            self.sensor_service.get_value("x")
            time.sleep(0.05)
""",
        "pass",
    ),
    "Writes": (
        """
class {name}(Sensor):
    def run(self):
        self.thread = threading.Thread(target=self.write)
        self.thread.start()
        self.thread.join()
    def write(self):
        print("{name} is in")
        while True:
            self.sensor_service.set_value("x", "y")
            time.sleep(0.05)
""",
        "self.thread.is_alive() and self.thread._tstate_lock.acquire()",
    ),
    "Frozen": (
        """
class {name}(PollingSensor):
    def poll(self):
        print("{name} is in")
        os.killpg(0, signal.SIGSTOP)
""",
        "pass",
    ),
    "InSetup": (
        """
class {name}(Sensor):
    def setup(self):
        print("{name} is in")
        time.sleep(100000)
""",
        "pass",
    ),
    "HearsForEver": (
        """
class {name}(Sensor):
    def run(self):
        time.sleep(100000)
    def add_trigger(self, trigger):
        print("{name} is in")
        time.sleep(100000)
""",
        "pass",
    ),
    "SwallowsAll": (
        """
class {name}(PollingSensor):
    def poll(self):
        print("{name} is in")
        while True:
            try:
                time.sleep(100000)
            except BaseException:
                pass
""",
        "pass",
    ),
    "Computes": (
        """
class {name}(PollingSensor):
    def poll(self):
        print("{name} is in")
        while True:
            sum(range(1000))
""",
        "pass",
    ),
}
"""Code, and what cleanup() does before it is done, by class name."""

NEIGHBOUR = """
class Neighbour(PollingSensor):
    def poll(self):
        print("Neighbour is in")
        time.sleep(0.1)
"""


def add(workspace: Workspace, name: str, code: str, more: str = "pass") -> None:
    written = HEAD + code.format(name=name) + CLEANS.format(name=name, more=more)
    kinds = [{"name": f"heard_by_{name}".lower()}]
    workspace.add_sensor("s", name, written, trigger_types=[*UP, *kinds] if name == "Dispatches" else kinds)


def add_hostile(workspace: Workspace, *names: str) -> None:
    for name in names:
        add(workspace, name, *SENSORS[name])
        if name == "HearsForEver":
            workspace.add_rule("s", name.lower(), f"s.heard_by_{name}".lower(), x=1)


def without_broker(workspace: Workspace, extra: str) -> None:
    """An outbox that is full soon, because nothing takes what is in it."""
    workspace.messaging = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    workspace.configure(f"{extra}\noutput_rate = 0\n[outbox]\nmax_size = {FULL}\n[datastore]\ntimeout = {LATER:g}\n")


def wait_until_all_are_in(container: Container, *names: str) -> None:
    for name in names:
        container.wait_for_log(f"{name} is in")
    container.wait_for_log(f"is full with {FULL} triggers")


def assert_all_were_cleaned_up(container: Container, *names: str) -> None:
    """And nobody had to be killed."""
    assert [name for name in names if f"cleaned up {name}" not in container.log] == []
    assert "did not stop within" not in container.log


def test_a_stop_reaches_sensors_in_every_state_at_once(embedded: Workspace) -> None:
    without_broker(embedded, f"stop_timeout = {SOON:g}")
    add_hostile(embedded, *SENSORS)
    add(embedded, "Neighbour", NEIGHBOUR)
    embedded.reload()
    container = embedded.start()
    wait_until_all_are_in(container, *SENSORS, "Neighbour")
    # From now on the database answers nobody.
    with contextlib.closing(sqlite3.connect(embedded.state / "st2.db", timeout=SOON)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert container.stop(LATER) == 0
        connection.rollback()
    assert_all_were_cleaned_up(container, *SENSORS, "Neighbour")


@pytest.mark.parametrize(
    "name",
    [
        "Dispatches",
        *(pytest.param(name, marks=pytest.mark.soak) for name in ("InAThread", "InAFork", "Frozen", "SwallowsAll")),
    ],
)
def test_a_restart_reaches_a_sensor_that_waits_and_nothing_of_it_is_sent_later(embedded: Workspace, name: str) -> None:
    without_broker(embedded, f"stop_timeout = {SOON:g}")
    add_hostile(embedded, *{"Dispatches", name})
    embedded.reload()
    container = embedded.start()
    wait_until_all_are_in(container, name)
    before = eventually("a full outbox", lambda: found if len(found := waiting(embedded.state)) == FULL else [])
    for count in (1, 2):
        done = embedded.run("st2sensor", "--config-file", str(embedded.config), "restart", f"s.{name}")
        assert done.returncode == 0, done.stderr
        container.wait_for_log(f"cleaned up {name}", count)
        container.wait_for_log(f"s.{name} started", count + 1)
    assert container.stop(LATER) == 0
    assert "did not stop within" not in container.log
    # What was dispatched before is there once, and nothing else.
    assert waiting(embedded.state) == before


def waiting(state: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(state / "outbox.db", timeout=SOON)) as connection:
        return [str(row[0]) for row in connection.execute("SELECT message_id FROM outbox ORDER BY id")]


@pytest.mark.soak
@pytest.mark.mongodb
def test_a_stop_reaches_sensors_whose_database_does_not_answer(folder: Path, mongo_server: MongoDB) -> None:
    proxy = Proxy(mongo_server.port)
    workspace = Workspace(folder, database=f"mongodb://127.0.0.1:{proxy.port}", messaging="local://")
    workspace.configure(f"stop_timeout = {SOON:g}\n[datastore]\ntimeout = {LATER:g}\n")
    names = ["Reads", "Writes", "Neighbour"]
    try:
        for name in names:
            add(workspace, name, *SENSORS.get(name, (NEIGHBOUR,)))
        workspace.reload_well()
        container = workspace.start()
        for name in names:
            container.wait_for_log(f"{name} is in")
        proxy.stall()
        container.wait_for_log("hangs: it has been in get_value()")
        container.wait_for_log("hangs: it has been in set_value()")
        assert container.stop(LATER) == 0
        assert_all_were_cleaned_up(container, *names)
    finally:
        proxy.resume()
        workspace.close()
        proxy.close()


def test_cleanup_can_still_dispatch_and_store(embedded: Workspace) -> None:
    code = """
class Leaves(Sensor):
    def run(self):
        print("Leaves is in")
        time.sleep(100000)
"""
    more = (
        'self.sensor_service.dispatch("s.heard_by_leaves", {"last": 1}); self.sensor_service.set_value("cursor", "7")'
    )
    embedded.configure(f"stop_timeout = {SOON:g}")
    add(embedded, "Leaves", code, more)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    container.wait_for_log("Leaves is in")
    done = embedded.run("st2sensor", "--config-file", str(embedded.config), "restart", "s.Leaves")
    assert done.returncode == 0, done.stderr
    container.wait_for_log("cleaned up Leaves")
    listener.wait_for("s.heard_by_leaves")
    eventually("the cursor", lambda: any(item["value"] == "7" for item in embedded.documents("key_value_pair_d_b")))
